"""Pictures of a batch mixed in pairs: mixup and CutMix, keyed by epoch and batch."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.randomness import keyed_generator
from pipeline.training.params import AnyMixing, CutMix, NoMixing


@dataclass(frozen=True)
class Mixed:
    """Pixels (n, 3, height, width), of which row `partners[i]` gave `1 - share` of row i."""

    pixels: Tensor
    partners: Tensor
    share: float


def mix(pixels: Tensor, params: AnyMixing, seed: int, epoch: int, batch: int) -> Mixed | None:
    """The batch mixed with itself in another order; None where params mix nothing.

    mixup blends whole pictures (Zhang et al., 2018, equation 1); CutMix puts a box of the partner into
    the picture and counts its area inside (Yun et al., 2019, equations 1 and 2).
    """
    if isinstance(params, NoMixing):
        return None
    generator = keyed_generator(seed, "mixing", epoch, batch)
    share = float(generator.beta(params.alpha, params.alpha))
    partners = torch.from_numpy(generator.permutation(len(pixels))).to(pixels.device)
    if not isinstance(params, CutMix):
        return Mixed(share * pixels.float() + (1 - share) * pixels[partners].float(), partners, share)
    rows, columns = _box(pixels.shape[-2], pixels.shape[-1], share, generator)
    mixed = pixels.clone()
    mixed[:, :, rows, columns] = pixels[partners][:, :, rows, columns]
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(mixed, partners, 1 - inside / (pixels.shape[-2] * pixels.shape[-1]))


def _box(height: int, width: int, share: float, generator: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box whose area is 1 - share of the picture's, before what hangs over is cut off."""
    side = math.sqrt(1 - share)
    return _span(height, side, generator), _span(width, side, generator)


def _span(length: int, share: float, generator: np.random.Generator) -> slice:
    middle, span = int(generator.integers(length)), int(length * share)
    return slice(max(0, middle - span // 2), min(length, middle + (span + 1) // 2))
