"""Pictures of a batch mixed in pairs: mixup and CutMix, keyed by epoch and batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.randomness import keyed_generator
from pipeline.registry import Choice, Registry
from pipeline.section import Section

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

P = TypeVar("P", bound="Mixing")
Alpha = Annotated[float, Field(gt=0, le=10)]


class Mixing(Section):
    """Params of any way of mixing."""

    name: str


class NoMixing(Mixing):
    """Each picture is one picture."""

    name: Literal["none"]


class Mixup(Mixing):
    """Pictures and labels blended in pairs, by a share from Beta(alpha, alpha) (Zhang et al., 2018)."""

    name: Literal["mixup"]
    alpha: Alpha


class CutMix(Mixing):
    """A box of another picture, of an area from Beta(alpha, alpha), and so much of its label (Yun et al., 2019)."""

    name: Literal["cutmix"]
    alpha: Alpha


@dataclass(frozen=True)
class Mixed:
    """Pixels (n, 3, height, width), of which row `partners[i]` gave `1 - share` of row i."""

    pixels: "Tensor"
    partners: "Tensor"
    share: float


@dataclass(frozen=True)
class MixingRow(Choice[P]):
    """A way of mixing: (pixels, params, a generator of its own for each batch) -> the batch mixed; None: as it is."""

    mix: Callable[["Tensor", P, "np.random.Generator"], Mixed | None]


def mix(pixels: "Tensor", params: Mixing, seed: int, epoch: int, batch: int) -> Mixed | None:
    """The batch mixed with itself in another order; None where params mix nothing."""
    return MIXINGS.of(params).mix(pixels, params, keyed_generator(seed, "mixing", epoch, batch))


def _none(pixels: "Tensor", params: NoMixing, generator: "np.random.Generator") -> None:
    return None


def _mixup(pixels: "Tensor", params: Mixup, generator: "np.random.Generator") -> Mixed:
    """Whole pictures blended (Zhang et al., 2018, equation 1)."""
    share, partners = _pairs(pixels, params.alpha, generator)
    return Mixed(share * pixels.float() + (1 - share) * pixels[partners].float(), partners, share)


def _cutmix(pixels: "Tensor", params: CutMix, generator: "np.random.Generator") -> Mixed:
    """A box of the partner put into the picture; its area inside counts (Yun et al., 2019, equations 1 and 2)."""
    share, partners = _pairs(pixels, params.alpha, generator)
    rows, columns = _box(pixels.shape[-2], pixels.shape[-1], share, generator)
    mixed = pixels.clone()
    mixed[:, :, rows, columns] = pixels[partners][:, :, rows, columns]
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(mixed, partners, 1 - inside / (pixels.shape[-2] * pixels.shape[-1]))


def _pairs(pixels: "Tensor", alpha: float, generator: "np.random.Generator") -> "tuple[float, Tensor]":
    """What each picture keeps of itself, and the rows of the partners."""
    import torch

    share = float(generator.beta(alpha, alpha))
    return share, torch.from_numpy(generator.permutation(len(pixels))).to(pixels.device)


def _box(height: int, width: int, share: float, generator: "np.random.Generator") -> tuple[slice, slice]:
    """Rows and columns of a box whose area is 1 - share of the picture's, before what hangs over is cut off."""
    side = math.sqrt(1 - share)
    return _span(height, side, generator), _span(width, side, generator)


def _span(length: int, share: float, generator: "np.random.Generator") -> slice:
    middle, span = int(generator.integers(length)), int(length * share)
    return slice(max(0, middle - span // 2), min(length, middle + (span + 1) // 2))


MIXINGS: Registry[MixingRow[Any]] = Registry(
    (
        MixingRow(NoMixing, _none),
        MixingRow(Mixup, _mixup),
        MixingRow(CutMix, _cutmix),
    )
)
