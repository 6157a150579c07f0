"""Networks as graphs that other runtimes can hold: the same numbers, for any number of pictures at once.

Some layers of baselines have no graph: a loop over a depth that a tensor holds, a count of colours by `bincount`, a
batch's length as a Python number. Each has a twin here, which the tests hold to its layer. A tree may turn on the last
bit of a feature, so features are summed in the order in which torch sums them.
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.baseline_layers import SMALLEST, Always, Centroids, Colours, Pixels, Trees, colour_cells
from pipeline.models.ensembles import EnsembleNetwork
from pipeline.models.prediction import probabilities_of
from pipeline.problem.framing import Outputs


class Exportable(nn.Module):
    """Pixels (n, 3, size, size) uint8 -> class probabilities (n, k), or numbers (n, 1), float32, for any n from 1 on.

    The trained network is not changed; its tensors are shared.

    Args:
        as_they_are: layers that the runtime has itself, and that get no twin.
        outputs: what the network's stand for. Where an image may have several labels each has a probability of its own.
    """

    def __init__(
        self, network: nn.Module, size: int, as_they_are: Collection[type[nn.Module]] = (), outputs: Outputs = "classes"
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.network = _twin(network, size, as_they_are).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities that add up to 1, or of each label by itself; or numbers."""
        logits: Tensor = self.network(images)
        return probabilities_of(logits, self.outputs)


def _twin(layer: nn.Module, size: int, as_they_are: Collection[type[nn.Module]]) -> nn.Module:
    make = TWINS.get(type(layer))
    if make is not None and type(layer) not in as_they_are:
        return make(layer, size)
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*(_twin(each, size, as_they_are) for each in layer))
    if isinstance(layer, EnsembleNetwork):
        return layer.mapped(lambda part: _twin(part, size, as_they_are))
    return layer


class _ExportPixels(nn.Module):
    """`Pixels` as torch's kernel has it: each window is summed pixel by pixel, then divided by its height and width."""

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        spans = [(place * size // side, -(-(place + 1) * size // side)) for place in range(side)]
        windows = [
            [row * size + column for row in range(*rows) for column in range(*columns)]
            for rows in spans
            for columns in spans
        ]
        longest = max(map(len, windows))
        # Position size ** 2 is a 0 behind the picture: adding it changes no sum.
        padded = [[*window, *[size**2] * (longest - len(window))] for window in windows]
        lengths = torch.tensor([stop - start for start, stop in spans], dtype=torch.float32)
        self.shape = (side**2, longest)
        self.register_buffer("places", torch.tensor(padded).flatten())
        self.register_buffer("heights", lengths.repeat_interleave(side))
        self.register_buffer("widths", lengths.repeat(side))

    def forward(self, pixels: Tensor) -> Tensor:
        flat = nn.functional.pad((pixels.float() / 255).flatten(2), (0, 1))
        windows = flat.index_select(2, self.get_buffer("places")).reshape(-1, 3, *self.shape)
        # Not `sum`, which adds in another order in each runtime.
        sums = windows.cumsum(dim=3)[..., -1]
        means: Tensor = sums / self.get_buffer("heights") / self.get_buffer("widths")
        return means.flatten(1)


class _ExportMean(nn.Module):
    """`Pixels` of one value per channel, which torch averages in an order of its own: in double precision instead."""

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels.float() / 255).double().mean(dim=(2, 3)).float()


class _ExportColours(nn.Module):
    """`Colours` by adding up ones, which are exact."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, pixels: Tensor) -> Tensor:
        cells = colour_cells(pixels, self.bins)
        empty = torch.zeros(cells.shape[0], self.bins**3, dtype=torch.float32)
        return empty.scatter_add(1, cells, torch.ones_like(cells, dtype=torch.float32)) / cells.shape[1]


class _ExportAlways(nn.Module):
    """`Always` for a number of pictures that is not known yet."""

    def __init__(self, layer: Always) -> None:
        super().__init__()
        self.register_buffer("logits", layer.get_buffer("logits"))

    def forward(self, features: Tensor) -> Tensor:
        return self.get_buffer("logits") + torch.zeros_like(features[:, :1])


class _ExportCentroids(nn.Module):
    """`Centroids` in double precision: large distances lose digits in their difference."""

    def __init__(self, layer: Centroids) -> None:
        super().__init__()
        self.register_buffer("centroids", layer.get_buffer("centroids").double())
        self.register_buffer("variance", layer.get_buffer("variance").double())

    def forward(self, features: Tensor) -> Tensor:
        distances = (features.double()[:, None] - self.get_buffer("centroids")).square().sum(dim=2)
        return (-distances / (2 * self.get_buffer("variance"))).float()


class _ExportTrees(nn.Module):
    """`Trees` of a depth that is a number, a step of all trees at a time."""

    def __init__(self, layer: Trees) -> None:
        super().__init__()
        for name in ("roots", "feature", "left", "right"):
            self.register_buffer(name, layer.get_buffer(name).long())
        for name in ("threshold", "values"):
            self.register_buffer(name, layer.get_buffer(name))
        self.depth = int(layer.get_buffer("depth"))
        self.votes = layer.get_buffer("values").ndim == 2
        if not self.votes:
            start, of_class = layer.get_buffer("start"), layer.get_buffer("of_class").long()
            adds = nn.functional.one_hot(of_class, len(start)).to(layer.get_buffer("values").dtype)
            self.register_buffer("start", start)
            self.register_buffer("adds", adds)

    def forward(self, features: Tensor) -> Tensor:
        values = self.get_buffer("values")[self._leaves(features.double())]
        if self.votes:
            return values.mean(dim=1).clamp(min=SMALLEST).log().float()
        return (self.get_buffer("start") + values @ self.get_buffer("adds")).float()

    def _leaves(self, features: Tensor) -> Tensor:
        feature, threshold = self.get_buffer("feature"), self.get_buffer("threshold")
        left, right = self.get_buffer("left"), self.get_buffer("right")
        nodes = self.get_buffer("roots") + torch.zeros_like(features[:, :1], dtype=torch.int64)
        for _ in range(self.depth):
            goes_left = features.gather(1, feature[nodes]) <= threshold[nodes]
            nodes = torch.where(goes_left, left[nodes], right[nodes])
        return nodes


def _pixels(layer: Any, size: int) -> nn.Module:
    return _ExportMean() if layer.side == 1 else _ExportPixels(size, layer.side)


# By the layer's class; what is not here is exported as it is.
TWINS: dict[type[nn.Module], Callable[[Any, int], nn.Module]] = {
    Pixels: _pixels,
    Colours: lambda layer, _: _ExportColours(layer.bins),
    Always: lambda layer, _: _ExportAlways(layer),
    Centroids: lambda layer, _: _ExportCentroids(layer),
    Trees: lambda layer, _: _ExportTrees(layer),
}
