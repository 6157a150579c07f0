"""Networks of params: layers from normalised pixels (n, 3, size, size) to logits (n, classes).

Each ends with dropout, if any, and then the output layer, so that no logit is ever dropped.
"""

from typing import assert_never

from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.models.layers import ACTIVATIONS, channel_dropout, norm_and_activation, unit_dropout
from pipeline.models.params import Cnn, Mlp, Resnet

# Pixels a side that the last feature map of a cnn is averaged down to.
POOLED_SIDE = 4


def layers_of(params: Cnn | Resnet | Mlp, classes: int, size: int) -> list[nn.Module]:
    """The layers after normalisation.

    Raises:
        ParamsError: the depth halves a picture of this size to nothing.
    """
    match params:
        case Cnn():
            _check_depth(params.depth, params.depth, size)
            return _cnn(params, classes, size)
        case Resnet():
            _check_depth(params.depth, params.depth - 1, size)
            return _resnet(params, classes, size)
        case Mlp():
            return _mlp(params, classes, size)
        case unknown:
            assert_never(unknown)


def _check_depth(depth: int, halvings: int, size: int) -> None:
    if size >> halvings < 1:
        raise ParamsError(
            f"train.model.depth {depth} halves pictures of {size} pixels (ingest.size) to nothing: "
            f"at most {size.bit_length() - 1 + depth - halvings}"
        )


def _cnn(params: Cnn, classes: int, size: int) -> list[nn.Module]:
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
    layers += [nn.AvgPool2d(window), nn.Flatten(), *unit_dropout(params.dropout.head)]
    return [*layers, nn.Linear(channels * (side // window) ** 2, classes)]


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int, params: Resnet) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(channels, width, params.kernel, stride, params.batch_norm),
            *norm_and_activation(nn.BatchNorm2d(width) if params.batch_norm else None, params.activation),
            _convolution(width, width, params.kernel, 1, params.batch_norm),
            *([nn.BatchNorm2d(width)] if params.batch_norm else []),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut.append(_convolution(channels, width, 1, stride, params.batch_norm))
            if params.batch_norm:
                self.shortcut.append(nn.BatchNorm2d(width))
        self.activation = ACTIVATIONS[params.activation]()

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side / stride rounded up, same)."""
        result: Tensor = self.activation(self.residual(features) + self.shortcut(features))
        return result


def _convolution(channels: int, width: int, kernel: int, stride: int, batch_norm: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=not batch_norm)


def _resnet(params: Resnet, classes: int, size: int) -> list[nn.Module]:
    layers: list[nn.Module] = [_convolution(3, params.width, params.kernel, 1, params.batch_norm)]
    layers += norm_and_activation(nn.BatchNorm2d(params.width) if params.batch_norm else None, params.activation)
    channels, side = params.width, size
    for level in range(params.depth):
        width = params.width * 2**level
        for block in range(params.blocks):
            stride = 2 if level and not block else 1
            layers += [ResidualBlock(channels, width, stride, params), *channel_dropout(params.dropout.blocks)]
            channels, side = width, -(-side // stride)
    layers += [nn.AvgPool2d(side), nn.Flatten(), *unit_dropout(params.dropout.head)]
    return [*layers, nn.Linear(channels, classes)]


def _mlp(params: Mlp, classes: int, size: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten()]
    features = 3 * size**2
    for _ in range(params.depth):
        layers.append(nn.Linear(features, params.width, bias=not params.batch_norm))
        layers += norm_and_activation(nn.BatchNorm1d(params.width) if params.batch_norm else None, params.activation)
        layers += unit_dropout(params.dropout.blocks)
        features = params.width
    return [*layers, *unit_dropout(params.dropout.head), nn.Linear(features, classes)]
