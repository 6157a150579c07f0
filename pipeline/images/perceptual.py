"""Small grey views of a picture, their perceptual hashes, and how much fine detail it has.

A perceptual hash (Zauner 2010: signs of the lowest DCT frequencies) is about the same for all copies
of a picture. Whatever stands here shapes what ingest keeps of every picture; what is made of it
stands in similarity.py.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels

Hashes = npt.NDArray[np.uint64]
Detail = npt.NDArray[np.float32]

SIDE = 32
# A crop moves the content: each picture is also seen without this share of each side (1 = none).
CROPS = (0.0, 1 / 64, 1 / 32)

_FREQUENCIES, _PARTS = 8, 4
_MIDDLE = slice(_FREQUENCIES**2 // 2 - 1, _FREQUENCIES**2 // 2 + 1)
_STEPS = np.arange(SIDE)
# Whole numbers, so that a hash is the same on every machine; as floats, which hold all sums of them exactly
# (4096**2 * 255 * SIDE**2 < 2**53) in whatever order a library adds them up, and several times faster than integers.
_DCT = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * _STEPS + 1) / (2 * SIDE)))


def views(pixels: Pixels) -> Pixels:
    """A picture in grey, as a whole and without its margins; shape (len(CROPS), SIDE, SIDE).

    Args:
        pixels: shape (height, width, 3).
    """
    seen: Pixels = views_of([pixels])[0]
    return seen


def views_of(pictures: Sequence[Pixels]) -> Pixels:
    """The views of each picture, whichever others there are; shape (n, len(CROPS), SIDE, SIDE).

    Args:
        pictures: of any shapes (height, width, 3).
    """
    large = [_large(pixels) for pixels in pictures]
    seen = np.empty((len(pictures), len(CROPS), SIDE, SIDE), np.uint8)
    for side in {len(one) for one in large}:
        which = [number for number, one in enumerate(large) if len(one) == side]
        stacked = np.stack([large[number] for number in which])
        for view, crop in enumerate(CROPS):
            margin = round(crop * side)
            # One below the other, shrunk in one go: the cells of the mean end where a picture does.
            below = stacked[:, margin : side - margin, margin : side - margin].reshape(-1, side - 2 * margin)
            shrunk = cv2.resize(below, (SIDE, SIDE * len(which)), interpolation=cv2.INTER_AREA)
            seen[which, view] = shrunk.reshape(-1, SIDE, SIDE)
    return seen


def marks(seen: Pixels) -> tuple[Hashes, float]:
    """What the search for copies needs of a picture: the hash of each view, and the strength of its fine detail.

    Args:
        seen: its views, shape (len(CROPS), SIDE, SIDE).

    Returns:
        Shape (len(CROPS),), and the root mean square of the whole picture's detail in grey levels of 255.
    """
    return perceptual_hash(seen), detail_strengths(seen[:1])[0]


def detail_strengths(wholes: Pixels) -> list[float]:
    """The strength of detail of each whole picture (n, SIDE, SIDE), as `marks` returns it."""
    detail = _fine_detail_times_25(wholes).reshape(len(wholes), -1)
    # Squares are below 2**26, and so are exact, and their sums, as floats of 64 bits.
    squares: list[float] = np.einsum("ij,ij->i", detail, detail, dtype=np.float64).tolist()
    return [math.sqrt(total / SIDE**2) / 25 for total in squares]


def perceptual_hash(greys: Pixels) -> Hashes:
    """The hash of each grey picture: bit = the frequency is above the median of the 8 x 8 lowest.

    Args:
        greys: shape (..., SIDE, SIDE).

    Returns:
        Shape (...).
    """
    frequencies = _DCT @ greys.astype(np.float64) @ _DCT.T
    # Neighbouring frequencies tend to agree: every quarter of the hash gets one of each four.
    flat = frequencies.reshape(*greys.shape[:-2], _FREQUENCIES**2 // _PARTS, _PARTS).swapaxes(-1, -2)
    flat = flat.reshape(*greys.shape[:-2], _FREQUENCIES**2)
    middle = np.partition(flat, (_FREQUENCIES**2 // 2 - 1, _FREQUENCIES**2 // 2), axis=-1)[..., _MIDDLE]
    bits = np.packbits(2 * flat > middle.sum(axis=-1, keepdims=True), axis=-1)
    hashes: Hashes = bits.view(">u8")[..., 0].astype(np.uint64)
    return hashes


def fine_detail(greys: Pixels) -> Detail:
    """Pictures (n, SIDE, SIDE) minus their 5 x 5 blur."""
    return _fine_detail_times_25(greys).astype(np.float32) / np.float32(25)


def _fine_detail_times_25(greys: Pixels) -> npt.NDArray[np.int32]:
    # Whole numbers, because libraries add floats up in an order that changes from one run to the next.
    sums = [
        cv2.boxFilter(grey, cv2.CV_32S, (5, 5), normalize=False, borderType=cv2.BORDER_REFLECT_101) for grey in greys
    ]
    return 25 * greys.astype(np.int32) - np.stack(sums).astype(np.int32)


def _large(pixels: Pixels) -> Pixels:
    """A picture in grey, large enough to be cropped by whole pixels; shape (side, side)."""
    grey = _halved(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    large = _resized(grey, 2 * SIDE)
    # Of pictures of 28 pixels, margins of whole pixels at twice a view's size missed 187 of 250 copies, these 175.
    return large if min(grey.shape) >= 2 * SIDE else _resized(large, 4 * SIDE)


def _halved(grey: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The mean of each four pixels while enough are left: several times faster than the mean over other areas."""
    while min(grey.shape) >= 4 * SIDE and not (grey.shape[0] % 2 or grey.shape[1] % 2):
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return grey


def _resized(grey: npt.NDArray[Any], side: int) -> Pixels:
    if grey.shape == (side, side):
        return grey
    shrinks = side * side < grey.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (side, side), interpolation=method), np.uint8)
