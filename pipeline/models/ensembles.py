"""Several networks as one: members that share frozen layers, and the pool that combines their predictions.

An ensemble takes pixels and gives logarithms of the combined probabilities, whose softmax are these: so it is stored,
predicted with, exported and measured as any other network is.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.models.layers import split_frozen

if TYPE_CHECKING:
    from pipeline.models.params import Model

# A probability counts as no less than this: neither one member's certainty nor one image must decide.
SMALLEST = 1e-6
# What `ImageFacts` gives.
FACTS = 4


@dataclass(frozen=True)
class EnsembleOf:
    """Params of an ensemble: those of its members, in order, and the name of the pool that combines them."""

    members: tuple["Model", ...]
    pool: str


class ImageFacts(nn.Module):
    """Pixels (n, 3, size, size) of 0 to 255 -> facts (n, 4): mean brightness, contrast, colourfulness and sharpness.

    Each in units of 255: the mean and the deviation of the brightness, the mean distance of a pixel's channels from
    its brightness, and the mean step between neighbours in a row and in a column.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        channels = pixels.float() / 255
        grey = channels.mean(dim=1)
        brightness = grey.mean(dim=(1, 2))
        contrast = ((grey - brightness[:, None, None]) ** 2).mean(dim=(1, 2)).sqrt()
        colours = (channels - grey[:, None]).abs().mean(dim=(1, 2, 3))
        steps = (grey[:, :, 1:] - grey[:, :, :-1]).abs().mean(dim=(1, 2))
        steps = steps + (grey[:, 1:] - grey[:, :-1]).abs().mean(dim=(1, 2))
        return torch.stack([brightness, contrast, colours, steps], dim=1)


class Average(nn.Module):
    """The weighted mean of the members' probabilities.

    Args:
        weights: shape (members,), above 0; they add up to 1.
    """

    name = "average"

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights.float())

    def forward(self, found: Tensor, pixels: Tensor) -> Tensor:
        """Log-probabilities (n, members, k) -> of all together (n, k)."""
        return torch.logsumexp(found + self.get_buffer("weights").log()[:, None], dim=1)


class LogLinear(nn.Module):
    """The weighted sum of the members' log-probabilities and of one number per class, normalised.

    A member's weight may depend on the image: it is `weights[m, 0]` plus the image's facts times `weights[m, 1:]`.

    Args:
        weights: shape (members, 1), or (members, 1 + FACTS).
        bias: shape (k,).
        centre, spread: shape (FACTS,): facts are counted from the one in units of the other; empty without facts.
    """

    name = "log_linear"

    def __init__(self, weights: Tensor, bias: Tensor, centre: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.facts = ImageFacts()
        for name, tensor in {"weights": weights, "bias": bias, "centre": centre, "spread": spread}.items():
            self.register_buffer(name, tensor.float())

    def forward(self, found: Tensor, pixels: Tensor) -> Tensor:
        """Log-probabilities (n, members, k) -> of all together (n, k)."""
        weights, bias = self.get_buffer("weights"), self.get_buffer("bias")
        if weights.shape[1] == 1:
            pooled = (found * weights).sum(dim=1)
        else:
            facts = (self.facts(pixels) - self.get_buffer("centre")) / self.get_buffer("spread")
            of_images = weights[:, 0] + facts @ weights[:, 1:].T
            pooled = (found * of_images[:, :, None]).sum(dim=1)
        return (pooled + bias).log_softmax(dim=1)


POOLS: dict[str, type[Average | LogLinear]] = {pool.name: pool for pool in (Average, LogLinear)}


class EnsembleNetwork(nn.Module):
    """Pixels (n, 3, size, size) uint8 -> log-probabilities (n, k) of all members together.

    A member is its stem, the layers up to its last frozen one, and its head behind it. Members with one stem share it:
    it is stored once, and each picture goes through it once.

    Args:
        stem_of: the number of each member's stem.
        pool: (log-probabilities (n, members, k), pixels) -> log-probabilities (n, k).
    """

    def __init__(
        self, stems: Sequence[nn.Module], heads: Sequence[nn.Module], stem_of: Sequence[int], pool: nn.Module
    ) -> None:
        super().__init__()
        self.stems, self.heads, self.stem_of, self.pool = nn.ModuleList(stems), nn.ModuleList(heads), [*stem_of], pool

    def forward(self, pixels: Tensor) -> Tensor:
        seen = [stem(pixels) for stem in self.stems]
        found = [head(seen[stem]) for head, stem in zip(self.heads, self.stem_of, strict=True)]
        # A probability of 0 would end every sum of logarithms.
        logs = torch.stack([logits.log_softmax(dim=1).clamp(min=math.log(SMALLEST)) for logits in found], dim=1)
        pooled: Tensor = self.pool(logs, pixels)
        return pooled

    def mapped(self, change: Callable[[nn.Module], nn.Module]) -> "EnsembleNetwork":
        """The same ensemble with changed stems and heads."""
        return EnsembleNetwork([*map(change, self.stems)], [*map(change, self.heads)], self.stem_of, self.pool)


def ensemble_of(members: Sequence[nn.Module], pool: nn.Module) -> EnsembleNetwork:
    """Networks from pixels to logits as one; it shares their tensors."""
    stems: list[nn.Sequential] = []
    heads, stem_of = [], []
    for stem, head in (split_frozen(network) for network in members):
        same = next((number for number, other in enumerate(stems) if _equal(stem, other)), len(stems))
        stems += [stem] if same == len(stems) else []
        heads.append(head)
        stem_of.append(same)
    return EnsembleNetwork(stems, heads, stem_of, pool).eval()


def _equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules do the same: layers, their plain attributes and all tensors are equal."""
    tensors, others = list(_tensors(one)), list(_tensors(other))
    return _layers(one) == _layers(other) and len(tensors) == len(others) and all(map(torch.equal, tensors, others))


def _layers(module: nn.Module) -> list[tuple[type, dict[str, Any]]]:
    plain = (bool, int, float, str, tuple)

    def attributes(layer: nn.Module) -> dict[str, Any]:
        own = vars(layer).items()
        return {name: value for name, value in own if isinstance(value, plain) and name != "training"}

    return [(type(layer), attributes(layer)) for layer in module.modules()]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return (tensor.cpu() for tensor in module.state_dict().values())
