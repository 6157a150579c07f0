"""Sizes that balance strategies work towards: their params, and what each makes of the sizes of classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section

T = TypeVar("T", bound="Target")
Counts = npt.NDArray[np.int64]


class Target(Section):
    """Params of the size that a strategy works towards."""

    name: str


class Majority(Target):
    """The size of the largest class."""

    name: Literal["majority"]


class Minority(Target):
    """The size of the smallest class."""

    name: Literal["minority"]


class Median(Target):
    """The median size of the classes, rounded down."""

    name: Literal["median"]


class RowCount(Target):
    """A fixed number of rows."""

    name: Literal["count"]
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)]


class Ratio(Target):
    """A size at which the smallest class has at least this share of the largest."""

    name: Literal["ratio"]
    value: Annotated[float, Field(ge=1e-6, le=1)]


@dataclass(frozen=True)
class TargetRow(Choice[T]):
    """A size to work towards.

    rows: (params, rows of each class, ratio -> the size that keeps it) -> that size.
    raises, lowers: whether rows may be repeated up to it, and dropped down to it. What would change nothing is not
        offered: undersampling to the largest class, for one.
    """

    rows: Callable[[T, Counts, Callable[[float], int]], int]
    raises: bool = True
    lowers: bool = True


def _majority(params: Majority, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return int(sizes.max())


def _minority(params: Minority, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return int(sizes.min())


def _median(params: Median, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return int(np.median(sizes))


def _count(params: RowCount, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return params.rows


def _ratio(params: Ratio, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return at_ratio(params.value)


TARGETS: Registry[TargetRow[Any]] = Registry(
    (
        TargetRow(Majority, _majority, lowers=False),
        TargetRow(Minority, _minority, raises=False),
        TargetRow(Median, _median),
        TargetRow(RowCount, _count),
        TargetRow(Ratio, _ratio),
    )
)
UpTarget = Annotated[Target, one_of(*(row.params for row in TARGETS.values() if row.raises))]
DownTarget = Annotated[Target, one_of(*(row.params for row in TARGETS.values() if row.lowers))]
