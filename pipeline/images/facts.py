"""Measurements of every picture: light, colours and sharpness, in integers where possible.

Sums are of integers, so that no processor and no library adds them up to another last digit. Not here:
from which value on a fact is an issue (stages/curate/issues.py).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels

Histogram = npt.NDArray[np.int64]

# Pixels that the blur averages which `blur` compares with.
REBLUR = 5
# Pixels of the shorter side that blur is measured at: so a level means the same for pictures of any size. Measured
# (benchmarks/RESULTS.md, Blur): at 160 and less fine blur is lost, at 300 and more it depends on the camera.
BLUR_SIDE = 200
# Pixels of pictures that are looked at in one go: what takes each a microsecond takes all of them two. More leave a
# processor's nearest cache.
TOGETHER = 1 << 16

_POWERS = np.arange(256)[:, None] ** np.array([1, 2])


def picture_facts(pictures: Sequence[Pixels]) -> list[dict[str, float]]:
    """The facts of manifest.FACTS that pixels give, for each picture (height, width, 3) by itself.

    brightness, contrast (in [0, 1]): mean and standard deviation of luma. sharpness (>= 0): standard deviation of
    its Laplacian (Pech-Pacheco et al., 2000). saturation (in [0, 1]): mean of (max - min) / max over channels, of each
    pixel to the nearest of 255.
    luma_1, luma_5, luma_99 (0 to 255): percentiles of luma. colour_99 (0 to 255): the 99th percentile of the spread
    of channels, max - min. information (0 to 8): bits of entropy of a pixel's luma. Not here: blur, which
    is measured on the picture as it came (`blur_as_it_came`).
    """
    if not pictures:
        return []
    found = [one for alike in _alike(pictures) for one in _sums(alike)]
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
        }
        for number, one in enumerate(found)
    ]


class _Sums(NamedTuple):
    """Of one picture: histograms (256,) of luma and of the spread of channels, how many pixels it has, the Laplacian of
    luma and its squares, and saturation in steps of 1 / 255.
    """

    levels: npt.NDArray[Any]
    spreads: npt.NDArray[Any]
    pixels: int
    edges: int
    edge_squares: int
    saturation: int


def _alike(pictures: Sequence[Pixels]) -> Iterator[Sequence[Pixels]]:
    """The pictures in order, small ones of one shape together."""
    for shape, group in groupby(pictures, key=lambda pixels: pixels.shape):
        most = max(1, TOGETHER // math.prod(shape[:2]))
        while together := [*islice(group, most)]:
            yield together


def _sums(pictures: Sequence[Pixels]) -> Iterator[_Sums]:
    """Of pictures of one shape: what takes each pixel by itself is done of all at once, one below the other."""
    count, height = len(pictures), len(pictures[0])
    stacked = np.concatenate(pictures) if count > 1 else pictures[0]
    luma = cv2.cvtColor(stacked, cv2.COLOR_RGB2GRAY)
    largest, spread = _channels(stacked)
    # To the nearest; 0 where all channels are 0.
    saturations = _totals(cv2.divide(spread, largest, scale=255), count, 1)
    for number in range(count):
        rows = slice(number * height, (number + 1) * height)
        edges = cv2.Laplacian(luma[rows], cv2.CV_16S)
        yield _Sums(
            cv2.calcHist([luma[rows]], [0], None, [256], [0, 256]),
            cv2.calcHist([spread[rows]], [0], None, [256], [0, 256]),
            edges.size,
            round(cv2.sumElems(edges)[0]),
            round(cv2.norm(edges, cv2.NORM_L2SQR)),
            saturations[number],
        )


def _totals(values: npt.NDArray[Any], count: int, along: int) -> list[int]:
    """The sum of each of so many pictures, one below the other (along 1), or side by side (0)."""
    lines = cv2.reduce(values, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    totals: list[int] = lines.reshape(count, -1).sum(axis=1, dtype=np.int64).tolist()
    return totals


def _deviation(count: int, total: int, squares: int) -> float:
    """Standard deviation, by whole numbers until the end."""
    return math.sqrt(count * squares - total**2) / count


def blur_as_it_came(pixels: Pixels) -> float:
    """`blur_of` a decoded picture (height, width, 3), before it is scaled for the model.

    A larger one is brought to BLUR_SIDE pixels of its shorter side: a smaller one would look sharp, and a larger one
    soft, whatever the lens did.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    while min(luma.shape) >= 2 * BLUR_SIDE:
        luma = cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA)
    share = BLUR_SIDE / min(luma.shape)
    if share < 1:
        size = (round(luma.shape[1] * share), round(luma.shape[0] * share))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_LINEAR)
    return blur_of(luma)


def blur_of(luma: npt.NDArray[Any]) -> float:
    """The blur of a grey picture (height, width), from 0 (sharp) to 1: the share of detail that another blur leaves.

    What was blurred before changes little when it is blurred again, whatever its contrast (Crete et al., 2007): of the
    differences between neighbours, the share that stays, in the direction in which more does. 0 for a picture that
    has no differences.
    """
    return max(_kept(luma), _kept(cv2.transpose(luma)))


def _kept(luma: npt.NDArray[Any]) -> float:
    """The share of the differences down the columns that stays in a running mean."""
    if len(luma) <= REBLUR:
        return 0.0
    reach = REBLUR // 2
    differences = cv2.absdiff(luma[reach : -reach - 1], luma[reach + 1 : -reach])
    # A running mean changes by the pixel that comes in less the one that goes: no mean need be taken.
    blurred = cv2.absdiff(luma[:-REBLUR], luma[REBLUR:])
    # REBLUR times the difference, or 255: no more can stay.
    stays = cv2.min(cv2.convertScaleAbs(differences, alpha=REBLUR), blurred)
    kept, before = round(cv2.sumElems(stays)[0]), round(cv2.sumElems(differences)[0])
    return kept / (REBLUR * before) if before else 0.0


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
