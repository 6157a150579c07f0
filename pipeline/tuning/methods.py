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


# Where an architecture is.
MODEL = "train.model"


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


class Architecture(Method):
    """Networks by weights that all of them share (ENAS, Pham et al., 2018), beside a random search of the same cost.

    epochs: of the shared weights. candidates: how many of the networks that are best with shared weights are then
        fitted by themselves. sampling: of networks while the weights are learnt: by a controller that learns which
        choices are good, or uniform.
    """

    name: Literal["architecture"]
    epochs: Annotated[int, Field(ge=2, le=10_000)]
    candidates: Annotated[int, Field(ge=1, le=1000)]
    sampling: Literal["controller", "uniform"]


def any_space(space: Mapping[str, Range]) -> list[str]:
    """No problem: the method searches any space."""
    return []


@dataclass(frozen=True)
class MethodRow(Choice[Method]):
    """A method.

    sampler: Optuna's, from a seed; it chooses whatever is not settled beforehand.
    planned: what each trial draws, where the method settles that beforehand; empty: it does not.
    problems: what the method cannot search of a space, a sentence each.
    shares_weights: whether trials are planned by a network whose weights all architectures share.
    """

    sampler: "Callable[[int], BaseSampler]"
    planned: Callable[[Any, Mapping[str, Range]], list[dict[str, Any]]]
    problems: Callable[[Mapping[str, Range]], list[str]] = any_space
    shares_weights: bool = False


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


def not_of_an_architecture(space: Mapping[str, Range]) -> list[str]:
    """What is no choice among networks."""
    problems = [
        f"{place} cannot vary with the method architecture, which chooses among networks: name params of train.model "
        "alone, or take the method tpe"
        for place in space
        if place != MODEL and not place.startswith(f"{MODEL}.")
    ]
    return problems + [
        f"{place} has the range {one.name}, and the method architecture chooses among single values: take int, choice "
        "or list"
        for place, one in space.items()
        if not RANGES.of(one).finite
    ]


METHODS: Registry[MethodRow] = Registry(
    (
        MethodRow(Tpe, sampler=tpe_sampler, planned=nothing_planned),
        MethodRow(Random, sampler=random_sampler, planned=nothing_planned),
        MethodRow(Grid, sampler=random_sampler, planned=all_combinations),
        MethodRow(
            Architecture,
            sampler=random_sampler,
            planned=nothing_planned,
            problems=not_of_an_architecture,
            shares_weights=True,
        ),
    )
)
AnyMethod = Annotated[Method, one_of(METHODS)]
