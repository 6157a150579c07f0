"""Rank images by the value of a label: the most uncertain ones, or those least like any labelled one."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels

Order = npt.NDArray[np.intp]
# Sides of the small picture that stands for one.
_SIDE = 8


def by_margin(probabilities: npt.NDArray[Any]) -> Order:
    """Rows by how little the most probable class leads the next: margin sampling (Scheffer et al. 2001).

    Args:
        probabilities: shape (n, classes), at least two classes.
    """
    highest = np.sort(probabilities, axis=1)[:, -2:]
    return np.argsort(highest[:, 1] - highest[:, 0], kind="stable")


def farthest_first(images: npt.NDArray[np.int32], known: npt.NDArray[np.int32], count: int) -> Order:
    """`count` rows, each the farthest from all known ones and those before it (Gonzalez 1985).

    It covers what there is with few images; Sener and Savarese (2018) choose labels so. Distances are whole
    numbers, so that they are the same on every machine; the first of equally far rows is taken.

    Args:
        images: shape (n, k), of small_picture. known: shape (m, k); without any, the one nearest to the mean is first.
    """
    nearest = np.full(len(images), np.iinfo(np.int64).max)
    for other in known:
        nearest = np.minimum(nearest, _distances(images, other))
    chosen: list[int] = []
    for _ in range(min(count, len(images))):
        middle = not len(known) and not chosen
        at = (
            int(np.argmin(_distances(images, images.mean(axis=0).astype(np.int32))))
            if middle
            else int(nearest.argmax())
        )
        chosen.append(at)
        nearest = np.minimum(nearest, _distances(images, images[at]))
        nearest[chosen] = -1
    return np.array(chosen, np.intp)


def small_picture(pixels: Pixels) -> npt.NDArray[np.int32]:
    """A picture in 8 x 8 colours, shape (192,), values in [0, 255]."""
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.int32).ravel()


def groups_in_turn(order: Sequence[int] | Order, groups: Sequence[str]) -> Order:
    """The same rows: first the best of each group, then the second of each, since near copies say the same."""
    seen: dict[str, int] = {}
    ranks = []
    for row in order:
        ranks.append(seen.get(groups[row], 0))
        seen[groups[row]] = ranks[-1] + 1
    return np.asarray(order, np.intp)[np.argsort(ranks, kind="stable")]


def _distances(images: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    difference = images - other
    return np.asarray(np.einsum("ij,ij->i", difference, difference, dtype=np.int64))
