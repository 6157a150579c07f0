"""Ranges, methods and what a search refuses to vary."""

import math
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.tuning.methods import METHODS, Grid
from pipeline.tuning.params import TuneParams
from pipeline.tuning.ranges import RANGES, Linear, Log, Range, Values, Whole, value_of
from tests.examples import params

BASE: dict[str, Any] = {
    "seed": 1,
    "method": {"name": "tpe"},
    "space": {"train.learning_rate": {"name": "log", "low": 0.001, "high": 0.1}},
    "epochs": None,
    "prune": True,
}


def grid(one: Range, points: int) -> list[Any]:
    return [value_of(one, drawn) for drawn in RANGES.of(one).grid(one, points)]


def test_a_grid_has_both_ends_and_equal_steps() -> None:
    assert grid(Linear(name="linear", low=0.0, high=0.4), 3) == [0.0, 0.2, 0.4]
    assert grid(Log(name="log", low=0.001, high=0.1), 3) == [0.001, 0.01, 0.1]
    assert grid(Whole(name="int", low=8, high=33, step=8), 9) == [8, 16, 24, 32]
    assert grid(Whole(name="int", low=1, high=10, step=1), 2) == [1, 10]
    values = Values(name="choice", values=[{"name": "sgd", "momentum": 0.9}, {"name": "adam"}])
    assert grid(values, 2) == [{"name": "sgd", "momentum": 0.9}, {"name": "adam"}]


def test_a_drawn_number_has_four_digits_and_stays_inside() -> None:
    one = Log(name="log", low=0.00123456, high=0.1)
    assert value_of(one, 0.0234567) == 0.02346
    assert value_of(one, 0.00123456) == 0.001235
    assert value_of(Log(name="log", low=0.0012351, high=0.1), 0.0012351) == 0.0012351


def test_a_grid_is_all_combinations() -> None:
    space = {
        "train.epochs": Whole(name="int", low=1, high=2, step=1),
        "train.model": Values(name="choice", values=["a", "b", "c"]),
    }
    method = Grid(name="grid", points=2)
    planned = METHODS.of(method).planned(method, space)
    assert len({str(sorted(one.items())) for one in planned}) == len(planned) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"split.seed": {"name": "int", "low": 1, "high": 9, "step": 1}}}, "split.seed cannot vary"),
        ({"space": {"train.seed": {"name": "int", "low": 1, "high": 9, "step": 1}}}, "train.seed must not vary"),
        (
            {"space": {"train.epochs": {"name": "int", "low": 1, "high": 9, "step": 1}}, "epochs": 3},
            "make epochs null",
        ),
        (
            {
                "space": {
                    "train.model": {"name": "choice", "values": [1, 2]},
                    "train.model.width": {"name": "int", "low": 1, "high": 9, "step": 1},
                }
            },
            "train.model.width lies in train.model",
        ),
        ({"space": {"train.l2": {"name": "log", "low": 0.0, "high": 1.0}}}, "greater than 0"),
        ({"space": {"train.l2": {"name": "linear", "low": 2.0, "high": 1.0}}}, "low must be below high"),
        ({"space": {"train.keep": {"name": "choice", "values": ["best", "best"]}}}, "listed twice"),
        ({"space": {"learning_rate": {"name": "linear", "low": 0.0, "high": 1.0}}}, "pattern"),
        ({"method": {"name": "genetic"}}, "does not match any of the expected tags"),
    ],
)
def test_what_cannot_vary_is_refused(changes: dict[str, Any], message: str) -> None:
    TuneParams.model_validate(BASE)
    with pytest.raises(ValidationError, match=message):
        TuneParams.model_validate({**BASE, **changes})


@pytest.mark.parametrize(
    "value", [date(2026, 1, 31), b"x", {1: 2, "a": 3}, {"a": {2: 3}}, {4}, math.nan, [math.inf]], ids=repr
)
def test_a_choice_has_values_that_a_study_can_keep(value: Any) -> None:
    space = {"train.optimizer": {"name": "choice", "values": [value, "adam"]}}
    with pytest.raises(ParamsError, match=r"tune\.space\.train\.optimizer"):
        params(**{"tune.space": space})
