"""Satisficing limits: if one of them is broken, the model is rejected however good it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import AnyMeasure, Limit, ModelFact, SliceError
from pipeline.metrics.predictions import checked_predictions
from pipeline.stages.evaluate.params import EvaluateParams

# A value at its bound is not beyond it because of the last digits of a sum: recalls .6, .7, .8 have the mean .7.
ROUNDING = 1e-9
LATENCY = ModelFact(name="latency_p95_ms")


@dataclass(frozen=True)
class LimitResult:
    """The measured value of a limit, and whether the limit holds."""

    value: float
    held: bool


def needs_latency(params: EvaluateParams) -> bool:
    """Whether a limit is on time; it is measured only then, because no two measurements are equal."""
    return any(limit.metric == LATENCY for limit in params.satisficing.values())


def without_latency(params: EvaluateParams) -> EvaluateParams:
    """The same params without limits on time, which is no matter of images."""
    kept = {name: limit for name, limit in params.satisficing.items() if limit.metric != LATENCY}
    return params.model_copy(update={"satisficing": kept})


def check_limits(
    dev: pd.DataFrame, classes: tuple[str, ...], facts: Mapping[str, float], params: EvaluateParams
) -> dict[str, LimitResult]:
    """Each limit of params, measured on a split.

    Args:
        dev: predictions, with the columns of `with_slices`.
        facts: what needs no labels, by the names of ModelFact.

    Raises:
        DataError: a measure is not defined there, because a slice or a class has no images; all such limits are named.
        ParamsError: a limit names a class that the model does not have.
    """
    values = {name: _value(limit.metric, dev, classes, facts) for name, limit in params.satisficing.items()}
    empty = [_why(name, params.satisficing[name].metric, dev) for name, value in values.items() if math.isnan(value)]
    if empty:
        raise DataError("; ".join(empty) + ": add such images to the production sources, or remove the limit")
    return {name: LimitResult(value, holds(params.satisficing[name], value)) for name, value in values.items()}


def _value(choice: AnyMeasure, dev: pd.DataFrame, classes: tuple[str, ...], facts: Mapping[str, float]) -> float:
    match choice:
        case ModelFact(name=name):
            return facts[name]
        case SliceError(column=column, value=value):
            part = dev[dev[column] == value]
            return float((part["label"].astype(str) != part["predicted"].astype(str)).mean())
        case metric:
            return metric_of(metric, classes).value(checked_predictions(dev, classes))


def holds(limit: Limit, value: float) -> bool:
    """Whether a measured value is within a limit's bounds."""
    slack = ROUNDING * max(1.0, abs(value))
    return (limit.min is None or value >= limit.min - slack) and (limit.max is None or value <= limit.max + slack)


def _why(name: str, choice: AnyMeasure, dev: pd.DataFrame) -> str:
    split = str(dev["split"].iloc[0])
    place = f"evaluate.satisficing.{name}: {split}"
    if isinstance(choice, SliceError):
        counts: Any = dev[choice.column].value_counts().sort_index().items()
        there = listing((f"{value!r} ({count})" for value, count in counts), 10)
        return f"{place} has no images with {choice.column} {choice.value!r}, it has {there}"
    if METRICS[choice.name].of_numbers is not None:
        return f"{place} has images with one number only, of which {choice.name} is not defined"
    return f"{place} has no images of the class {getattr(choice, 'label', '')!r}"
