"""Which images have the most similar vectors and hashes."""

from collections.abc import Iterator

import numpy as np

from pipeline.data.vectors import unit
from pipeline.images.perceptual import Hashes
from pipeline.stages.curate.near_hashes import near_pairs
from pipeline.stages.curate.partitions import Floats, Numbers, Vectors, best, nearest_in_parts
from pipeline.workers.engine import Engine

# Up to so many images, all are compared with all.
EXACT = 20_000
_BLOCK = 1024
# More bits than there are.
NO_BITS = 65
# Images that are sorted in one go, and pairs of hashes that wait for it.
_ROWS, _WAITING = 1 << 16, 1 << 22


def nearest(vectors: Vectors, count: int, engine: Engine) -> tuple[Numbers, Floats]:
    """The most similar other images of each: numbers and cosines, shape (n, min(count, n - 1)), best first.

    Of equal ones the first in order. A vector of zeros is like nothing.
    """
    count = min(count, len(vectors) - 1)
    if count < 1:
        return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
    if len(vectors) > EXACT:
        return nearest_in_parts(vectors, count, engine)
    blocks = [*_search(unit(vectors), count)]
    return np.concatenate([numbers for numbers, _ in blocks]), np.concatenate([likeness for _, likeness in blocks])


def nearest_hashes(hashes: Hashes, count: int, radius: int) -> tuple[Numbers, Numbers]:
    """The images whose hashes differ least from each one's: their numbers and how many bits differ, best first.

    Of equally near ones the first in order. Where fewer are so near, the numbers are -1 and the bits NO_BITS.

    Args:
        hashes: shape (n,).
        radius: most bits that may differ, see near_hashes.near_pairs.

    Returns:
        Numbers and bits, shape (n, count).
    """
    distinct, group = np.unique(hashes, return_inverse=True)
    # Of equal hashes the first few stand for all: more are nobody's nearest.
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - starts[group[order]]
    few = rank <= count
    members = np.full((len(distinct), count + 1), -1)
    members[group[few], rank[few]] = np.flatnonzero(few)
    near, bits = _nearest_distinct(distinct, members[:, 0], count, radius)
    candidates = np.concatenate([members[:, None], np.where(near[..., None] < 0, -1, members[near])], axis=1)
    differing = np.repeat(np.concatenate([np.zeros((len(bits), 1), np.int64), bits], axis=1), count + 1, axis=1)
    found = [
        _first_of(candidates.reshape(len(distinct), -1), differing, group, start, count)
        for start in range(0, len(group), _ROWS)
    ]
    empty = np.empty((0, count), np.int64)
    return np.concatenate([empty, *(one for one, _ in found)]), np.concatenate([empty, *(one for _, one in found)])


def _first_of(
    candidates: Numbers, differing: Numbers, group: Numbers, start: int, count: int
) -> tuple[Numbers, Numbers]:
    """For some images those of the candidates of their hashes that differ in fewest bits, themselves left out."""
    rows = group[start : start + _ROWS]
    numbers = candidates[rows]
    none = (numbers < 0) | (numbers == start + np.arange(len(rows))[:, None])
    bits = np.where(none, NO_BITS, differing[rows])
    first = np.lexsort((numbers, bits), axis=1)[:, :count]
    bits = np.take_along_axis(bits, first, axis=1)
    return np.where(bits == NO_BITS, -1, np.take_along_axis(numbers, first, axis=1)), bits


def _nearest_distinct(distinct: Hashes, firsts: Numbers, count: int, radius: int) -> tuple[Numbers, Numbers]:
    """Of each distinct hash those that differ in fewest bits, of equally near ones those of the first images."""
    kept = np.empty((0, 3), np.int64)
    waiting: list[Numbers] = []
    for one, other in near_pairs(distinct, radius):
        bits = np.bitwise_count(distinct[one] ^ distinct[other]).astype(np.int64)
        waiting += [np.stack([one, bits, other], axis=1), np.stack([other, bits, one], axis=1)]
        if sum(map(len, waiting)) >= _WAITING:
            kept, waiting = _nearest_of([kept, *waiting], firsts, count)[0], []
    kept, rank = _nearest_of([kept, *waiting], firsts, count)
    near, differing = np.full((len(distinct), count), -1), np.full((len(distinct), count), NO_BITS)
    near[kept[:, 0], rank], differing[kept[:, 0], rank] = kept[:, 2], kept[:, 1]
    return near, differing


def _nearest_of(found: list[Numbers], firsts: Numbers, count: int) -> tuple[Numbers, Numbers]:
    """Rows (hash, bits, other hash): of each hash the first few, and which one in its order each is."""
    rows = np.concatenate(found)
    rows = rows[np.lexsort((firsts[rows[:, 2]], rows[:, 1], rows[:, 0]))]
    rank = np.arange(len(rows)) - np.searchsorted(rows[:, 0], rows[:, 0])
    return rows[rank < count], rank[rank < count]


def _search(unit: Floats, count: int) -> Iterator[tuple[Numbers, Floats]]:
    for start in range(0, len(unit), _BLOCK):
        likeness = unit[start : start + _BLOCK] @ unit.T
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -2
        yield best(np.broadcast_to(np.arange(len(unit)), likeness.shape), likeness, count)
