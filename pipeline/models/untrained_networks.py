"""Networks that start from random weights: their params and layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pipeline.errors import ParamsError
from pipeline.models.network import DropoutRate, Network
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import nn

MAX_WIDTH = 512
MAX_UNITS = 4096
# Pixels a side that the last feature map of a cnn is averaged down to.
POOLED_SIDE = 4

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]


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
    blocks: residual blocks per stage.
    """

    name: Literal["resnet"]
    depth: Annotated[int, Field(ge=1, le=6)]
    blocks: Annotated[int, Field(ge=1, le=8)]
    width: Width
    kernel: Literal[1, 3, 5, 7]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class BlockCnn(Network):
    """A cnn whose blocks differ: each has its own kernel, and a shortcut or none.

    depth: blocks; each halves the picture and doubles the width. The last feature map is averaged over the picture.
    kernels, shortcuts: of each block, from the first on; the last one goes for all further blocks, and what lies beyond
        depth is not used. A shortcut leads around the convolution, as in a resnet.
    """

    name: Literal["block_cnn"]
    depth: Annotated[int, Field(ge=1, le=6)]
    width: Width
    kernels: Annotated[list[Literal[1, 3, 5, 7]], Field(min_length=1, max_length=6)]
    shortcuts: Annotated[list[bool], Field(min_length=1, max_length=6)]
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


def _check_depth(depth: int, halvings: int, size: int) -> None:
    if size >> halvings < 1:
        raise ParamsError(
            f"train.model.depth {depth} halves pictures of {size} pixels (ingest.size) to nothing: "
            f"at most {size.bit_length() - 1 + depth - halvings}"
        )


def cnn_layers(params: Cnn, classes: int, size: int) -> "list[nn.Module]":
    """The layers of a cnn. Raises ParamsError where pictures of this size are too small."""
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


def resnet_layers(params: Resnet, classes: int, size: int) -> "list[nn.Module]":
    """The layers of a resnet. Raises ParamsError where pictures of this size are too small."""
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


def block_cnn_layers(params: BlockCnn, classes: int, size: int) -> "list[nn.Module]":
    """The layers of a cnn whose blocks differ. Raises ParamsError where pictures of this size are too small."""
    from torch import nn

    from pipeline.models.layers import ConvolutionBlock, channel_dropout, unit_dropout

    _check_depth(params.depth, params.depth, size)
    layers: list[nn.Module] = []
    channels = 3
    for level in range(params.depth):
        width = params.width * 2**level
        kernel = params.kernels[min(level, len(params.kernels) - 1)]
        shortcut = params.shortcuts[min(level, len(params.shortcuts) - 1)]
        layers.append(ConvolutionBlock(channels, width, kernel, shortcut, params.batch_norm, params.activation))
        layers += [nn.MaxPool2d(2), *channel_dropout(params.dropout.blocks)]
        channels = width
    layers += [nn.AvgPool2d(size >> params.depth), nn.Flatten(), *unit_dropout(params.dropout.head)]
    return [*layers, nn.Linear(channels, classes)]


def mlp_layers(params: Mlp, classes: int, size: int) -> "list[nn.Module]":
    """The layers of an mlp."""
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


def work_of_blocks(model: Mapping[str, Any]) -> float:
    """A block has a quarter of the pixels of the one before and twice its channels, so all but the first cost alike."""
    convolutions = 2.0 * model.get("blocks", 1) if model["name"] == "resnet" else 1.0
    return float(model["width"] ** 2 * model["depth"] * convolutions)


def work_of_layers(model: Mapping[str, Any]) -> float:
    """Most of it is the first layer's, which has all pixels."""
    return float(model["width"])


def twice_the_channels(width: int) -> int:
    """About four times the weights."""
    return min(2 * width, MAX_WIDTH)


def four_times_the_units(width: int) -> int:
    """One step that tells."""
    return min(4 * width, MAX_UNITS)
