"""Networks that start from weights which were trained on ImageNet: their params, layers and weights."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.models.network import DropoutRate, Pretrained, PretrainedFromFile, ReadFile
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import nn


class HeadDropout(Section):
    """Share of the features that is set to 0 before the output layer while training."""

    head: DropoutRate


class MobileNetV2(PretrainedFromFile):
    """Layers that were trained on ImageNet (Sandler et al., 2018), and an output layer of our own.

    weights: a file of torchvision's names: its .pth, or the same as .safetensors.
    frozen: only the output layer is trained; false: all layers are.
    input: pixels per side that pictures are scaled to; it was trained with 224.
    """

    name: Literal["mobilenet_v2"]
    frozen: bool
    input: Annotated[int, Field(ge=32, le=512)]
    dropout: HeadDropout

    @property
    def frozen_numbers(self) -> int | None:
        """Those of the backbone."""
        return 1280 if self.frozen else None


class EfficientNetLite0(Pretrained):
    """Layers that were trained on ImageNet (Tan and Le, 2019), and an output layer of our own.

    Its weights come with the pipeline.

    trained: head: only the output layer; last: the last five of 16 blocks as well; all: all layers.
    input: pixels per side that pictures are scaled to; it was trained with 224.
    backbone_rate: share of the learning rate at which trained layers but the output layer are trained.
    """

    name: Literal["efficientnet_lite0"]
    trained: Literal["head", "last", "all"]
    input: Annotated[int, Field(ge=32, le=512)]
    dropout: HeadDropout
    backbone_rate: Annotated[float, Field(gt=0, le=1)] = 0.1

    @property
    def frozen_numbers(self) -> int | None:
        """Features of the backbone, or maps of its frozen blocks."""
        from pipeline.models.efficientnet import frozen_numbers

        return frozen_numbers(self.trained, self.input)


def mobilenet_v2_layers(params: MobileNetV2, classes: int, size: int) -> "list[nn.Module]":
    """The layers of a mobilenet_v2."""
    from pipeline.models.mobilenet import mobilenet_layers

    return mobilenet_layers(params.input, params.frozen, params.dropout.head, classes)


def load_mobilenet_v2(params: MobileNetV2, network: "nn.Module", read: ReadFile) -> None:
    """Put the weights of its file in."""
    from pipeline.models.mobilenet import load_backbone

    load_backbone(network, read(params.weights, params.sha256), params.weights)


def efficientnet_lite0_layers(params: EfficientNetLite0, classes: int, size: int) -> "list[nn.Module]":
    """The layers of an efficientnet_lite0."""
    from pipeline.models.efficientnet import efficientnet_layers

    return efficientnet_layers(params.input, params.trained, params.backbone_rate, params.dropout.head, classes)


def load_efficientnet_lite0(_: EfficientNetLite0, network: "nn.Module", __: ReadFile) -> None:
    """Put the weights of its package in."""
    from pipeline.models.efficientnet import load_backbone

    load_backbone(network)
