"""Facts of images other than what they show: source, file, camera, columns of users' tables; each with few values.

They say how an image came to be. Some belong to what a picture shows as well (its brightness, say).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.manifest import EXTRA_COLUMNS
from pipeline.metrics.matching import FACTS as MEASURED

Codes = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]

# Values of a fact, or twice the classes if that is more; rarer ones count as one value.
MAX_VALUES = 20
OTHERS, NONE = "other values", "no value"
# Images that share a value on average below which a column names images, and not kinds of images.
MIN_IMAGES_PER_VALUE = 2
# Numbers in a bin, at least.
MIN_IN_BIN = 5


@dataclass(frozen=True)
class Fact:
    """A fact of images.

    Attributes:
        words: what it is called in a sentence. values: of each row, texts or numbers. columns: what they are made of.
        shown: whether it belongs to what a picture shows as well.
    """

    words: str
    values: Callable[[pd.DataFrame], "pd.Series[Any]"]
    columns: tuple[str, ...]
    shown: bool = False


def _texts(words: str, column: str) -> Fact:
    return Fact(words, lambda rows: rows[column].astype(str), (column,))


def _measured(words: str, name: str, *columns: str, shown: bool = True) -> Fact:
    return Fact(words, MEASURED[name], columns, shown)


FACTS = {
    "source": _texts("the source", "source"),
    "role": _texts("the role (raw or production)", "role"),
    "format": _texts("the file format", "format"),
    "captured_at": Fact(
        "the time of capture",
        lambda rows: (rows["captured_at"] - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1),
        ("captured_at",),
    ),
    "size": _measured("the size of the picture", "size", "width", "height", shown=False),
    "aspect": _measured("the aspect ratio", "aspect", "width", "height"),
    "file_quality": _measured("the bytes per pixel of the file", "file_quality", "bytes", "width", "height"),
    "brightness": _measured("the brightness", "brightness", "brightness"),
    "contrast": _measured("the contrast", "contrast", "contrast"),
    "sharpness": _measured("the sharpness", "sharpness", "sharpness"),
    "colour": _measured("the strength of colours", "colour", "saturation"),
}


@dataclass(frozen=True)
class Coded:
    """Values of a fact as codes from 0, shape (n,), and what each code stands for."""

    codes: Codes
    names: tuple[str, ...]


def fact_names(rows: pd.DataFrame) -> list[str]:
    """The facts that rows have, FACTS first, then columns of people's tables by name."""
    known = [name for name, fact in FACTS.items() if {*fact.columns} <= {*rows.columns}]
    return [*known, *sorted(name for name in map(str, rows.columns) if name.startswith(EXTRA_COLUMNS))]


def coded(rows: pd.DataFrame, name: str, classes: int) -> Coded | None:
    """The values of a fact; None where there is one value alone, or nearly as many as images.

    Numbers of few values are taken as they are, of many in classes of equal size; a missing one is a value.
    """
    values = FACTS[name].values(rows) if name in FACTS else rows[name].astype(str)
    limit = max(MAX_VALUES, 2 * classes)
    texts = not pd.api.types.is_numeric_dtype(values.dtype)
    if texts and values.nunique() > limit:
        numbers = pd.to_numeric(values.where(values != ""), errors="coerce")
        if numbers.notna().sum() == (values != "").sum():
            values, texts = numbers, False
    if not texts:
        values = values.astype(np.float64).replace([np.inf, -np.inf], np.nan)
        if values.nunique() > limit:
            return _in_bins(np.asarray(values, np.float64), max(limit, 4 * classes))
        values = values.map(lambda number: "" if np.isnan(number) else f"{number:.6g}")
    counts = values.value_counts()
    if len(counts) < 2 or len(counts) * MIN_IMAGES_PER_VALUE > len(values):
        return None
    frequent = sorted(counts.index, key=lambda value: (-counts[value], value))[:limit]
    names = tuple(sorted(frequent))
    codes = pd.Index(names).get_indexer(pd.Index(values))
    if (codes < 0).any():
        codes, names = np.where(codes < 0, len(names), codes), (*names, OTHERS)
    return Coded(codes.astype(np.intp), tuple(value or NONE for value in names))


def _in_bins(values: Floats, most: int) -> Coded:
    """Numbers in at most so many bins of equal size, five values each at least; those that are none are a bin."""
    known = np.isfinite(values)
    bins = max(2, min(most, int(known.sum()) // MIN_IN_BIN))
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    codes = np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="left"), len(edges) + 1)
    ends = [-math.inf, *edges.tolist(), math.inf]
    names = [_range(low, high) for low, high in itertools.pairwise(ends)]
    return Coded(codes.astype(np.intp), (*names, NONE) if not known.all() else tuple(names))


def _range(low: float, high: float) -> str:
    if math.isinf(low):
        return f"up to {high:.3g}"
    return f"above {low:.3g}" if math.isinf(high) else f"{low:.3g} to {high:.3g}"


def column_name(column: str) -> str:
    """A column of people's tables as they wrote it."""
    return column.removeprefix(EXTRA_COLUMNS)
