"""MobileNetV2 (Sandler et al., 2018), with torchvision's names of layers, so that its weights files fit.

Not here: reading the file and its hash.
"""

import io
import re
import warnings

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from pipeline.errors import DataError, listing
from pipeline.models.layers import Normalise, unit_dropout

# Of ImageNet's pictures in [0, 1]: what the weights were trained with.
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Expansion, channels, blocks and first stride of each stage (table 2 of the paper).
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FEATURES = 1280


class Resize(nn.Module):
    """Pictures (n, 3, height, width) scaled to a side, smoothed where they shrink."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def extra_repr(self) -> str:
        """Its side, by which two of them are told apart where features are kept."""
        return str(self.side)

    def forward(self, pixels: Tensor) -> Tensor:
        """Shape (n, 3, side, side)."""
        if pixels.shape[-1] == self.side:
            return pixels
        return nn.functional.interpolate(pixels, size=(self.side, self.side), mode="bilinear", antialias=True)


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel, narrow again; beside a shortcut where shapes agree."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_convolution(channels, hidden, 1)]
        layers += [_convolution(hidden, hidden, 3, stride, groups=hidden), nn.Conv2d(hidden, width, 1, bias=False)]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(width))
        self.shortcut = stride == 1 and channels == width

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side / stride rounded up, same)."""
        found: Tensor = self.conv(features)
        return features + found if self.shortcut else found


class Backbone(nn.Module):
    """Normalised pictures -> features (n, 1280). Frozen, it stays as it is, also in its norms' statistics."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, 3, 2)]
        channels = 32
        for expansion, width, blocks, stride in STAGES:
            for block in range(blocks):
                layers.append(InvertedResidual(channels, width, stride if block == 0 else 1, expansion))
                channels = width
        self.features = nn.Sequential(*layers, _convolution(channels, FEATURES, 1))
        self.frozen = frozen
        self.requires_grad_(not frozen)
        self.train()

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode as in any layer; a frozen backbone stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def forward(self, pictures: Tensor) -> Tensor:
        """Shape (n, 3, side, side) -> (n, 1280)."""
        found: Tensor = self.features(pictures)
        return found.mean(dim=(2, 3))


def mobilenet_layers(side: int, frozen: bool, dropout: float, classes: int) -> list[nn.Module]:
    """All layers, from pixels of 0 to 255 to logits.

    Args:
        side: pixels per side that pictures are scaled to.
        dropout: share of the features that is set to 0 before the output layer.
    """
    head = [*unit_dropout(dropout), nn.Linear(FEATURES, classes)]
    return [Normalise(MEAN, STD), Resize(side), Backbone(frozen), *head]


def load_backbone(network: nn.Module, data: bytes, name: str) -> None:
    """Put the weights of a file into the backbone of a network of `mobilenet_layers`; its output layer stays.

    Args:
        data: the file: torch's pickle, of which only tensors are taken in, or safetensors.
        name: of the file, for messages.

    Raises:
        DataError: the file is cut short or damaged, would run code, or is of another architecture.
    """
    tensors = read_tensors(data, name)
    backbone = next(layer for layer in network.modules() if isinstance(layer, Backbone))
    wanted = backbone.state_dict()
    ours = {key: value for key, value in tensors.items() if key in wanted}
    missing = [key for key in wanted if key not in ours and not key.endswith("num_batches_tracked")]
    shapes = [
        f"{key} has shape {list(value.shape)}, not {list(wanted[key].shape)}"
        for key, value in ours.items()
        if value.shape != wanted[key].shape
    ]
    strange = [key for key in tensors if key not in wanted and not key.startswith("classifier.")]
    problems = [
        *([f"it lacks {listing(missing, 3)}"] if missing else []),
        *([f"it has {listing(strange, 3)}, which MobileNetV2 does not have"] if strange else []),
        *([listing(shapes, 2)] if shapes else []),
    ]
    if problems:
        raise DataError(
            f"{name} holds weights of another architecture than MobileNetV2 (width 1.0, torchvision's names): "
            + "; ".join(problems)
        )
    backbone.load_state_dict(ours, strict=False)


def read_tensors(data: bytes, name: str) -> dict[str, Tensor]:
    """The named tensors of a weights file.

    Raises:
        DataError: it is cut short or damaged, would run code, or holds something else.
    """
    pickled = data[:1] == b"\x80" or data[:4] == b"PK\x03\x04"
    try:
        with warnings.catch_warnings(action="ignore"):
            # weights_only: a pickle may ask for code to be run, and then nothing is loaded.
            found = torch.load(io.BytesIO(data), "cpu", weights_only=True) if pickled else load_tensors(data)
    except SafetensorError as error:
        raise DataError(
            f"{name} is not a weights file, or it is cut short or damaged ({error}): torch's .pth and .safetensors "
            f"are read"
        ) from error
    except Exception as error:
        asked = re.search(r"(?i)unsupported (?:global|class|operand) (\S+)", str(error))
        if asked:
            raise DataError(
                f"{name} is a pickle that asks for more than tensors ({asked[1]}), and was not run: do not use a file "
                "from a source that you do not trust; a trusted one can be saved again as safetensors"
            ) from error
        raise DataError(
            f"{name} is cut short or damaged ({type(error).__name__}): download or copy it again"
        ) from error
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{name} holds no table of named tensors: save the model's state_dict(), not the model")
    return dict(found)


def _convolution(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU6())
