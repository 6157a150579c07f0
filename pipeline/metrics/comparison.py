"""Results of several models on the same dev images -> which is best, and which differences are noise.

Paired: two models are measured on the same resamples of the same images, so that what makes a resample
hard for both cancels (the bootstrap of a difference, Efron and Tibshirani 1993, ch. 16; for models on one test
set, Koehn 2004). Each comparison is at 95 %: of twenty models that are equally good, one will seem worse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.manifest import DEV
from pipeline.metrics.bootstrap import Values, interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import Metric, check_defined, key_of, metric_of
from pipeline.metrics.predictions import Predictions, checked_predictions, classes_of
from pipeline.stages.evaluate.params import EvaluateParams

Standing = Literal["best", "within noise", "worse", "better"]


@dataclass(frozen=True)
class Result:
    """What a run left: its report, and its predictions or why there are none."""

    name: str
    kind: Literal["workspace", "experiment", "commit"]
    rev: str | None
    report: Mapping[str, Any]
    predictions: pd.DataFrame | None = field(repr=False)
    missing: str = ""


@dataclass(frozen=True)
class Row:
    """A result beside the best one. Ends of intervals are None where there are no predictions to resample.

    accepted: None where nothing says so.
    difference: to the best accepted model on the same images, in the metric; low and high are of its 95 % interval.
    """

    name: str
    kind: str
    rev: str | None
    value: float | None
    low: float | None
    high: float | None
    accepted: bool | None
    broken: tuple[str, ...]
    standing: Standing | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Measured:
    row: Row
    resampled: Values | None
    """None: it cannot be held against the others."""


def is_report(value: Any) -> bool:
    """Whether a value read from JSON has the form of an evaluation's report, of any version."""
    if not isinstance(value, dict):
        return False
    limits, dev = value.get("limits", {}), value.get(DEV, {})
    if not isinstance(limits, dict) or not isinstance(dev, dict):
        return False
    held = all(isinstance(limit, dict) and isinstance(limit.get("held"), bool) for limit in limits.values())
    return held and all(isinstance(number, int | float) for number in dev.values())


def compare(results: Sequence[Result], params: EvaluateParams) -> list[Row]:
    """A row a result: accepted before rejected, those on the same dev images before others, the best first.

    Args:
        results: the first that has predictions says which images of dev count; all are measured by the metric of
            params, whatever they were judged by when they ran.
    """
    dev = next((_dev(result.predictions) for result in results if result.predictions is not None), None)
    measured = [_measure(result, dev, params) for result in results]
    maximise = METRICS.of(params.optimizing).maximise
    best = _best([each for each in measured if each.row.accepted and each.resampled is not None], maximise)
    rows = [_beside(each, best, maximise) for each in measured]
    comparable = {id(row): each.resampled is not None for row, each in zip(rows, measured, strict=True)}
    return sorted(rows, key=lambda row: (not row.accepted, not comparable[id(row)], _rank(row.value, maximise)))


def _measure(result: Result, dev: pd.DataFrame | None, params: EvaluateParams) -> _Measured:
    limits = result.report.get("limits", {})
    broken = tuple(sorted(name for name, limit in limits.items() if not limit["held"]))
    bare = Row(
        name=result.name,
        kind=result.kind,
        rev=result.rev,
        value=None,
        low=None,
        high=None,
        accepted=bool(result.report["accepted"]) if "accepted" in result.report else None,
        broken=broken,
    )
    if result.predictions is None or dev is None:
        return _Measured(replace(_reported(bare, result, params), note=result.missing), None)
    own = _dev(result.predictions)
    try:
        metric, seen = _judged(own, params)
    except PipelineError as error:
        return _Measured(replace(bare, note=str(error)), None)
    if metric.needs_probabilities and seen.probabilities is None:
        return _Measured(replace(bare, note="its predictions have no probabilities: run it again"), None)
    note = _other_images(own, dev)
    # The groups of the first result, because an earlier `curate` may have named them otherwise.
    groups = own["group"] if note else dev["group"]
    resampled = metric.resampled(seen, groups, params.bootstrap, params.seed, DEV)
    low, high = interval(resampled)
    row = replace(bare, value=metric.value(seen), low=low, high=high, note=note)
    return _Measured(row, None if note else resampled)


def _dev(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["split"] == DEV].sort_values("id", ignore_index=True)


def _judged(dev: pd.DataFrame, params: EvaluateParams) -> tuple[Metric, Predictions]:
    classes = classes_of(dev)
    metric, seen = metric_of(params.optimizing, classes), checked_predictions(dev, classes)
    check_defined(metric, seen.labels, classes, DEV)
    return metric, seen


def _reported(row: Row, result: Result, params: EvaluateParams) -> Row:
    """What the report says, if it has the metric; its interval, if it was the metric that ranked."""
    part = result.report.get(DEV, {})
    key = key_of(params.optimizing)
    if key not in part:
        return row
    ranked = part.get("optimizing", result.report.get("optimizing")) == part[key]
    return replace(
        row, value=part[key], low=part.get("low") if ranked else None, high=part.get("high") if ranked else None
    )


def _other_images(own: pd.DataFrame, dev: pd.DataFrame) -> str:
    """Why two sets of dev images are not the same; empty if they are."""
    here = set(zip(dev["id"], dev["label"].astype(str), strict=True))
    there = set(zip(own["id"], own["label"].astype(str), strict=True))
    if here == there:
        return ""
    return f"another dev: {len(there & here)} of its {len(there)} labelled images are among the {len(here)} here"


def _best(measured: Sequence[_Measured], maximise: bool) -> _Measured | None:
    return min(measured, key=lambda each: _rank(each.row.value, maximise), default=None)


def _beside(each: _Measured, best: _Measured | None, maximise: bool) -> Row:
    if best is None or each.resampled is None or best.resampled is None:
        return each.row
    if each is best:
        return replace(each.row, standing="best")
    assert each.row.value is not None and best.row.value is not None  # noqa: S101, PT018
    low, high = interval(each.resampled - best.resampled)
    ahead = low > 0 if maximise else high < 0
    behind = high < 0 if maximise else low > 0
    return replace(
        each.row,
        standing="better" if ahead else "worse" if behind else "within noise",
        difference=each.row.value - best.row.value,
        difference_low=low,
        difference_high=high,
    )


def _rank(value: float | None, maximise: bool) -> float:
    return math.inf if value is None or math.isnan(value) else -value if maximise else value
