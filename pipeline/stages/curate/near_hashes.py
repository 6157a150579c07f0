"""Pairs of hashes that differ in few bits: multi-index hashing (Norouzi et al. 2012) instead of comparing all."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.images.perceptual import Hashes

Positions = npt.NDArray[np.int64]
Blocks = Iterator[tuple[Positions, Positions]]

RADIUS = 6

# Bits of each part of a hash; the first must be equal (see near_pairs), and so may be found by fewer.
_BANDS = (13, 17, 17, 17)
_STARTS = (0, 13, 30, 47)
# Pairs compared in one go: their arrays stay in the processor's cache.
_BLOCK = 1 << 17


def near_pairs(values: Hashes, radius: int = RADIUS) -> Blocks:
    """Pairs of numbers of distinct hashes (n,) that differ in at most `radius` bits (0 to 15), each once; in blocks.

    Of two hashes that differ in few bits, one of four bands differs in very few: each band has a reach
    (bits in which it may differ, 0 to 3), and the reaches + 1 sum to radius + 1.
    """
    if not 0 <= radius < 4 * len(_BANDS):
        raise ValueError(f"the radius must be in [0, {4 * len(_BANDS)}), got {radius}")
    reaches = [(radius + 1 + band) // len(_BANDS) - 1 for band in range(len(_BANDS))]
    for band, (bits, reach) in enumerate(zip(_BANDS, reaches, strict=True)):
        keys = _band(values, band)
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], values[order]
        starts = np.searchsorted(keys, np.arange((1 << bits) + 1))
        for flip in _flips(bits, reach):
            # Of two keys one has a 0 where they differ first.
            lefts = np.flatnonzero(keys & (flip & -flip) == 0)
            chosen, others = ordered[lefts], keys[lefts] ^ flip
            begins = starts[others] if flip else lefts + 1
            for place, right in expanded(begins, starts[others + 1]):
                difference = chosen[place] ^ ordered[right]
                near = np.flatnonzero(np.bitwise_count(difference) <= radius)
                for earlier in range(band):
                    near = near[np.bitwise_count(_band(difference[near], earlier)) > reaches[earlier]]
                if len(near):
                    yield order[lefts[place[near]]], order[right[near]]


def _flips(bits: int, reach: int) -> list[int]:
    """All keys of so many bits of which at most `reach` are set, those of fewer first; none for less than 0."""
    return [
        sum(1 << bit for bit in some) for size in range(reach + 1) for some in itertools.combinations(range(bits), size)
    ]


def _band(values: Hashes, band: int) -> Positions:
    return ((values >> np.uint64(_STARTS[band])) & np.uint64((1 << _BANDS[band]) - 1)).astype(np.int64)


def expanded(begins: Positions, ends: Positions) -> Blocks:
    """(k, each number in [begins[k], ends[k])) for every k, in blocks of about the same size."""
    counts = np.maximum(ends - begins, 0)
    totals = np.cumsum(counts)
    total = int(totals[-1]) if len(totals) else 0
    cuts = np.searchsorted(totals, np.arange(_BLOCK, total, _BLOCK), side="left") + 1
    bounds = [0, *dict.fromkeys(cuts.tolist()), len(counts)]
    for low, high in itertools.pairwise(bounds):
        size = counts[low:high]
        if not size.any():
            continue
        keys = np.repeat(np.arange(low, high), size)
        skipped = np.repeat(begins[low:high] - (np.cumsum(size) - size), size)
        yield keys, skipped + np.arange(len(keys))
