"""Numbers of images: what a model predicts that measures something instead of telling classes apart.

In manifests and tables a number is a text, the shortest one that reads back as the same: `3`, `2.5`. Where numbers must
be counted as classes are (splits, shares of train, tables of results), they are put into bins.
"""

import bisect
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, listing

# What the quantity is called where the sources' labels are the numbers.
VALUE = "value"
# Numbers of which a whole one is written without a point and an exponent.
MAX_WHOLE = 1e15


class Quantity(tuple[str, ...]):
    """The name of what is measured, of which each image has a number; of classes, a plain tuple, it has exactly one."""

    __slots__ = ()


def number_of(text: str) -> float | None:
    """The finite number that a text is; None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def text_of(number: float) -> str:
    """The shortest text that reads back as the number."""
    return str(int(number)) if number == int(number) and abs(number) < MAX_WHOLE else repr(float(number))


def numbers_in(texts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The numbers of texts, shape (n,) both.

    Raises:
        DataError: a text is no number, as where the images were labelled for another problem.
    """
    known = {text: number_of(text) for text in np.unique(texts.astype(str)).tolist()}
    if wrong := [text for text, number in known.items() if number is None]:
        raise DataError(
            f"the model measures a number, and {len(wrong)} labels are none: {listing(wrong)}. Run `dvc repro`, which "
            "makes both of the same problem"
        )
    return np.array([known[text] for text in texts.astype(str).tolist()], np.float64)


def quantile_edges(numbers: npt.NDArray[np.float64], bins: int) -> list[float]:
    """Inner edges between bins that hold about equally many numbers; fewer where numbers repeat.

    Each edge is a number that occurs, so that equal numbers share a bin.
    """
    ordered = np.sort(numbers)
    places = [len(ordered) * number // bins for number in range(1, bins)]
    return sorted({float(ordered[place]) for place in places if ordered[place] > ordered[0]})


def equal_edges(numbers: npt.NDArray[np.float64], bins: int) -> list[float]:
    """Inner edges between bins of one width, from the least number to the largest; none if they are equal."""
    low, high = float(numbers.min()), float(numbers.max())
    return [] if low == high else [low + (high - low) * number / bins for number in range(1, bins)]


def bin_labels(edges: Sequence[float]) -> list[str]:
    """Names of the bins between inner edges that sort in their order, such as `1 of 3: below 2`."""
    count = len(edges) + 1
    names = []
    for number in range(1, count + 1):
        low, high = edges[number - 2] if number > 1 else None, edges[number - 1] if number < count else None
        if low is None:
            what = "all" if high is None else f"below {high:.4g}"
        else:
            what = f"{low:.4g} or more" if high is None else f"{low:.4g} to {high:.4g}"
        names.append(f"{number:0{len(str(count))}} of {count}: {what}")
    return names


def binned(numbers: npt.NDArray[np.float64], edges: Sequence[float]) -> npt.NDArray[np.object_]:
    """The name of each number's bin, shape (n,); one at an edge belongs to the bin above it."""
    names = np.array(bin_labels(edges), object)
    return np.asarray(names[np.searchsorted(np.asarray(edges, np.float64), numbers, side="right")], object)


def binned_texts(texts: Iterable[str], edges: Sequence[float], none: str) -> list[str]:
    """The same of texts; those that are `none` stay so."""
    names = bin_labels(edges)
    return [none if text == none else names[bisect.bisect_right([*edges], float(text))] for text in texts]


def numbers_among(texts: Collection[str], none: str) -> npt.NDArray[np.float64]:
    """The numbers of those texts that are not `none`."""
    return np.array([float(text) for text in texts if text != none], np.float64)
