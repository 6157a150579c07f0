"""Find the most similar vectors among very many images: in parts, so that time grows in proportion to their number.

An inverted file (Sivic and Zisserman, 2003) over few dimensions: the principal ones of a sample; k-means of the sample
gives parts, and the images of a part are compared with those of the nearest parts. What is nearest there is compared
again in all dimensions. Each part is searched for itself, so that any number of threads finds the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.vectors import unit
from pipeline.workers.engine import Engine

Vectors = npt.NDArray[np.float16] | npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# Measured on 1,000,000 vectors: see benchmarks/RESULTS.md.
DIMENSIONS = 128
# Images of a part on average; a part of more than twice as many is cut.
PART = 1000
# Parts that each part is compared with, itself among them.
PROBED = 24
# So many are compared in all dimensions for each that is asked for.
PROPOSED = 6
_SAMPLE = 20_000
_ROUNDS = 8
_BLOCK = 128
# Values of which only the largest is looked at first.
_RUN = 16
# Rows that are converted in one go.
_ROWS = 1 << 13
# Likenesses are compared at this precision: sums in another order differ in the sixth digit.
DIGITS = 4


def nearest_in_parts(vectors: Vectors, count: int, engine: Engine) -> tuple[Numbers, Floats]:
    """The most similar other images of each: their numbers and cosines, shape (n, count), best first.

    Almost always: an image whose part is far away is not found. Beside the vectors it takes half a kilobyte an image.

    Args:
        vectors: shape (n, d); n is far more than `count`.
    """
    with threadpool_limits(1, user_api="blas"):
        reduced = _reduced(vectors, engine)
        members, nearby = _parts(reduced, engine)
        search = partial(_searched, search=_Search(vectors, reduced, members, nearby, count))
        found = engine.map_threads(search, range(len(members)), "curate: nearest vectors")
    numbers, likeness = np.empty((len(vectors), count), np.int64), np.empty((len(vectors), count), np.float32)
    for part, (some, alike) in zip(members, found, strict=True):
        numbers[part], likeness[part] = some, alike
    return numbers, likeness


def best(numbers: Numbers, likeness: Floats, count: int) -> tuple[Numbers, Floats]:
    """The `count` most similar of each row; among equal ones, those with the smallest numbers."""
    likeness = np.round(likeness, DIGITS).astype(np.float32)
    chosen = np.argpartition(-likeness, min(count, likeness.shape[1] - 1), axis=1)[:, : count + 1]
    values, places = np.take_along_axis(likeness, chosen, axis=1), np.take_along_axis(numbers, chosen, axis=1)
    order = np.lexsort((places, -values), axis=1)[:, :count]
    return np.take_along_axis(places, order, axis=1).astype(np.int64), np.take_along_axis(values, order, axis=1)


@dataclass(frozen=True)
class _Search:
    vectors: Vectors
    reduced: Floats
    members: Sequence[Numbers]
    nearby: Numbers
    count: int


def _searched(part: int, search: _Search) -> tuple[Numbers, Floats]:
    """The nearest of each member of a part."""
    members = search.members[part]
    others = np.concatenate([search.members[other] for other in search.nearby[part]])
    targets = search.reduced[others]
    # The nearest by distance: half the square of each target's length counts against it.
    lengths = np.square(targets).sum(axis=1) / 2
    proposed = min(PROPOSED * search.count, len(others) - 1)
    found = []
    for start in range(0, len(members), _BLOCK):
        asked = members[start : start + _BLOCK]
        near = search.reduced[asked] @ targets.T
        near -= lengths
        # A part comes first among those that are near it: its members are in their own places.
        near[np.arange(len(asked)), start + np.arange(len(asked))] = -np.inf
        found.append(_compared(search.vectors, asked, others[_largest(near, proposed)], search.count))
    return np.concatenate([numbers for numbers, _ in found]), np.concatenate([likeness for _, likeness in found])


def _largest(values: Floats, count: int) -> Numbers:
    """The places of the largest of each row, in any order: they lie in the runs of which the largest are largest."""
    runs = values.shape[1] // _RUN
    if runs <= count:
        return np.argpartition(values, -count, axis=1)[:, -count:]
    tops = values[:, : runs * _RUN].reshape(len(values), runs, _RUN).max(axis=2)
    chosen = np.argpartition(tops, -count, axis=1)[:, -count:]
    places = (chosen[..., None] * _RUN + np.arange(_RUN)).reshape(len(values), -1)
    rest = np.broadcast_to(np.arange(runs * _RUN, values.shape[1]), (len(values), values.shape[1] % _RUN))
    places = np.concatenate([places, rest], axis=1)
    best_of = np.argpartition(np.take_along_axis(values, places, axis=1), -count, axis=1)[:, -count:]
    return np.take_along_axis(places, best_of, axis=1)


def _compared(vectors: Vectors, asked: Numbers, proposed: Numbers, count: int) -> tuple[Numbers, Floats]:
    """Of those that are proposed for each the most alike in all dimensions."""
    targets = vectors[proposed.ravel()].astype(np.float32).reshape(*proposed.shape, -1)
    lengths = np.sqrt(np.einsum("nkd,nkd->nk", targets, targets))
    likeness = (targets @ unit(vectors[asked])[..., None])[..., 0] / np.maximum(lengths, 1e-12)
    return best(proposed, likeness, count)


def _reduced(vectors: Vectors, engine: Engine) -> Floats:
    """The vectors in the directions in which a sample of them differs most; shape (n, at most DIMENSIONS)."""
    sample = unit(vectors[_spread(len(vectors), _SAMPLE)]).astype(np.float64)
    sample -= sample.mean(axis=0)
    _, directions = np.linalg.eigh(sample.T @ sample)
    chosen = directions[:, -DIMENSIONS:].astype(np.float32)
    reduced = np.empty((len(vectors), chosen.shape[1]), np.float32)

    def fill(start: int) -> None:
        reduced[start : start + _ROWS] = unit(vectors[start : start + _ROWS]) @ chosen

    engine.map_threads(fill, range(0, len(vectors), _ROWS), "curate: fewer dimensions")
    return reduced


def _parts(reduced: Floats, engine: Engine) -> tuple[list[Numbers], Numbers]:
    """The numbers of the images of each part, and of each part those nearest to it, itself first."""
    count = max(1, len(reduced) // PART)
    sample = reduced[_spread(len(reduced), max(_SAMPLE, 32 * count))]
    centres = sample[_spread(len(sample), count)]
    for _ in range(_ROUNDS):
        belongs = _nearest_centre(sample, centres)
        sums = np.zeros(centres.shape)
        np.add.at(sums, belongs, sample)
        counts = np.bincount(belongs, minlength=count)[:, None]
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres).astype(np.float32)
    blocks = engine.map_threads(
        lambda start: _nearest_centre(reduced[start : start + _ROWS], centres),
        range(0, len(reduced), _ROWS),
        "curate: parts",
    )
    belongs = np.concatenate(blocks)
    order = np.argsort(belongs, kind="stable")
    whole = np.split(order, np.cumsum(np.bincount(belongs, minlength=count))[:-1])
    members, centre = [], []
    for number, part in enumerate(whole):
        for start in range(0, len(part), 2 * PART):
            members.append(part[start : start + 2 * PART])
            centre.append(number)
    apart = _distances(centres[centre], centres[centre])
    apart[np.arange(len(centre)), np.arange(len(centre))] = -np.inf
    return members, np.argsort(np.round(apart, DIGITS), axis=1, kind="stable")[:, :PROBED]


def _spread(length: int, count: int) -> Numbers:
    """At most `count` numbers, evenly spread over [0, length)."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).astype(np.int64))


def _nearest_centre(points: Floats, centres: Floats) -> Numbers:
    return np.asarray(_distances(points, centres).argmin(axis=1), np.int64)


def _distances(points: Floats, centres: Floats) -> Floats:
    """Squares of distances, less the square of each point's length."""
    found: Floats = np.square(centres).sum(axis=1) - 2 * points @ centres.T
    return found
