"""Results of several models on the same dev images -> which is best, and which differences are noise.

Paired: two models are measured on the same images, so that what is hard for both cancels. All models of a table are
judged together (multiple_comparisons.py): of twenty models that are equally good one is called worse in at most 5 % of
tables.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.manifest import DEV
from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import MIN_GROUPS, metric_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import Metric, check_defined, key_of, metric_of
from pipeline.metrics.multiple_comparisons import judged_together
from pipeline.metrics.predictions import Predictions, checked_predictions, classes_of
from pipeline.stages.evaluate.params import EvaluateParams

Standing = Literal["best", "within noise", "worse", "better"]
FEW_GROUPS = (
    f"dev has fewer than {MIN_GROUPS} independent groups: so there is no interval, and models cannot be told apart"
)


@dataclass(frozen=True)
class Result:
    """What a run left: its report, and its predictions or why there are none.

    seconds: that its model took to fit on this machine; None where nobody noted it.
    """

    name: str
    kind: Literal["workspace", "experiment", "commit"]
    rev: str | None
    report: Mapping[str, Any]
    predictions: pd.DataFrame | None = field(repr=False)
    missing: str = ""
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """A result beside the best one. Ends of intervals are None where predictions, or independent groups, are too few.

    accepted: None where nothing says so.
    difference: to the best accepted model on the same images, or to the best one if none is accepted, in the metric;
        low and high are of its interval, and those of all rows hold together at 95 %.
    changed: what params.yaml had otherwise than that model's, by path: this row's value; None where it was absent.
    seconds: that the model took to fit; None where that is not known.
    own: whether it was measured on images that the first result's dev has as well.
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
    changed: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    own: bool = True


@dataclass(frozen=True)
class _Measured:
    row: Row
    influence: npt.NDArray[np.float64] | None
    """Of each image on the metric, shape (n,); None: it cannot be compared with the others."""
    params: Mapping[str, Any]


def is_report(value: Any) -> bool:
    """Whether a value read from JSON has the form of an evaluation's report, of any version."""
    if not isinstance(value, dict):
        return False
    limits, dev = value.get("limits", {}), value.get(DEV, {})
    if not isinstance(limits, dict) or not isinstance(dev, dict):
        return False
    held = all(isinstance(limit, dict) and isinstance(limit.get("held"), bool) for limit in limits.values())
    return held and all(number is None or isinstance(number, int | float) for number in dev.values())


def compare(results: Sequence[Result], params: EvaluateParams) -> list[Row]:
    """A row a result: accepted before rejected, those on the same dev images before others, the best first.

    Args:
        results: the first that has predictions says which images of dev count; all are measured by the metric of
            params, whatever they were judged by when they ran.
    """
    dev = next((_dev(result.predictions) for result in results if result.predictions is not None), None)
    measured = [_measure(result, dev, params) for result in results]
    maximise = METRICS.of(params.optimizing).maximise
    there = [each for each in measured if each.influence is not None]
    reach = _reach(there, dev, params)
    best = _best([each for each in there if each.row.accepted] or there, maximise)
    rows = []
    for each in measured:
        row = _beside(each, best, reach.get((id(each), id(best)), math.inf), maximise)
        rows.append((row, each.influence is not None))
    rows.sort(key=lambda pair: (not pair[0].accepted, not pair[1], _rank(pair[0].value, maximise)))
    return [row for row, _ in rows]


def _reach(
    there: Sequence[_Measured], dev: pd.DataFrame | None, params: EvaluateParams
) -> dict[tuple[int, int], float]:
    """How far the difference of each two is uncertain, by their ids; empty where dev tells nothing."""
    if not there or dev is None:
        return {}
    metric, seen = _judged(dev, params)
    codes = pd.factorize(dev["group"], sort=True)[0]
    groups = len(np.unique(codes[metric.counted(seen)]))
    if groups < MIN_GROUPS:
        return {}
    # In the order of names: draws depend on no other.
    ordered = sorted(there, key=lambda each: (each.row.name, each.row.rev or ""))
    influences = np.stack([each.influence for each in ordered if each.influence is not None])
    reach = judged_together(influences, codes, groups, ALPHA, params.seed).reach
    return {
        (id(one), id(other)): float(reach[place, beside])
        for place, one in enumerate(ordered)
        for beside, other in enumerate(ordered)
    }


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
        seconds=result.seconds,
    )
    if result.predictions is None or dev is None:
        return _Measured(replace(_reported(bare, result, params), note=result.missing), None, result.params)
    own = _dev(result.predictions)
    try:
        metric, seen = _judged(own, params)
    except PipelineError as error:
        return _Measured(replace(bare, note=str(error)), None, result.params)
    if metric.needs_probabilities and seen.probabilities is None:
        bare = replace(bare, note="its predictions have no probabilities: run it again")
        return _Measured(bare, None, result.params)
    note = _other_images(own, dev)
    # The groups of the first result, because an earlier `curate` may have named them otherwise.
    groups = own["group"] if note else dev["group"]
    low, high = metric_interval(metric, seen, groups) or (None, None)
    few = "" if note or low is not None else FEW_GROUPS
    is_own = not note or _is_own(own, dev)
    row = replace(bare, value=metric.value(seen), low=low, high=high, note=note or few, own=is_own)
    return _Measured(row, None if note else image_influence(metric, seen), result.params)


def _is_own(own: pd.DataFrame, dev: pd.DataFrame) -> bool:
    """Whether two dev sets have an image in common: an earlier state of the same project does."""
    return bool(own["id"].isin(dev["id"]).any())


def _dev(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["split"] == DEV].sort_values("id")


def _judged(dev: pd.DataFrame, params: EvaluateParams) -> tuple[Metric, Predictions]:
    classes = classes_of(dev)
    metric, seen = metric_of(params.optimizing, classes), checked_predictions(dev, classes)
    check_defined(metric, seen.truth, classes, DEV)
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


def _beside(each: _Measured, best: _Measured | None, reach: float, maximise: bool) -> Row:
    if best is None or each.influence is None:
        return each.row
    row = replace(each.row, changed=_changed(each.params, best.params))
    if each is best:
        return replace(row, standing="best")
    assert row.value is not None and best.row.value is not None  # noqa: S101, PT018
    difference = row.value - best.row.value
    if math.isinf(reach):
        return replace(row, difference=difference)
    low, high = difference - reach, difference + reach
    ahead = low > 0 if maximise else high < 0
    behind = high < 0 if maximise else low > 0
    return replace(
        row,
        standing="better" if ahead else "worse" if behind else "within noise",
        difference=difference,
        difference_low=low,
        difference_high=high,
    )


def _changed(own: Mapping[str, Any], best: Mapping[str, Any]) -> dict[str, Any]:
    if not own or not best:
        return {}
    missing = object()
    return {name: own.get(name) for name in sorted({*own, *best}) if own.get(name, missing) != best.get(name, missing)}


def _rank(value: float | None, maximise: bool) -> float:
    return math.inf if value is None or math.isnan(value) else -value if maximise else value
