"""Networks: their params, their layers from pixels to logits, and what advice needs to know of them.

Each ends with dropout, if any, and then the output layer, so that no logit is ever dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue, field_validator

from pipeline.errors import ParamsError
from pipeline.registry import Choice, Registry
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import nn

P = TypeVar("P", bound="Network")

MAX_WIDTH = 512
MAX_UNITS = 4096
# Pixels a side that the last feature map of a cnn is averaged down to.
POOLED_SIDE = 4

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
DropoutRate = Annotated[float, Field(ge=0, lt=1)]
# A file and its SHA-256 -> its bytes; PipelineError if it is not that file.
ReadFile = Callable[[str, str], bytes]


class Network(Section):
    """Params of any network: a model that is fitted epoch by epoch."""

    name: str

    @property
    def of_train(self) -> bool:
        """Whether pixels are normalised by mean and deviation of the training images."""
        return True


class Pretrained(Network):
    """Params of a network that starts from trained weights, and normalises pixels as those were trained with."""

    @property
    def of_train(self) -> bool:
        """Not: as its weights want it."""
        return False

    @property
    def frozen_numbers(self) -> int | None:
        """How many numbers frozen layers make of a picture, which stay the same; None if no layer is frozen."""
        raise NotImplementedError


class PretrainedFromFile(Pretrained):
    """Params of one whose weights are in a file.

    weights: the file. sha256: of that file; it is not looked into before it fits.
    """

    weights: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Dropout(Section):
    """Share of what is set to 0 while training: whole channels after each block, features before the output layer.

    The output layer itself is never dropped: its numbers are the answer.
    """

    blocks: DropoutRate
    head: DropoutRate


class Cnn(Network):
    """Blocks of convolution, norm, activation and pooling; each halves the picture and doubles the width.

    dense: units of each hidden fully connected layer between the blocks and the output layer; empty: none.
    """

    name: Literal["cnn"]
    depth: Annotated[int, Field(ge=1, le=6)]
    width: Width
    kernel: Literal[1, 3, 5, 7]
    activation: Activation
    batch_norm: bool
    dense: Annotated[list[Annotated[int, Field(ge=1, le=MAX_UNITS)]], Field(max_length=4)]
    dropout: Dropout


class Resnet(Network):
    """Residual blocks of two convolutions beside a shortcut (He et al., 2015).

    depth: stages; each but the first halves the picture and doubles the width.
    blocks: residual blocks a stage.
    """

    name: Literal["resnet"]
    depth: Annotated[int, Field(ge=1, le=6)]
    blocks: Annotated[int, Field(ge=1, le=8)]
    width: Width
    kernel: Literal[1, 3, 5, 7]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class Mlp(Network):
    """Fully connected layers on all pixels: what a network knows that does not know of neighbours.

    depth: hidden layers, of `width` units each. Dropout takes single units.
    """

    name: Literal["mlp"]
    depth: Annotated[int, Field(ge=1, le=8)]
    width: Annotated[int, Field(ge=1, le=MAX_UNITS)]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class HeadDropout(Section):
    """Share of the features that is set to 0 before the output layer while training."""

    head: DropoutRate


class MobileNetV2(PretrainedFromFile):
    """Layers that were trained on ImageNet (Sandler et al., 2018), and an output layer of our own.

    weights: a file of torchvision's names: its .pth, or the same as .safetensors.
    frozen: only the output layer is trained; false: all layers are.
    input: pixels a side that pictures are scaled to; it was trained with 224.
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
    input: pixels a side that pictures are scaled to; it was trained with 224.
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


class Factory(Network):
    """A network of your own: a function in the project's folder builds it.

    factory: module:function, of a file beside params.yaml. It is called with classes and size, the pixels a side, and
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


@dataclass(frozen=True)
class NetworkRow(Choice[P]):
    """A network.

    layers: (params, classes, pixels a side) -> from normalised pixels (n, 3, size, size) to logits (n, classes); of a
        pretrained one from pixels of 0 to 255. It raises ParamsError where a picture of this size is too small.
    wider: a width -> the next one that should tell; None: it has no width.
    instead: the params that change for an architecture that can learn more; None: there is none.
    work: params as plain values -> what a picture's pass costs, about, beside that of other params of `cnn`, `resnet`
        and `mlp`; all pretrained ones cost alike.
    load: of a pretrained one: (params, network, how a file is read) -> puts its weights in, or raises PipelineError.
    """

    layers: Callable[[P, int, int], "list[nn.Module]"]
    wider: Callable[[int], int] | None = None
    instead: Mapping[str, Any] | None = None
    work: Callable[[Mapping[str, Any]], float] = lambda model: 1.0
    load: "Callable[[P, nn.Module, ReadFile], None] | None" = None


def _check_depth(depth: int, halvings: int, size: int) -> None:
    if size >> halvings < 1:
        raise ParamsError(
            f"train.model.depth {depth} halves pictures of {size} pixels (ingest.size) to nothing: "
            f"at most {size.bit_length() - 1 + depth - halvings}"
        )


def _cnn(params: Cnn, classes: int, size: int) -> "list[nn.Module]":
    from torch import nn

    from pipeline.models.layers import channel_dropout, norm_and_activation, unit_dropout

    _check_depth(params.depth, params.depth, size)
    layers: list[nn.Module] = []
    channels = 3
    for level in range(params.depth):
        width = params.width * 2**level
        layers.append(nn.Conv2d(channels, width, params.kernel, padding="same", bias=not params.batch_norm))
        layers += norm_and_activation(nn.BatchNorm2d(width) if params.batch_norm else None, params.activation)
        layers += [nn.MaxPool2d(2), *channel_dropout(params.dropout.blocks)]
        channels = width
    side = size >> params.depth
    # Adaptive pooling has no deterministic gradient on CUDA; pooling by a fixed window has.
    window = max(1, side // POOLED_SIDE)
    layers += [nn.AvgPool2d(window), nn.Flatten()]
    features = channels * (side // window) ** 2
    for units in params.dense:
        layers.append(nn.Linear(features, units, bias=not params.batch_norm))
        layers += norm_and_activation(nn.BatchNorm1d(units) if params.batch_norm else None, params.activation)
        features = units
    return [*layers, *unit_dropout(params.dropout.head), nn.Linear(features, classes)]


def _resnet(params: Resnet, classes: int, size: int) -> "list[nn.Module]":
    from torch import nn

    from pipeline.models.layers import ResidualBlock, channel_dropout, convolution, norm_and_activation, unit_dropout

    _check_depth(params.depth, params.depth - 1, size)
    layers: list[nn.Module] = [convolution(3, params.width, params.kernel, 1, params.batch_norm)]
    layers += norm_and_activation(nn.BatchNorm2d(params.width) if params.batch_norm else None, params.activation)
    channels, side = params.width, size
    for level in range(params.depth):
        width = params.width * 2**level
        for block in range(params.blocks):
            stride = 2 if level and not block else 1
            layers += [
                ResidualBlock(channels, width, stride, params.kernel, params.batch_norm, params.activation),
                *channel_dropout(params.dropout.blocks),
            ]
            channels, side = width, -(-side // stride)
    layers += [nn.AvgPool2d(side), nn.Flatten(), *unit_dropout(params.dropout.head)]
    return [*layers, nn.Linear(channels, classes)]


def _mlp(params: Mlp, classes: int, size: int) -> "list[nn.Module]":
    from torch import nn

    from pipeline.models.layers import norm_and_activation, unit_dropout

    layers: list[nn.Module] = [nn.Flatten()]
    features = 3 * size**2
    for _ in range(params.depth):
        layers.append(nn.Linear(features, params.width, bias=not params.batch_norm))
        layers += norm_and_activation(nn.BatchNorm1d(params.width) if params.batch_norm else None, params.activation)
        layers += unit_dropout(params.dropout.blocks)
        features = params.width
    return [*layers, *unit_dropout(params.dropout.head), nn.Linear(features, classes)]


def _mobilenet_v2(params: MobileNetV2, classes: int, size: int) -> "list[nn.Module]":
    from pipeline.models.mobilenet import mobilenet_layers

    return mobilenet_layers(params.input, params.frozen, params.dropout.head, classes)


def _load_mobilenet_v2(params: MobileNetV2, network: "nn.Module", read: ReadFile) -> None:
    from pipeline.models.mobilenet import load_backbone

    load_backbone(network, read(params.weights, params.sha256), params.weights)


def _efficientnet_lite0(params: EfficientNetLite0, classes: int, size: int) -> "list[nn.Module]":
    from pipeline.models.efficientnet import efficientnet_layers

    return efficientnet_layers(params.input, params.trained, params.backbone_rate, params.dropout.head, classes)


def _load_efficientnet_lite0(_: EfficientNetLite0, network: "nn.Module", __: ReadFile) -> None:
    from pipeline.models.efficientnet import load_backbone

    load_backbone(network)


def _work_of_blocks(model: Mapping[str, Any]) -> float:
    """A block has a quarter of the pixels of the one before and twice its channels, so all but the first cost alike."""
    convolutions = 2.0 * model.get("blocks", 1) if model["name"] == "resnet" else 1.0
    return float(model["width"] ** 2 * model["depth"] * convolutions)


def _work_of_layers(model: Mapping[str, Any]) -> float:
    """Most of it is the first layer's, which has all pixels."""
    return float(model["width"])


def _factory(params: Factory, classes: int, size: int) -> "list[nn.Module]":
    import numpy as np

    from pipeline.models.layers import Normalise
    from pipeline.models.mobilenet import MEAN, STD
    from pipeline.models.own import network_of_factory

    own = {"train": [], "imagenet": [Normalise(MEAN, STD)], "none": [Normalise(np.zeros(3), np.ones(3))]}
    return [*own[params.normalise], network_of_factory(params, classes, size)]


def _twice_the_channels(width: int) -> int:
    return min(2 * width, MAX_WIDTH)


def _four_times_the_units(width: int) -> int:
    return min(4 * width, MAX_UNITS)


NETWORKS: Registry[NetworkRow[Any]] = Registry(
    (
        NetworkRow(
            Cnn,
            _cnn,
            wider=_twice_the_channels,
            instead={"name": "resnet", "blocks": 2},
            work=_work_of_blocks,
        ),
        NetworkRow(Resnet, _resnet, wider=_twice_the_channels, work=_work_of_blocks),
        NetworkRow(Mlp, _mlp, wider=_four_times_the_units, work=_work_of_layers),
        NetworkRow(MobileNetV2, _mobilenet_v2, load=_load_mobilenet_v2),
        NetworkRow(EfficientNetLite0, _efficientnet_lite0, load=_load_efficientnet_lite0),
        NetworkRow(Factory, _factory),
    )
)
