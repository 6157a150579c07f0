"""The registry of networks, and the network that the project's own code builds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator

from pipeline.models.network import Network, NetworkRow
from pipeline.models.pretrained_networks import (
    EfficientNetLite0,
    MobileNetV2,
    efficientnet_lite0_layers,
    load_efficientnet_lite0,
    load_mobilenet_v2,
    mobilenet_v2_layers,
)
from pipeline.models.untrained_networks import (
    BlockCnn,
    Cnn,
    Mlp,
    Resnet,
    block_cnn_layers,
    cnn_layers,
    four_times_the_units,
    mlp_layers,
    resnet_layers,
    twice_the_channels,
    work_of_blocks,
    work_of_layers,
)
from pipeline.registry import Registry

if TYPE_CHECKING:
    from torch import nn


class Factory(Network):
    """A network of your own: a function in the project's folder builds it.

    factory: module:function, of a file beside params.yaml. It is called with classes and size, the pixels per side, and
        returns a torch.nn.Module from pixels (n, 3, size, size) to logits (n, classes).
    arguments: what else it is called with, by name.
    normalise: train: pixels of mean 0 and deviation 1 over the training images; imagenet: by ImageNet's mean and
        deviation, which most pretrained weights want; none: as they are, from 0 to 1.
    """

    name: Literal["factory"]
    factory: Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")]
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    normalise: Literal["train", "imagenet", "none"] = "train"

    @field_validator("arguments")
    @classmethod
    def _given_by_the_pipeline(cls, arguments: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        if given := sorted({"classes", "size"} & arguments.keys()):
            raise ValueError(f"{' and '.join(given)}: the pipeline gives classes and size to the function by itself")
        return arguments

    @property
    def of_train(self) -> bool:
        """As `normalise` says."""
        return self.normalise == "train"


def _factory(params: Factory, classes: int, size: int) -> "list[nn.Module]":
    import numpy as np

    from pipeline.models.layers import Normalise
    from pipeline.models.mobilenet import MEAN, STD
    from pipeline.models.own import network_of_factory

    own = {"train": [], "imagenet": [Normalise(MEAN, STD)], "none": [Normalise(np.zeros(3), np.ones(3))]}
    return [*own[params.normalise], network_of_factory(params, classes, size)]


NETWORKS: Registry[NetworkRow[Any]] = Registry(
    (
        NetworkRow(
            Cnn,
            cnn_layers,
            wider=twice_the_channels,
            instead={"name": "resnet", "blocks": 2},
            work=work_of_blocks,
        ),
        NetworkRow(Resnet, resnet_layers, wider=twice_the_channels, work=work_of_blocks),
        NetworkRow(BlockCnn, block_cnn_layers, wider=twice_the_channels, work=work_of_blocks),
        NetworkRow(Mlp, mlp_layers, wider=four_times_the_units, work=work_of_layers),
        NetworkRow(MobileNetV2, mobilenet_v2_layers, load=load_mobilenet_v2),
        NetworkRow(EfficientNetLite0, efficientnet_lite0_layers, load=load_efficientnet_lite0),
        NetworkRow(Factory, _factory),
    )
)
