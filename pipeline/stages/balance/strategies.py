"""Balance strategies: their params, and what each does to the sizes of classes (targets.py: which they work towards).

How rows are drawn is not here (balancing.py), nor how pictures are compared (cleaning.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from pipeline.errors import ParamsError
from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section
from pipeline.stages.balance.targets import TARGETS, Counts, DownTarget, Target, UpTarget

P = TypeVar("P", bound="Strategy")
# NearMiss-2 holds the distances between the largest and the smallest class: 16 bytes each.
MAX_DISTANCES = 100_000_000


class Strategy(Section):
    """Params of any balance strategy."""

    name: str


class NoBalance(Strategy):
    """Keep the class counts."""

    name: Literal["none"]


class Oversample(Strategy):
    """Repeat rows of classes below the target."""

    name: Literal["oversample"]
    target: UpTarget


class Undersample(Strategy):
    """Drop rows of classes above the target."""

    name: Literal["undersample"]
    target: DownTarget


class OverAndUndersample(Strategy):
    """Repeat rows of classes below the target, drop rows of those above it.

    A ratio is a band around the median: from median x sqrt(ratio) to median / sqrt(ratio).
    """

    name: Literal["both"]
    target: Annotated[Target, one_of(TARGETS)]


class TomekLinks(Strategy):
    """Drop rows whose nearest picture is of another class, and is theirs in turn (Tomek, 1976)."""

    name: Literal["tomek_links"]


class EditedNearestNeighbours(Strategy):
    """Drop rows whose nearest pictures are of other classes: if any of them is, or most are (Wilson, 1972)."""

    name: Literal["edited_nearest_neighbours"]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    drop_if: Literal["any", "most"]


class NeighbourhoodCleaningRule(Strategy):
    """Drop rows whose nearest pictures are mostly of other classes, and rows that crowd the smallest class.

    Those are the nearest pictures of each row of the smallest class that they outvote (Laurikkala, 2001).
    """

    name: Literal["neighbourhood_cleaning_rule"]
    neighbours: Annotated[int, Field(ge=1, le=100)]


class NearMiss(Strategy):
    """Drop rows of classes above the target, keeping pictures near the smallest class (Mani and Zhang, 2003).

    version: 1 keeps those nearest to their nearest pictures of the smallest class, 2 those nearest to
    its farthest ones, 3 the farthest of those that are neighbours of one of its pictures.
    """

    name: Literal["near_miss"]
    version: Literal[1, 2, 3]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    target: DownTarget


class ClassWeights(Strategy):
    """Keep the rows and weight them in the loss, so that each class counts alike."""

    name: Literal["weights"]


class WeightsWithin(Strategy):
    """Keep the rows and weight them in the loss, so that classes count alike within each value of a column.

    Then the column says nothing of the class (reweighing; Kamiran and Calders, 2012), where a value has all classes.
    """

    name: Literal["weights_within"]
    column: Annotated[str, Field(min_length=1)]


def _unchanged(params: Strategy, sizes: Counts) -> Counts:
    return sizes


def _smallest(params: Strategy, sizes: Counts) -> Counts:
    return np.full_like(sizes, sizes.min())


def _no_column(params: Strategy) -> str | None:
    return None


def _column(params: WeightsWithin) -> str | None:
    return params.column


@dataclass(frozen=True)
class StrategyRow(Choice[P]):
    """A strategy.

    sizes: (params, rows of each class (k,)) -> rows that each will have, by repeating or dropping some at random.
    sampler: of a strategy that compares pictures, before that: (params, class number -> rows that it should keep,
        rows of each class) -> imbalanced-learn's sampler, which must be deterministic and choose among rows.
    keeps: of the same: (params, rows of each class) -> the sizes below which it leaves classes alone.
    weighs: whether the loss weighs classes instead.
    within: the column within whose values they are weighed, None for all rows together.
    """

    sizes: Callable[[P, Counts], Counts] = field(default=_unchanged)
    sampler: Callable[[P, dict[int, int], Counts], Any] | None = None
    keeps: Callable[[P, Counts], Counts] = field(default=_smallest)
    weighs: bool = False
    within: Callable[[P], str | None] = _no_column


def _oversample(params: Oversample, sizes: Counts) -> Counts:
    return np.maximum(sizes, _level(params.target, sizes, lambda ratio: _up(sizes.max() * ratio)))


def _undersample(params: Undersample | NearMiss, sizes: Counts) -> Counts:
    return np.minimum(sizes, _level(params.target, sizes, lambda ratio: _down(sizes.min() / ratio)))


def _both(params: OverAndUndersample, sizes: Counts) -> Counts:
    middle = int(np.median(sizes))
    low = _level(params.target, sizes, lambda ratio: _up(middle * math.sqrt(ratio)))
    high = _level(params.target, sizes, lambda ratio: _down(middle / math.sqrt(ratio)))
    return np.clip(sizes, low, high)


def _tomek_links(params: TomekLinks, wanted: dict[int, int], sizes: Counts) -> Any:
    from imblearn.under_sampling import TomekLinks

    return TomekLinks(sampling_strategy=list(wanted))


def _edited_nearest_neighbours(params: EditedNearestNeighbours, wanted: dict[int, int], sizes: Counts) -> Any:
    from imblearn.under_sampling import EditedNearestNeighbours

    kind = {"any": "all", "most": "mode"}[params.drop_if]
    return EditedNearestNeighbours(sampling_strategy=list(wanted), n_neighbors=params.neighbours, kind_sel=kind)


def _neighbourhood_cleaning_rule(params: NeighbourhoodCleaningRule, wanted: dict[int, int], sizes: Counts) -> Any:
    from imblearn.under_sampling import NeighbourhoodCleaningRule

    return NeighbourhoodCleaningRule(sampling_strategy=list(wanted), n_neighbors=params.neighbours)


def _near_miss(params: NearMiss, wanted: dict[int, int], sizes: Counts) -> Any:
    from imblearn.under_sampling import NearMiss

    distances = int(sizes.max() * sizes.min())
    if params.version == 2 and distances > MAX_DISTANCES:
        raise ParamsError(
            f"balance.strategy {params.name} version 2 holds {distances:,} distances between its largest and its "
            f"smallest class, {MAX_DISTANCES:,} at most: use version 1 or 3"
        )
    neighbours = params.neighbours
    return NearMiss(
        sampling_strategy=wanted, version=params.version, n_neighbors=neighbours, n_neighbors_ver3=neighbours
    )


def _level(target: Target, sizes: Counts, at_ratio: Callable[[float], int]) -> int:
    return TARGETS.of(target).rows(target, sizes, at_ratio)


def _up(value: float) -> int:
    # 0.1 x 30 is slightly above 3 in floating point.
    return math.ceil(value - 1e-9)


def _down(value: float) -> int:
    return math.floor(value + 1e-9)


STRATEGIES: Registry[StrategyRow[Any]] = Registry(
    (
        StrategyRow(NoBalance),
        StrategyRow(Oversample, sizes=_oversample),
        StrategyRow(Undersample, sizes=_undersample),
        StrategyRow(OverAndUndersample, sizes=_both),
        StrategyRow(TomekLinks, sampler=_tomek_links),
        StrategyRow(EditedNearestNeighbours, sampler=_edited_nearest_neighbours),
        StrategyRow(NeighbourhoodCleaningRule, sampler=_neighbourhood_cleaning_rule),
        StrategyRow(NearMiss, sampler=_near_miss, keeps=_undersample),
        StrategyRow(ClassWeights, weighs=True),
        StrategyRow(WeightsWithin, weighs=True, within=_column),
    )
)
