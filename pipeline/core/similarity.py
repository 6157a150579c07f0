"""Which pictures are copies of one another: re-encoded, resized, brightened or slightly cropped.

A perceptual hash (Zauner 2010: signs of the lowest DCT frequencies) proposes pairs, found by
multi-index hashing (Norouzi et al. 2012) instead of comparing all. The fine detail of both pictures
decides, since plain and line-art pictures share hashes without being copies. Not found: mirrored and
turned copies, crops of more than about 4 % a side, and crops of one side alone.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.core.imaging import Pixels

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Blocks = Iterator[tuple[Positions, Positions]]

SIDE = 32
# A crop moves the content: each picture is also seen without this share of each side (1 = none).
CROPS = (0.0, 1 / 64, 1 / 32)
RADIUS = 6
# Measured: of photos' copies 99 in 100 agree by 0.975 or more, different handwritten digits by less than 0.97.
AGREEMENT = 0.96
# Grey levels of 255; less detail than this is what compression and rounding leave.
LEAST_DETAIL = 1.5

_BANDS, _BAND_BITS = 4, 16
# Pairs looked at in one go: their arrays stay in the processor's cache.
_BLOCK = 1 << 18
_LOOKS = 1 << 12
_FREQUENCIES = 8
_STEPS = np.arange(SIDE)
# Whole numbers, so that a hash is the same on every machine.
_DCT = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * _STEPS + 1) / (2 * SIDE))).astype(np.int64)


def _blurring() -> npt.NDArray[np.float32]:
    """The matrix of a running mean of 5 with mirrored ends, shape (SIDE, SIDE)."""
    matrix = np.zeros((SIDE, SIDE), np.float32)
    for step in range(-2, 3):
        mirrored = (SIDE - 1) - np.abs((SIDE - 1) - np.abs(_STEPS + step))
        np.add.at(matrix, (_STEPS, mirrored), np.float32(0.2))
    return matrix


_BLUR = _blurring()


def views(pixels: Pixels) -> Pixels:
    """A picture in grey, as a whole and without its margins; shape (len(CROPS), SIDE, SIDE).

    Args:
        pixels: shape (height, width, 3).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    # Margins are fractions of a pixel of the small view: first as large as they need to be whole.
    large = _resized(_resized(grey, 2 * SIDE), 4 * SIDE)
    margins = [round(crop * 4 * SIDE) for crop in CROPS]
    kept = [large[margin : 4 * SIDE - margin, margin : 4 * SIDE - margin] for margin in margins]
    return np.stack([_resized(part, SIDE) for part in kept])


def perceptual_hash(greys: Pixels) -> Hashes:
    """The hash of each grey picture: bit = the frequency is above the median of the 8 x 8 lowest.

    Args:
        greys: shape (..., SIDE, SIDE).

    Returns:
        Shape (...).
    """
    frequencies = _DCT @ greys.astype(np.int64) @ _DCT.T
    # Neighbouring frequencies tend to agree: every band gets one of each four.
    flat = frequencies.reshape(*greys.shape[:-2], _BAND_BITS, _BANDS).swapaxes(-1, -2)
    flat = flat.reshape(*greys.shape[:-2], _FREQUENCIES**2)
    bits = np.packbits(flat > np.median(flat, axis=-1, keepdims=True), axis=-1)
    hashes: Hashes = bits.view(">u8")[..., 0].astype(np.uint64)
    return hashes


def near_pairs(hashes: Hashes, radius: int = RADIUS) -> tuple[Positions, Positions]:
    """Pairs (i, j), i < j, of hashes that differ in at most `radius` bits (0 to 7), each once.

    All pairs, if no hash stands twice. Of equal ones each is paired with the first, and the first alone with
    other hashes: n images of one hash cost n - 1 pairs, and nothing is lost that they would not share.
    """
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    repeats = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    blocks = [(first[inverse[repeats]], repeats)]
    blocks += [(first[left], first[right]) for left, right in _near_values(values, radius)]
    one, other = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return np.minimum(one, other), np.maximum(one, other)


def is_plain(greys: Pixels) -> npt.NDArray[np.bool_]:
    """Whether each picture (n, SIDE, SIDE) has too little detail to be told from others."""
    plain: npt.NDArray[np.bool_] = np.sqrt(np.square(_detail(greys)).mean(axis=(1, 2))) < LEAST_DETAIL
    return plain


def same_picture(one: Pixels, other: Pixels) -> npt.NDArray[np.bool_]:
    """Whether pictures (n, SIDE, SIDE) and (n, SIDE, SIDE) agree in their fine detail, pair by pair.

    The correlation of what a 5 x 5 blur takes away: different pictures of one kind of scene share
    their coarse shape, copies also share this.
    """
    return _agree(_detail(one), _detail(other))


def families(seen: Pixels, parts: Positions, radius: int = RADIUS) -> Positions:
    """For each picture the first one that it is linked with, by copies that stand in different parts.

    Args:
        seen: views of each picture, shape (n, len(CROPS), SIDE, SIDE).
        parts: shape (n,); pictures of one part are not compared.

    Returns:
        Shape (n,), values in [0, n); the own number, if there is no copy in another part.
    """
    greys = seen.reshape(-1, SIDE, SIDE)
    owners = np.repeat(np.arange(len(seen)), len(CROPS))
    detailed = np.flatnonzero(np.repeat(~is_plain(seen[:, 0]), len(CROPS))) if len(seen) else owners
    labels = np.arange(len(seen))
    for left, right in _every_near_pair(perceptual_hash(greys[detailed]), radius):
        for begin in range(0, len(left), _LOOKS):
            pairs = detailed[np.stack([left[begin : begin + _LOOKS], right[begin : begin + _LOOKS]])]
            i, j = owners[pairs]
            # Of a cluster of n copies most pairs are linked by earlier ones: they need no look.
            new = np.flatnonzero((parts[i] != parts[j]) & (labels[i] != labels[j]))
            if len(new):
                rows, (one, other) = np.unique(pairs[:, new], return_inverse=True)
                detail = _detail(greys[rows])
                same = new[_agree(detail[one], detail[other])]
                labels = linked(labels, i[same], j[same])
    return labels


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


def _resized(grey: npt.NDArray[Any], side: int) -> Pixels:
    shrinks = side * side < grey.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (side, side), interpolation=method), np.uint8)


def _detail(greys: Pixels) -> npt.NDArray[np.float32]:
    values = greys.astype(np.float32)
    return values - (_BLUR @ values @ _BLUR.T).astype(np.float32)


def _agree(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    powers = np.stack([np.einsum("nij,nij->n", detail, detail) for detail in (one, other)])
    agreement = np.einsum("nij,nij->n", one, other) / np.maximum(np.sqrt(powers.prod(axis=0)), 1e-6)
    same: npt.NDArray[np.bool_] = (agreement >= AGREEMENT) & (powers.min(axis=0) >= LEAST_DETAIL**2 * SIDE**2)
    return same


def _every_near_pair(hashes: Hashes, radius: int) -> Blocks:
    """Every pair within the radius in blocks, those of equal hashes too."""
    order = np.argsort(hashes, kind="stable")
    values, first, counts = np.unique(hashes[order], return_index=True, return_counts=True)
    end = first + counts
    places = np.arange(len(hashes))
    for left, right in _expanded(places + 1, np.repeat(end, counts)):
        yield order[left], order[right]
    for one, other in _near_values(values, radius):
        for pair, left in _expanded(first[one], end[one]):
            for member, right in _expanded(first[other[pair]], end[other[pair]]):
                yield order[left[member]], order[right]


def _near_values(values: Hashes, radius: int) -> Blocks:
    """Every pair of distinct hashes within the radius, once, in blocks.

    Of two hashes that differ in few bits, one of four bands of 16 bits differs in very few: each
    band has a reach (bits in which it may differ, 0 or 1), and the reaches + 1 sum to radius + 1.
    """
    if not 0 <= radius < 2 * _BANDS:
        raise ValueError(f"the radius must be in [0, {2 * _BANDS}), got {radius}")
    reaches = [(radius + 1 + band) // _BANDS - 1 for band in range(_BANDS)]
    for band, reach in enumerate(reaches):
        keys = _band(values, band)
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], values[order]
        starts = np.searchsorted(keys, np.arange((1 << _BAND_BITS) + 1))
        for flip in [0, *(1 << bit for bit in range(_BAND_BITS))][: 1 + _BAND_BITS * reach if reach >= 0 else 0]:
            lefts = np.flatnonzero(keys & flip == 0)
            others = keys[lefts] ^ flip
            begins = starts[others] if flip else lefts + 1
            for place, right in _expanded(begins, starts[others + 1]):
                left = lefts[place]
                difference = ordered[left] ^ ordered[right]
                near = np.flatnonzero(np.bitwise_count(difference) <= radius)
                for earlier in range(band):
                    near = near[np.bitwise_count(_band(difference[near], earlier)) > reaches[earlier]]
                yield order[left[near]], order[right[near]]


def _band(values: Hashes, band: int) -> Positions:
    return ((values >> np.uint64(_BAND_BITS * band)) & np.uint64((1 << _BAND_BITS) - 1)).astype(np.int64)


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
