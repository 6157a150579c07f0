"""The table of search methods: how the values of the next trial are chosen."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section
from pipeline.tuning.ranges import RANGES, Range

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Method(Section):
    """Params of any method."""

    name: str


class Tpe(Method):
    """Tree-structured Parzen estimator (Bergstra et al., 2011): more trials where earlier ones were good."""

    name: Literal["tpe"]


class Random(Method):
    """Each trial by chance (Bergstra and Bengio, 2012)."""

    name: Literal["random"]


class Grid(Method):
    """All combinations of so many values of each number, and all values of each choice."""

    name: Literal["grid"]
    points: Annotated[int, Field(ge=2, le=100)]


@dataclass(frozen=True)
class MethodRow(Choice[Method]):
    """A method.

    sampler: Optuna's, from a seed; it chooses whatever is not settled beforehand.
    planned: what each trial draws, where the method settles that beforehand; empty: it does not.
    """

    sampler: "Callable[[int], BaseSampler]"
    planned: Callable[[Any, Mapping[str, Range]], list[dict[str, Any]]]


def tpe_sampler(seed: int) -> "BaseSampler":
    """Optuna's default; ranges are looked at together, because rate and batch size depend on each other."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True)


def random_sampler(seed: int) -> "BaseSampler":
    """Draws that know nothing of earlier trials."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def nothing_planned(params: Method, space: Mapping[str, Range]) -> list[dict[str, Any]]:
    """No trial is settled beforehand."""
    return []


def all_combinations(params: Grid, space: Mapping[str, Range]) -> list[dict[str, Any]]:
    """Every combination of the values of all ranges; the last param changes first."""
    values = [RANGES.of(one).grid(one, params.points) for one in space.values()]
    return [dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)]


METHODS: Registry[MethodRow] = Registry(
    (
        MethodRow(Tpe, sampler=tpe_sampler, planned=nothing_planned),
        MethodRow(Random, sampler=random_sampler, planned=nothing_planned),
        MethodRow(Grid, sampler=random_sampler, planned=all_combinations),
    )
)
AnyMethod = Annotated[Method, one_of(METHODS)]
