"""Layers that several networks share."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Normalise(nn.Module):
    """Pixels (n, 3, height, width) of 0 to 255 -> floats of mean 0 and deviation 1 over the training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        # A channel that never varies carries nothing; dividing by its 0 would give NaN.
        self.register_buffer("std", torch.tensor(np.maximum(std, 1e-3), dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Shape stays; values in units of standard deviations."""
        return (pixels.float() / 255 - self.mean) / self.std


def norm_and_activation(norm: nn.Module | None, activation: str) -> list[nn.Module]:
    """The norm, if there is one, and the activation by its name."""
    return [*([] if norm is None else [norm]), ACTIVATIONS[activation]()]


def channel_dropout(share: float) -> list[nn.Module]:
    """Dropout of whole channels, because neighbouring pixels carry the same information (Tompson et al., 2015)."""
    return [nn.Dropout2d(share)] if share else []


def unit_dropout(share: float) -> list[nn.Module]:
    """Dropout of single units (Srivastava et al., 2014)."""
    return [nn.Dropout(share)] if share else []


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int, kernel: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(channels, width, kernel, stride, batch_norm),
            *norm_and_activation(nn.BatchNorm2d(width) if batch_norm else None, activation),
            convolution(width, width, kernel, 1, batch_norm),
            *([nn.BatchNorm2d(width)] if batch_norm else []),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut.append(convolution(channels, width, 1, stride, batch_norm))
            if batch_norm:
                self.shortcut.append(nn.BatchNorm2d(width))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side / stride rounded up, same)."""
        result: Tensor = self.activation(self.residual(features) + self.shortcut(features))
        return result


class ConvolutionBlock(nn.Module):
    """Convolution, norm and activation, with a 1x1 convolution beside the first two if there is a shortcut."""

    def __init__(
        self, channels: int, width: int, kernel: int, shortcut: bool, batch_norm: bool, activation: str
    ) -> None:
        super().__init__()

        def normed(side: int) -> nn.Sequential:
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            return nn.Sequential(convolution(channels, width, side, 1, batch_norm), *norm)

        self.main = normed(kernel)
        self.shortcut = normed(1) if shortcut else None
        self.activation = ACTIVATIONS[activation]()

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side, side)."""
        result: Tensor = self.main(features)
        if self.shortcut is not None:
            result = result + self.shortcut(features)
        activated: Tensor = self.activation(result)
        return activated


def split_frozen(network: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers up to the last frozen one, and the others; both share their tensors with the network."""
    layers = list(_in_a_row(network))
    frozen = [place for place, layer in enumerate(layers) if _is_frozen(layer)]
    depth = frozen[-1] + 1 if frozen else 0
    return nn.Sequential(*layers[:depth]), nn.Sequential(*layers[depth:])


def _in_a_row(network: nn.Module) -> Iterator[nn.Module]:
    """The layers of a network one after another, those of layers in a row within it too."""
    for layer in network.children():
        if type(layer) is nn.Sequential:
            yield from _in_a_row(layer)
        else:
            yield layer


def _is_frozen(layer: nn.Module) -> bool:
    parameters = list(layer.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def convolution(channels: int, width: int, kernel: int, stride: int, batch_norm: bool) -> nn.Conv2d:
    """A convolution of odd kernel that keeps the side, or divides it by the stride; a norm has its bias."""
    return nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=not batch_norm)
