"""Which pictures are copies of one another: re-encoded, resized, brightened, slightly cropped or moved, as in a burst.

Perceptual hashes propose pairs (see near_hashes.py). The fine detail of both pictures decides, since plain and
line-art pictures share hashes without being copies; where it agrees in part, the pictures are laid over each other
(see alignment.py). Pixels are read when a pair is compared. Not found: mirrored copies, copies turned by more than
about 2 degrees, and what loses more than about 5 % on a side; crops of line art.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.images.perceptual import CROPS, SIDE, Detail, Hashes, fine_detail
from pipeline.images.pixels import Pixels
from pipeline.stages.curate.alignment import is_filled, is_moved_copy
from pipeline.stages.curate.near_hashes import RADIUS, Positions, expanded, near_pairs

Truths = npt.NDArray[np.bool_]
ReadPictures = Callable[[Positions], Pixels]

# Measured: of photos' copies 99 in 100 agree by 0.97 or more, different photos by less than 0.9.
AGREEMENT = 0.96
# From this on pictures are laid over each other. Measured: photos moved by 3 % agree by 0.42 or more.
RESEMBLANCE = 0.4
# Grey levels of 255; less detail than this is what compression and rounding leave.
MIN_DETAIL = 1.5
# Pixels a side of the original. Measured: digits of 28 pixels by different hands agree by up to 0.965.
MIN_SIDE = SIDE

# Pairs looked at in one go, and pictures whose views are remembered (3 kB each).
_PAIRS_AT_ONCE = 1 << 13
_REMEMBERED = 1 << 17
# So many others a picture is laid over in vain, then no more: a crowd of forms, of which all resemble all.
_VAIN = 16
# Of pictures with one hash so many of each family are compared with other hashes, and so many families.
_FEW = 8
_CROWD = 64


def comparable(detail: npt.NDArray[Any], width: npt.NDArray[Any], height: npt.NDArray[Any]) -> Truths:
    """Whether each picture (n,) has enough detail and pixels to be told from others.

    Args:
        detail: strength of its fine detail, as perceptual.marks gives it.
        width, height: pixels of the original.
    """
    enough: Truths = (detail >= MIN_DETAIL) & (np.minimum(width, height) >= MIN_SIDE)
    return enough


def agreement(one: Detail, other: Detail) -> npt.NDArray[np.float64]:
    """How far pictures agree in their fine detail (n, SIDE, SIDE), pair by pair: in [-1, 1], and 0 if one is too plain.

    Its correlation: different pictures of one kind of scene share their coarse shape, copies also share this.
    """
    dots = partial(np.einsum, "nij,nij->n", dtype=np.float64)  # so exact that their order does not show
    powers = np.stack([dots(detail, detail) for detail in (one, other)])
    agreed = dots(one, other) / np.maximum(np.sqrt(powers.prod(axis=0)), 1e-6)
    return np.where(powers.min(axis=0) >= MIN_DETAIL**2 * SIDE**2, agreed, 0.0)


def copies(
    hashes: Hashes,
    compared: Truths,
    views_of: ReadPictures,
    portraits_of: ReadPictures,
    parts: Positions | None = None,
    radius: int = RADIUS,
) -> tuple[Positions, Positions]:
    """Pairs (i, j) of copies that connect all pictures which copies connect; not every pair of copies.

    Thousands may share one hash: of more than 8 copies with one hash the first 8 stand for all, and
    of more than 64 views with one hash that differ the later ones are compared with the first 64
    alone. Each pair of different pictures with near hashes costs a comparison of about a microsecond;
    those that resemble each other are laid over each other, which costs about a millisecond, until a
    picture was laid over 16 others in vain.

    Args:
        hashes: of the views of each picture, shape (n, len(CROPS)).
        compared: shape (n,); pictures that are not compared are nobody's copies.
        views_of: gives the views of pictures by their numbers, shape (k, len(CROPS), SIDE, SIDE); it may
            be asked for the same picture again.
        portraits_of: gives their portraits, shape (k, PORTRAIT_SIDE, PORTRAIT_SIDE), as alignment.portrait
            makes them; asked for few.
        parts: shape (n,); pictures of one part are not compared. None: all are.
    """
    links = _Links(len(hashes), views_of, portraits_of, parts)
    values = hashes.ravel()
    seen = _compare_equal(np.flatnonzero(np.repeat(compared, len(CROPS))), values, links)
    seen = seen[np.argsort(values[seen], kind="stable")]
    seen = seen[links.rank(seen, values) < _FEW]
    distinct, first, counts = np.unique(values[seen], return_index=True, return_counts=True)
    end = first + counts
    for one, other in near_pairs(distinct, radius):
        for pair, left in expanded(first[one], end[one]):
            for member, right in expanded(first[other[pair]], end[other[pair]]):
                links.add(seen[left[member]], seen[right])
    links.link_waiting()
    i, j = (np.concatenate(part) for part in zip(*links.linked_pairs, strict=True))
    return i, j


def linked(labels: Positions, i: Positions, j: Positions) -> Positions:
    """Labels after the groups of i and j are joined, pair by pair; the smallest label stays.

    Args:
        labels: shape (n,), each the number of the first member of its group.
    """
    labels = labels.copy()
    while (labels[i] != labels[j]).any():
        one, other = labels[i], labels[j]
        np.minimum.at(labels, np.maximum(one, other), np.minimum(one, other))
        while (labels != labels[labels]).any():
            labels = labels[labels]
    return labels


class _Links:
    """The pictures linked so far; pairs of views wait until there are enough to compare at once.

    A view's number is that of its picture times len(CROPS), plus its own.
    """

    def __init__(self, count: int, views_of: ReadPictures, portraits_of: ReadPictures, parts: Positions | None) -> None:
        self.labels = np.arange(count)
        self.linked_pairs = [(self.labels[:0], self.labels[:0])]
        self._views_of = views_of
        self._portraits_of = portraits_of
        self._parts = parts
        self._waiting = [self.linked_pairs[0]]
        self._views: dict[int, Pixels] = {}
        # None: not filled, so that laying it over others would mean nothing.
        self._portraits: dict[int, Pixels | None] = {}
        self._vain: set[tuple[int, int]] = set()
        self._times_vain = np.zeros(count, np.int64)

    def add(self, one: Positions, other: Positions) -> None:
        """Compare pairs of views, now or later, if their pictures are not linked yet."""
        for begin in range(0, len(one), _PAIRS_AT_ONCE):
            self._waiting.append(self._open(one[begin : begin + _PAIRS_AT_ONCE], other[begin : begin + _PAIRS_AT_ONCE]))
            if sum(len(left) for left, _ in self._waiting) >= _PAIRS_AT_ONCE:
                self.link_waiting()

    def link_waiting(self) -> None:
        """Compare the waiting pairs, and link those that agree."""
        one, other = self._open(*(np.concatenate(part) for part in zip(*self._waiting, strict=True)))
        self._waiting = [self.linked_pairs[0]]
        if not len(one):
            return
        numbers, (left, right) = np.unique(np.stack([one, other]), return_inverse=True)
        detail = fine_detail(self._seen(numbers))
        agreed = agreement(detail[left], detail[right])
        pictures = np.sort(np.stack([one, other]) // len(CROPS), axis=0)
        self._link(*pictures[:, agreed >= AGREEMENT])
        self._align(pictures[:, (agreed >= RESEMBLANCE) & (agreed < AGREEMENT)])

    def rank(self, numbers: Positions, values: Hashes) -> Positions:
        """How many earlier views have the same hash, and a picture of the same family and part."""
        pictures = numbers // len(CROPS)
        parts = self.labels if self._parts is None else self._parts
        return _ranks(parts[pictures], self.labels[pictures], values[numbers])

    def mixed(self, numbers: Positions, values: Hashes) -> Positions:
        """The views in the order of their hashes; of one hash the parts take turns."""
        part = np.zeros(len(numbers), np.int64) if self._parts is None else self._parts[numbers // len(CROPS)]
        return numbers[np.lexsort((part, _ranks(part, values[numbers]), values[numbers]))]

    def _open(self, one: Positions, other: Positions) -> tuple[Positions, Positions]:
        # Of a cluster of n copies most pairs are linked by earlier ones: they need no look.
        i, j = one // len(CROPS), other // len(CROPS)
        new = self.labels[i] != self.labels[j]
        if self._parts is not None:
            new &= self._parts[i] != self._parts[j]
        return one[new], other[new]

    def _link(self, i: Positions, j: Positions) -> None:
        self.labels = linked(self.labels, i, j)
        self.linked_pairs.append((i, j))

    def _align(self, pictures: Positions) -> None:
        """Link those pairs (2, n) that show the same once one picture is laid over the other."""
        pictures = np.unique(pictures, axis=1)
        ends = self.labels[pictures]
        wanted = (ends[0] != ends[1]) & (self._times_vain[pictures] < _VAIN).all(axis=0)
        wanted &= np.array([pair not in self._vain for pair in zip(*pictures.tolist(), strict=True)], np.bool_)
        pictures, ends = pictures[:, wanted], ends[:, wanted]
        self._fetch_portraits({*pictures.ravel().tolist()})
        joined = np.zeros(pictures.shape[1], np.bool_)
        for number, (i, j) in enumerate(pictures.T.tolist()):
            one, other = self._portraits[i], self._portraits[j]
            family, second = ends[:, number]
            if one is None or other is None or family == second or self._times_vain[[i, j]].max() >= _VAIN:
                continue
            joined[number] = is_moved_copy(one, other)
            if joined[number]:
                ends[ends == second] = family
            else:
                self._vain.add((i, j))
                self._times_vain[[i, j]] += 1
        self._link(*pictures[:, joined])

    def _fetch_portraits(self, pictures: set[int]) -> None:
        new = sorted(pictures - self._portraits.keys())
        if len(self._portraits) + len(new) > _REMEMBERED:
            self._portraits, new = {}, sorted(pictures)
        if new:
            seen = self._portraits_of(np.array(new))
            self._portraits.update(
                (picture, shown if is_filled(shown) else None) for picture, shown in zip(new, seen, strict=True)
            )

    def _seen(self, numbers: Positions) -> Pixels:
        pictures = np.unique(numbers // len(CROPS)).tolist()
        new = [picture for picture in pictures if picture not in self._views]
        if len(self._views) + len(new) > _REMEMBERED:
            self._views, new = {}, pictures
        if new:
            self._views.update(zip(new, self._views_of(np.array(new)), strict=True))
        return np.stack([self._views[number // len(CROPS)][number % len(CROPS)] for number in numbers.tolist()])


def _compare_equal(numbers: Positions, values: Hashes, links: _Links) -> Positions:
    """Views that stand for all, after those of equal hashes were compared.

    In each round the first view of every hash is compared with the others; then it goes, and so do those that stand
    behind enough of their family.
    """
    left = links.mixed(numbers, values)
    kept = [left[:0]]
    for _ in range(_CROWD):
        first = np.append(True, values[left][1:] != values[left][:-1])[: len(left)]
        leaders, others = left[first], left[~first]
        kept.append(leaders)
        links.add(leaders[np.cumsum(first) - 1][~first], others)
        links.link_waiting()
        left = others[links.rank(others, values) < _FEW]
    return np.concatenate(kept)


def _ranks(*keys: npt.NDArray[Any]) -> Positions:
    """For each element, how many earlier ones have the same keys; shape (n,)."""
    order = np.lexsort(keys)
    new = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    starts = np.flatnonzero(np.append(True, new)[: len(order)])
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return ranks
