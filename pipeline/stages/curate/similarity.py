"""Which pictures are copies of one another: re-encoded, resized, brightened, slightly cropped or moved, as in a burst.

Perceptual hashes propose pairs, found by multi-index hashing (Norouzi et al. 2012) instead of
comparing all. The fine detail of both pictures decides, since plain and line-art pictures share
hashes without being copies; where it agrees in part, the pictures are laid over each other (see
alignment.py). Pixels are read when a pair is compared. Not found: mirrored copies, copies turned
by more than about 2 degrees, and what loses more than about 5 % on a side; crops of line art.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.images.perceptual import CROPS, SIDE, Detail, Hashes, fine_detail
from pipeline.images.pixels import Pixels
from pipeline.stages.curate.alignment import is_filled, is_moved_copy

Positions = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Blocks = Iterator[tuple[Positions, Positions]]
ReadPictures = Callable[[Positions], Pixels]

RADIUS = 6
# Measured: of photos' copies 99 in 100 agree by 0.97 or more, different photos by less than 0.9.
AGREEMENT = 0.96
# From this on pictures are laid over each other. Measured: photos moved by 3 % agree by 0.42 or more.
RESEMBLANCE = 0.4
# Grey levels of 255; less detail than this is what compression and rounding leave.
MIN_DETAIL = 1.5
# Pixels a side of the original. Measured: digits of 28 pixels by different hands agree by up to 0.965.
MIN_SIDE = SIDE

# Bits of each part of a hash; the first must be equal (see near_pairs), and so may be found by fewer.
_BANDS = (13, 17, 17, 17)
_STARTS = (0, 13, 30, 47)
# Pairs compared in one go: their arrays stay in the processor's cache.
_BLOCK = 1 << 17
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
        for pair, left in _expanded(first[one], end[one]):
            for member, right in _expanded(first[other[pair]], end[other[pair]]):
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
            for place, right in _expanded(begins, starts[others + 1]):
                difference = chosen[place] ^ ordered[right]
                near = np.flatnonzero(np.bitwise_count(difference) <= radius)
                for earlier in range(band):
                    near = near[np.bitwise_count(_band(difference[near], earlier)) > reaches[earlier]]
                if len(near):
                    yield order[lefts[place[near]]], order[right[near]]


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


def _flips(bits: int, reach: int) -> list[int]:
    """All keys of so many bits of which at most `reach` are set, those of fewer first; none for less than 0."""
    return [
        sum(1 << bit for bit in some) for size in range(reach + 1) for some in itertools.combinations(range(bits), size)
    ]


def _band(values: Hashes, band: int) -> Positions:
    return ((values >> np.uint64(_STARTS[band])) & np.uint64((1 << _BANDS[band]) - 1)).astype(np.int64)


def _ranks(*keys: npt.NDArray[Any]) -> Positions:
    """For each element, how many earlier ones have the same keys; shape (n,)."""
    order = np.lexsort(keys)
    new = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    starts = np.flatnonzero(np.append(True, new)[: len(order)])
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return ranks


def _expanded(begins: Positions, ends: Positions) -> Blocks:
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
