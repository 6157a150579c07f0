"""The table of ranges: the values that a param may take in a search."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section

if TYPE_CHECKING:  # Optuna takes half a second to import, and params.yaml is read without it
    from optuna.distributions import BaseDistribution


# Of a number that is drawn.
DIGITS = 4
# Lists that a range may have.
MAX_LISTS = 4096


class Range(Section):
    """Params of any range."""

    name: str


class _Ends(Range):
    low: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        return self


class Linear(_Ends):
    """Numbers from low to high, each equally likely at first."""

    name: Literal["linear"]


class Log(_Ends):
    """Numbers from low to high, each order of magnitude equally likely at first: for rates and decays."""

    name: Literal["log"]
    low: Annotated[float, Field(gt=0)]


class Whole(_Ends):
    """Whole numbers from low to high, both included, in steps."""

    name: Literal["int"]
    low: int
    high: int
    step: Annotated[int, Field(ge=1)]


class Values(Range):
    """One of some values, which may be mappings, such as whole optimizers with their params."""

    name: Literal["choice"]
    values: Annotated[Sequence[JsonValue], Field(min_length=2)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        _check_each_once(self.values)
        return self


class Lists(Range):
    """A list of so many values, each of them one of `values`; for params that have a value for each block.

    length: how many values the list has.
    """

    name: Literal["list"]
    values: Annotated[Sequence[JsonValue], Field(min_length=2)]
    length: Annotated[int, Field(ge=1, le=12)]

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        _check_each_once(self.values)
        if (count := len(self.values) ** self.length) > MAX_LISTS:
            raise ValueError(
                f"{len(self.values)} values at {self.length} places are {count} lists, more than "
                f"{MAX_LISTS}: take fewer values, or a smaller length"
            )
        return self


@dataclass(frozen=True)
class RangeRow(Choice[Range]):
    """A kind of range.

    distribution: what Optuna draws from. grid: some values over the whole range, evenly spaced, ends included.
    finite: whether `grid` gives all values if asked for enough.
    """

    distribution: "Callable[[Any], BaseDistribution]"
    grid: Callable[[Any, int], list[Any]]
    finite: bool = False


def _check_each_once(values: Sequence[Any]) -> None:
    written = [written_value(value) for value in values]
    if len(set(written)) < len(written):
        raise ValueError("a value is listed twice")


def written_value(value: Any) -> str:
    """A value of a choice as text, which Optuna can keep: equal values are equal texts."""
    return json.dumps(value, sort_keys=True)


def value_of(chosen: Range, drawn: Any) -> Any:
    """The value of a param that Optuna's draw stands for; numbers have four digits, as a person would write them."""
    if isinstance(chosen, Values | Lists):
        return json.loads(drawn)
    if isinstance(chosen, Whole):
        return drawn
    assert isinstance(chosen, _Ends)  # noqa: S101
    return min(max(float(f"{drawn:.{DIGITS}g}"), chosen.low), chosen.high)


def _float(params: _Ends, log: bool) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution

    return FloatDistribution(params.low, params.high, log=log)


def linear_distribution(params: Linear) -> "BaseDistribution":
    """Uniform."""
    return _float(params, log=False)


def log_distribution(params: Log) -> "BaseDistribution":
    """Uniform in the logarithm."""
    return _float(params, log=True)


def whole_distribution(params: Whole) -> "BaseDistribution":
    """Uniform over whole numbers."""
    from optuna.distributions import IntDistribution

    high = params.low + (params.high - params.low) // params.step * params.step
    return IntDistribution(params.low, high, step=params.step)


def values_distribution(params: Values) -> "BaseDistribution":
    """Each value alike."""
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution([written_value(value) for value in params.values])


def lists_distribution(params: Lists) -> "BaseDistribution":
    """Each list alike."""
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(lists_grid(params, 0))


def linear_grid(params: Linear, points: int) -> list[Any]:
    """So many numbers at equal distances."""
    return [params.low + (params.high - params.low) * place / (points - 1) for place in range(points)]


def log_grid(params: Log, points: int) -> list[Any]:
    """So many numbers at equal ratios."""
    low, high = math.log(params.low), math.log(params.high)
    inner = [math.exp(low + (high - low) * place / (points - 1)) for place in range(1, points - 1)]
    return [params.low, *inner, params.high]


def whole_grid(params: Whole, points: int) -> list[Any]:
    """So many whole numbers, or all if they are fewer."""
    steps = (params.high - params.low) // params.step
    count = min(points, steps + 1)
    places = [round(steps * place / max(count - 1, 1)) for place in range(count)]
    return [params.low + params.step * place for place in dict.fromkeys(places)]


def values_grid(params: Values, points: int) -> list[Any]:
    """All values, whatever the number of points."""
    return [written_value(value) for value in params.values]


def lists_grid(params: Lists, points: int) -> list[Any]:
    """All lists, whatever the number of points; the last place changes first."""
    return [written_value(list(values)) for values in itertools.product(params.values, repeat=params.length)]


RANGES: Registry[RangeRow] = Registry(
    (
        RangeRow(Linear, distribution=linear_distribution, grid=linear_grid),
        RangeRow(Log, distribution=log_distribution, grid=log_grid),
        RangeRow(Whole, distribution=whole_distribution, grid=whole_grid, finite=True),
        RangeRow(Values, distribution=values_distribution, grid=values_grid, finite=True),
        RangeRow(Lists, distribution=lists_distribution, grid=lists_grid, finite=True),
    )
)
AnyRange = Annotated[Range, one_of(RANGES)]
