"""Last layers of networks whose classes have an order or a tree, or that measure a number.

Of classes they make log-probabilities, which are logits whose softmax are the probabilities: so losses, predictions and
exports take them for such.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.problem.class_tree import Tree, paths
from pipeline.problem.framing import Framing, Nested, Numeric

# Between two thresholds, of logits: a class in the middle then has a probability of 0.76 at best, and gaps learn to
# widen from there.
FIRST_GAP = 2.0
# What 1 - exp(-gap) still tells from 0 in single precision.
MIN_GAP = 1e-3


@dataclass(frozen=True)
class OutputLayer:
    """The output layer for a framing.

    numbers: how many numbers the network gives a picture. layer: makes logits (n, k) of them, or None if they are such.
    """

    numbers: int
    layer: Callable[[], nn.Module] | None = None


class CumulativeLink(nn.Module):
    """A number per picture (n, 1) -> log-probabilities of classes in an order (n, k): the proportional odds model.

    P(class <= j) = sigmoid(threshold j - number), of rising thresholds (McCullagh, 1980, equation 1.1); each lies a
    softplus, and a little, above the one before.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor([-FIRST_GAP * (classes - 2) / 2]))
        self.gaps = nn.Parameter(torch.full((classes - 2,), math.log(math.expm1(FIRST_GAP))))

    def forward(self, number: Tensor) -> Tensor:
        """Log-probabilities (n, k), finite for any number."""
        gaps = nn.functional.softplus(self.gaps) + MIN_GAP
        thresholds = torch.cat([self.first, gaps]).cumsum(0)
        below = thresholds - number.float()
        # The classes between two thresholds: sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)).
        inner = torch.log1p(-torch.exp(-gaps))
        up, down = nn.functional.logsigmoid(below), nn.functional.logsigmoid(-below)
        return torch.cat([up[:, :1], up[:, 1:] + down[:, :-1] + inner, down[:, -1:]], dim=1)


class Cascade(nn.Module):
    """A number for each entry of each group (n, e) -> log-probabilities of the classes, leaves of the tree (n, k).

    Each group has a softmax over its entries; a class has the product of those on its path (conditional softmaxes, as
    in Redmon and Farhadi, 2017, section 4).
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        sizes, names = zip(*groups(tree), strict=True)
        places = {path: place for place, path in enumerate(path for group in names for path in group)}
        self.sizes = list(sizes)
        ways = [[places[path[: length + 1]] for length in range(len(path))] for path in paths(tree).values()]
        longest = max(map(len, ways))
        # A shorter way is filled up with the number behind the last, which is 0.
        filled = [[*way, *[len(places)] * (longest - len(way))] for way in ways]
        # Not of the file: the tree in its header says it.
        self.register_buffer("ways", torch.tensor(filled), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Log-probabilities of the classes, in the order of the tree."""
        parts = [part.log_softmax(dim=1) for part in torch.split(numbers.float(), self.sizes, dim=1)]
        filled = nn.functional.pad(torch.cat(parts, dim=1), (0, 1))
        ways = self.get_buffer("ways")
        found: Tensor = filled.index_select(1, ways.flatten()).reshape(-1, *ways.shape).sum(dim=2)
        return found


class Scale(nn.Module):
    """Numbers around 0 (n, 1) -> numbers in the unit of what is measured (n, 1): mean + deviation times number."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, numbers: Tensor) -> Tensor:
        """In single precision, whatever the layers before it had."""
        return self.get_buffer("mean") + self.get_buffer("deviation") * numbers.float()


def groups(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[int, list[tuple[str, ...]]]]:
    """Of each group of a tree, the root first, how many entries it has, and their paths from the root."""
    yield len(tree), [(*above, name) for name in tree]
    for name, inner in tree.items():
        if inner is not None:
            yield from groups(inner, (*above, name))


def output_layer(framing: Framing, classes: int) -> OutputLayer:
    """The output layer for a framing and a number of classes."""
    return OUTPUTS[getattr(framing, "output", "softmax")](framing, classes)


def _softmax(framing: Framing, classes: int) -> OutputLayer:
    return OutputLayer(classes)


def _cumulative(framing: Framing, classes: int) -> OutputLayer:
    return OutputLayer(1, lambda: CumulativeLink(classes))


def _cascade(framing: Framing, classes: int) -> OutputLayer:
    assert isinstance(framing, Nested)  # noqa: S101
    tree = framing.tree
    return OutputLayer(sum(size for size, _ in groups(tree)), lambda: Cascade(tree))


def _scaled(framing: Framing, classes: int) -> OutputLayer:
    assert isinstance(framing, Numeric)  # noqa: S101
    mean, deviation = framing.mean, framing.deviation
    return OutputLayer(1, lambda: Scale(mean, deviation))


OUTPUTS: Mapping[str, Callable[[Any, int], OutputLayer]] = {
    "softmax": _softmax,
    "cumulative": _cumulative,
    "cascade": _cascade,
    "scaled": _scaled,
}
