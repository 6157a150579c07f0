"""Which images have the most similar vectors: exact search in blocks, in few dimensions first where there are many."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float16] | npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# Up to so many images, all dimensions are compared; beyond, the first principal ones propose.
EXACT = 20_000
_DIMENSIONS = 128
_PROPOSED = 4
_BLOCK = 1024
# Likenesses are compared at this precision: sums in another order differ in the sixth digit.
_DIGITS = 4


def nearest(vectors: Vectors, count: int) -> tuple[Numbers, Floats]:
    """The images most like each, itself left out: their numbers and cosines, shape (n, min(count, n - 1)), best first.

    Of equal ones the first in order. A vector of zeros is like nothing.
    """
    count = min(count, len(vectors) - 1)
    if count < 1:
        return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
    unit = _unit(vectors)
    if len(vectors) <= EXACT:
        blocks = [*_search(unit, count)]
        return np.concatenate([numbers for numbers, _ in blocks]), np.concatenate([likeness for _, likeness in blocks])
    reduced = _unit(unit @ _principal(unit))
    return _refined(unit, [numbers for numbers, _ in _search(reduced, min(_PROPOSED * count, len(unit) - 1))], count)


def nearest_hashes(hashes: npt.NDArray[np.uint64], count: int) -> tuple[Numbers, Numbers]:
    """The images whose hashes differ least from each one's: their numbers and how many bits differ, best first.

    Args:
        hashes: shape (n,).
    """
    count = min(count, len(hashes) - 1)
    numbers, bits = np.empty((2, len(hashes), max(count, 0)), np.int64)
    for start in range(0, len(hashes) if count > 0 else 0, _BLOCK):
        differing = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes).astype(np.int64)
        rows = np.arange(len(differing))
        differing[rows, start + rows] = 65
        # Of equally near ones the first: places make every value another one.
        keys = differing * len(hashes) + np.arange(len(hashes))
        best = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
        bits[start : start + _BLOCK], numbers[start : start + _BLOCK] = np.divmod(best, len(hashes))
    return numbers, bits


def _unit(vectors: Vectors) -> Floats:
    found = vectors.astype(np.float32)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def _principal(unit: Floats) -> Floats:
    """The directions in which a sample of vectors, evenly spread in their order, differ most; (dimensions, few)."""
    sample = unit[:: max(1, len(unit) // EXACT)].astype(np.float64)
    sample -= sample.mean(axis=0)
    _, directions = np.linalg.eigh(sample.T @ sample)
    return directions[:, -_DIMENSIONS:].astype(np.float32)


def _search(unit: Floats, count: int) -> Iterator[tuple[Numbers, Floats]]:
    for start in range(0, len(unit), _BLOCK):
        likeness = unit[start : start + _BLOCK] @ unit.T
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -2
        yield _best(np.broadcast_to(np.arange(len(unit)), likeness.shape), likeness, count)


def _refined(unit: Floats, proposed: list[Numbers], count: int) -> tuple[Numbers, Floats]:
    numbers = np.concatenate(proposed)
    found = [
        _best(block, np.einsum("nd,nkd->nk", unit[start : start + len(block)], unit[block]), count)
        for start in range(0, len(unit), _BLOCK)
        for block in [numbers[start : start + _BLOCK]]
    ]
    return np.concatenate([each for each, _ in found]), np.concatenate([each for _, each in found])


def _best(numbers: Numbers, likeness: Floats, count: int) -> tuple[Numbers, Floats]:
    likeness = np.round(likeness, _DIGITS).astype(np.float32)
    chosen = np.argpartition(-likeness, min(count, likeness.shape[1] - 1), axis=1)[:, : count + 1]
    values, places = np.take_along_axis(likeness, chosen, axis=1), np.take_along_axis(numbers, chosen, axis=1)
    order = np.lexsort((places, -values), axis=1)[:, :count]
    return np.take_along_axis(places, order, axis=1).astype(np.int64), np.take_along_axis(values, order, axis=1)
