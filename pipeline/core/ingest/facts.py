"""What is measured of every picture: its light, colours and sharpness, in whole numbers as far as they go.

Sums are of integers, so that no processor and no library adds them up to another last digit. Not here:
from which value on a fact is an issue (core/curate/issues.py).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.core.imaging import Pixels

Histogram = npt.NDArray[np.int64]

# Pixels that the blur averages which `blur` compares with. Measured on photos of 224 pixels: see docs/ingest.md.
REBLUR = 5

_POWERS = np.arange(256)[:, None] ** np.array([1, 2])


def picture_facts(pictures: Sequence[Pixels]) -> list[dict[str, float]]:
    """The facts of manifest.FACTS that pixels tell, of each picture (height, width, 3), whichever others there are.

    brightness, contrast (in [0, 1]): mean and standard deviation of luma. sharpness (>= 0): standard deviation of
    its Laplacian (Pech-Pacheco et al., 2000). saturation (in [0, 1]): mean of (max - min) / max over channels, of each
    pixel to the nearest of 255.
    luma_1, luma_5, luma_99 (0 to 255): so many in 100 pixels are at most as bright. colour_99 (0 to 255): the same
    of the spread of channels, max - min. information (0 to 8): bits of entropy of a pixel's luma. blur (in [0, 1]): see
    `blur_of`.
    """
    if not pictures:
        return []
    found = [_sums(pixels) for pixels in pictures]
    levels, spreads = (_histograms([getattr(one, name) for one in found]) for name in ("levels", "spreads"))
    lumas, colours = _percentiles(levels, 1, 5, 99), _percentiles(spreads, 99)
    moments, information = (levels @ _POWERS).tolist(), _entropy(levels)
    return [
        {
            "brightness": moments[number][0] / (255 * one.pixels),
            "contrast": _deviation(one.pixels, *moments[number]) / 255,
            "sharpness": _deviation(one.pixels, one.edges, one.edge_squares) / 255,
            "saturation": one.saturation / (255 * one.pixels),
            **dict(zip(("luma_1", "luma_5", "luma_99"), lumas[number], strict=True)),
            "colour_99": colours[number][0],
            "information": information[number],
            "blur": one.blur,
        }
        for number, one in enumerate(found)
    ]


class _Sums(NamedTuple):
    """Of one picture: histograms (256,) of luma and of the spread of channels, how many pixels it has, the Laplacian of
    luma and its squares, saturation in steps of 1 / 255, and `blur_of`.
    """

    levels: npt.NDArray[Any]
    spreads: npt.NDArray[Any]
    pixels: int
    edges: int
    edge_squares: int
    saturation: int
    blur: float


def _sums(pixels: Pixels) -> _Sums:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    largest, spread = _channels(pixels)
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    return _Sums(
        cv2.calcHist([luma], [0], None, [256], [0, 256]),
        cv2.calcHist([spread], [0], None, [256], [0, 256]),
        luma.size,
        round(cv2.sumElems(edges)[0]),
        round(cv2.norm(edges, cv2.NORM_L2SQR)),
        # To the nearest; 0 where all channels are 0.
        round(cv2.sumElems(cv2.divide(spread, largest, scale=255))[0]),
        blur_of(luma),
    )


def _deviation(count: int, total: int, squares: int) -> float:
    """Standard deviation, by whole numbers until the end."""
    return math.sqrt(count * squares - total**2) / count


def blur_of(luma: npt.NDArray[Any]) -> float:
    """How little a blur takes away from a grey picture (height, width): 0, all of it, to 1, nothing.

    What was blurred before changes little when it is blurred again, whatever its contrast (Crete et al., 2007): of the
    differences between neighbours, the share that stays, in the direction in which more does. 0 for a picture that
    has no differences.
    """
    return max(_kept(luma), _kept(cv2.transpose(luma)))


def _kept(luma: npt.NDArray[Any]) -> float:
    """The share of the differences down the columns that stays in a running mean of REBLUR rows."""
    if len(luma) <= REBLUR:
        return 0.0
    reach = REBLUR // 2
    differences = cv2.absdiff(luma[reach : -reach - 1], luma[reach + 1 : -reach])
    # A running mean changes by the pixel that comes in less the one that goes: no mean need be taken.
    blurred = cv2.absdiff(luma[:-REBLUR], luma[REBLUR:])
    before = REBLUR * round(cv2.sumElems(differences)[0])
    # REBLUR times the difference, or 255: no more can stay.
    most = cv2.convertScaleAbs(differences, alpha=REBLUR)
    return round(cv2.sumElems(cv2.min(most, blurred))[0]) / before if before else 0.0


def _channels(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """The largest channel of each pixel, and how far the smallest lies below."""
    red, green, blue = cv2.split(pixels)
    largest = cv2.max(cv2.max(red, green), blue)
    return np.asarray(largest, np.uint8), np.asarray(
        cv2.subtract(largest, cv2.min(cv2.min(red, green), blue)), np.uint8
    )


def _histograms(found: Sequence[npt.NDArray[Any]]) -> Histogram:
    # Counts are floats, exact up to 16,777,216: the largest pictures have 1,048,576 pixels.
    return np.stack(found).reshape(len(found), 256).astype(np.int64)


def _percentiles(levels: Histogram, *shares: int) -> list[list[int]]:
    """Of each histogram (n, 256), the least levels that so many in 100 pixels do not exceed."""
    sums = np.cumsum(levels, axis=1)[:, None]
    below: list[list[int]] = (100 * sums < np.multiply(shares, sums[..., -1])[..., None]).sum(axis=2).tolist()
    return below


def _entropy(levels: Histogram) -> list[float]:
    """Of each histogram (n, 256), in bits."""
    totals = levels.sum(axis=1)
    bits = np.log2(totals) - (levels * np.log2(np.maximum(levels, 1))).sum(axis=1) / totals
    # Rounded, because the last digits of logarithms and of their sum are the library's affair.
    return [max(0.0, round(one, 4)) for one in bits.tolist()]
