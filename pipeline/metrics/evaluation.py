"""Predictions of several splits -> one report: the metrics, the limits and whether a model is accepted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import SPLITS
from pipeline.metrics.calibration import calibration_error, reliability
from pipeline.metrics.confusion import confusion_matrix, per_class
from pipeline.metrics.distance_measures import measures_of
from pipeline.metrics.intervals import MIN_GROUPS, metric_interval
from pipeline.metrics.label_evaluation import label_confusion, label_reliability, per_label
from pipeline.metrics.limits import check_limits
from pipeline.metrics.metric import check_defined, key_of, metric_of, plain_metrics
from pipeline.metrics.number_evaluation import bin_confusion, no_reliability, per_bin
from pipeline.metrics.predictions import Predictions, checked_predictions
from pipeline.metrics.slices import slice_table, with_slices
from pipeline.problem.framing import UNRELATED, Framing
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.stages.evaluate.params import EvaluateParams

# Values that four decimals would not show, or show with digits that say nothing.
TINY, HUGE = 5e-4, 1e4


@dataclass(frozen=True)
class Evaluation:
    """The report on a model for some splits; the tables for plots are of the split that judges it."""

    metrics: dict[str, Any]
    confusion: pd.DataFrame
    per_class: pd.DataFrame
    reliability: pd.DataFrame
    slices: pd.DataFrame
    broken: list[str]
    words: str


def evaluation(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    classes: tuple[str, ...],
    facts: Mapping[str, float],
    judging: str,
    params: EvaluateParams,
    framing: Framing = UNRELATED,
) -> Evaluation:
    """The report on a model.

    Args:
        predictions: of the rows of the manifest, in their order.
        facts: values that need no labels, by the names of params.ModelFact.
        judging: the split on which the limits must hold.
        framing: how the classes relate.

    Raises:
        DataError: that split has only one class, or a metric is not defined on a split.
        ParamsError: params name a class or a column that does not exist.
    """
    sliced = with_slices(predictions, manifest, params)
    parts = {split: sliced[sliced["split"] == split] for split in SPLITS if (sliced["split"] == split).any()}
    if not isinstance(classes, Quantity):
        _check_classes(parts[judging], judging)
    measured = {split: measure_split(part, classes, params, framing) for split, part in parts.items()}
    slices = slice_table(sliced, classes, params)
    dev = parts[judging]
    judgement = judge(measured[judging], dev, classes, facts, params)
    broken = [name for name, limit in judgement["limits"].items() if not limit["held"]]
    return Evaluation(
        metrics={**measured, **judgement, "slices": _by_column(slices[slices["split"] == judging])},
        confusion=confusion_rows(dev, classes),
        per_class=_per_class(dev, classes),
        reliability=_reliability(dev, classes, params),
        slices=slices,
        broken=broken,
        words=f"{key_of(params.optimizing)}: {_words(measured, broken)}",
    )


def measure_split(
    predictions: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams, framing: Framing = UNRELATED
) -> dict[str, float | None]:
    """Every metric of one split, the 95 % interval of the optimizing one, and the calibration error, if there is one.

    `low` and `high` are None where fewer than 15 independent groups tell about the metric.

    Raises:
        DataError: the optimizing metric is not defined there.
    """
    split = str(predictions["split"].iloc[0])
    seen = checked_predictions(predictions, classes)
    metric = metric_of(params.optimizing, classes)
    check_defined(metric, seen.truth, classes, split)
    optimizing = metric.value(seen)
    low, high = metric_interval(metric, seen, predictions["group"]) or (None, None)
    return {
        **_plain(seen, framing),
        metric.key: optimizing,
        "optimizing": optimizing,
        "low": low,
        "high": high,
        "images": len(predictions),
        **_calibration(predictions, classes, params),
    }


def judge(
    measured: Mapping[str, float | None],
    dev: pd.DataFrame,
    classes: tuple[str, ...],
    facts: Mapping[str, float],
    params: EvaluateParams,
) -> dict[str, Any]:
    """The value of the optimizing metric, each limit, and `accepted`: whether all limits hold."""
    limits = check_limits(dev, classes, facts, params)
    return {
        "optimizing": measured["optimizing"],
        "limits": {name: {"value": limit.value, "held": limit.held} for name, limit in limits.items()},
        "accepted": all(limit.held for limit in limits.values()),
    }


def confusion_rows(predictions: pd.DataFrame, classes: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per image, `actual` and `predicted`, for DVC's confusion template; per image and label, if several.

    Of numbers, the parts of the range in which both lie.
    """
    if isinstance(classes, Quantity):
        return bin_confusion(checked_predictions(predictions, classes))
    if isinstance(classes, LabelNames):
        return label_confusion(checked_predictions(predictions, classes))
    rows = pd.DataFrame({"actual": predictions["label"].astype(str), "predicted": predictions["predicted"].astype(str)})
    return rows.sort_values(["actual", "predicted"], ignore_index=True)


def _plain(seen: Predictions, framing: Framing) -> dict[str, float]:
    of_framing = [metric_of(choice, seen.classes) for choice in measures_of(framing, seen.classes)]
    values = {metric.key: metric.value(seen) for metric in (*plain_metrics(seen.classes), *of_framing)}
    return {key: value for key, value in values.items() if not math.isnan(value)}


def _per_class(predictions: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    if isinstance(classes, Quantity):
        return per_bin(checked_predictions(predictions, classes), predictions["group"])
    if isinstance(classes, LabelNames):
        return per_label(checked_predictions(predictions, classes), predictions["group"])
    matrix = confusion_matrix(predictions["label"].to_numpy(), predictions["predicted"].to_numpy(), classes)
    return per_class(matrix, classes)


def _calibration(predictions: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams) -> dict[str, float]:
    if isinstance(classes, Quantity):
        return {}
    return {"calibration_error": calibration_error(_reliability(predictions, classes, params))}


def _reliability(predictions: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams) -> pd.DataFrame:
    if isinstance(classes, Quantity):
        return no_reliability()
    if isinstance(classes, LabelNames):
        return label_reliability(checked_predictions(predictions, classes), params.calibration_bins)
    right = predictions["label"].astype(str).to_numpy() == predictions["predicted"].astype(str).to_numpy()
    return reliability(predictions["confidence"].to_numpy(), right, params.calibration_bins)


def _check_classes(dev: pd.DataFrame, split: str) -> None:
    labels = sorted(set(dev["label"].astype(str)))
    if len(labels) < 2:
        raise DataError(
            f"{split} has images of one class only ({listing(labels)}), and a model that always predicts it would "
            "be right: give this split production images of other classes (split.production, split.min_per_class)"
        )


def _by_column(slices: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in slices.to_dict("records"):
        # Numbers are not right or wrong.
        error = "optimizing" if math.isnan(row["error_rate"]) else "error_rate"
        found.setdefault(row["column"], {})[row["value"]] = {error: row[error], "images": row["images"]}
    return found


def ends_in_words(low: float | None, high: float | None) -> str:
    """An interval as it is shown, or why there is none."""
    if low is None or high is None:
        return f"no interval: fewer than {MIN_GROUPS} independent groups"
    return f"{figure(low)} to {figure(high)}"


def figure(value: float | None) -> str:
    """A value of a metric: to four decimals, or where these say nothing, as of large numbers, to four digits."""
    if value is None:
        return ""
    return f"{value:.4g}" if 0 < abs(value) < TINY or abs(value) >= HUGE else f"{value:.4f}"


def _words(measured: Mapping[str, Mapping[str, float | None]], broken: list[str]) -> str:
    values = ", ".join(
        f"{split} {figure(part['optimizing'])} ({ends_in_words(part['low'], part['high'])})"
        for split, part in measured.items()
    )
    return f"{values}; {f'rejected, it breaks {listing(broken)}' if broken else 'accepted'}"
