"""Rank images by the value of a label: uncertain ones that are unlike one another and any labelled one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.randomness import Ids, keyed_generator, keyed_uniform

Order = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
# Squared distance of vectors of length 1 that nothing is known beside.
FARTHEST = 4.0
# Even of what the model is sure of some are drawn.
MIN_WORTH = 1e-3
# Images without a label that are compared with one another.
MAX_COMPARED = 4000
BLOCK, DIGITS = 256, 4


def margins(probabilities: npt.NDArray[Any]) -> Floats:
    """How far the most probable class leads the next, shape (n,), in [0, 1] (Scheffer et al. 2001).

    Args:
        probabilities: shape (n, classes), at least two classes.
    """
    highest = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0], np.float64)


def spread_out(vectors: Vectors, known: Vectors, worth: Floats, count: int, seed: int) -> Order:
    """`count` rows, drawn one by one: likelier the less they are like known and drawn ones, and the more worth.

    The chance is the worth times the squared distance to the nearest known or drawn row: k-means++ (Arthur and
    Vassilvitskii, 2007), as Ash et al. (2020) choose labels with it. The first rows of a longer queue are those of a
    shorter one. Distances are rounded, so that the last digits of sums change nothing.

    Args:
        vectors: shape (n, d). known: shape (m, d), of labelled images. worth: shape (n,), >= 0.
    """
    generator = keyed_generator(seed, "label queue")
    squares = (vectors**2).sum(axis=1)
    nearest = np.minimum(_to_nearest(vectors, known), FARTHEST)
    chosen: list[int] = []
    left = np.ones(len(vectors))
    for _ in range(min(count, len(vectors))):
        # Of equal images one is as good as another: none is left out.
        weights = np.round(np.maximum(nearest, 0.0), DIGITS) * np.maximum(worth, MIN_WORTH) * left
        weights = weights if weights.any() else left
        sums = np.cumsum(weights)
        at = min(int(np.searchsorted(sums, generator.random() * sums[-1], side="right")), int(np.flatnonzero(left)[-1]))
        chosen.append(at)
        left[at] = 0.0
        nearest = np.minimum(nearest, squares - 2 * vectors @ vectors[at] + squares[at])
    return np.array(chosen, np.intp)


def representative(vectors: Vectors, known: Vectors, count: int, ids: Ids, seed: int) -> Order:
    """`count` rows, each the one after which all rows are nearest to a known or chosen one: the largest gaps first.

    Greedy facility location (Wei, Iyer and Bilmes, 2015) on squared distances: it takes what is typical of many images
    without a label, where farthest-first takes what is odd. The first rows of a longer queue are those of a shorter
    one. Of many rows some are compared, drawn by keys; those that are not chosen follow in the order of keys.

    Args:
        vectors: shape (n, d). known: shape (m, d), of labelled images. ids: shape (n,).
    """
    drawn = np.argsort(keyed_uniform(seed, "label queue", ids), kind="stable")
    compared = np.sort(drawn[:MAX_COMPARED])
    shown = vectors[compared]
    squares = (shown**2).sum(axis=1)
    distances = np.maximum(squares[:, None] - 2 * shown @ shown.T + squares, 0.0)
    nearest = np.minimum(_to_nearest(shown, known), FARTHEST).astype(np.float32)
    chosen: list[int] = []
    for _ in range(min(count, len(compared))):
        gains = sum(
            np.maximum(nearest[start : start + BLOCK, None] - distances[start : start + BLOCK], 0.0).sum(axis=0)
            for start in range(0, len(compared), BLOCK)
        )
        gains = np.round(gains, DIGITS)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        nearest = np.minimum(nearest, distances[:, chosen[-1]])
    first = compared[chosen]
    return np.asarray(np.r_[first, drawn[~np.isin(drawn, first)]][:count], np.intp)


def _to_nearest(vectors: Vectors, known: Vectors) -> Floats:
    """The squared distance of each row to the nearest known one, shape (n,); infinite without any."""
    squares, nearest = (vectors**2).sum(axis=1), np.full(len(vectors), np.inf)
    for start in range(0, len(known), BLOCK):
        part = known[start : start + BLOCK]
        distances = squares[:, None] - 2 * vectors @ part.T + (part**2).sum(axis=1)
        nearest = np.minimum(nearest, distances.min(axis=1))
    return np.asarray(np.maximum(nearest, 0.0), np.float64)


def groups_in_turn(order: Sequence[int] | Order, groups: Sequence[str]) -> Order:
    """The same rows: first the best of each group, then the second of each, since near copies say the same."""
    seen: dict[str, int] = {}
    ranks = []
    for row in order:
        ranks.append(seen.get(groups[row], 0))
        seen[groups[row]] = ranks[-1] + 1
    return np.asarray(order, np.intp)[np.argsort(ranks, kind="stable")]
