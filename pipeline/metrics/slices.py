"""Slices: parts of a split by the values of a column, each measured on its own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import ParamsError, listing
from pipeline.manifest import EXTRA_COLUMNS
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.params import SliceError
from pipeline.metrics.predictions import checked_predictions
from pipeline.stages.evaluate.params import EvaluateParams

SOURCE = "source"
# A column with more values names images, not kinds of images.
MAX_VALUES = 100
NO_KINDS = frozenset({"id", "path", "sha256", "pixels", "shard", "row", "group", "user_group", "split"})


def slice_columns(params: EvaluateParams) -> list[str]:
    """The columns to slice by: the source, those of `slices`, and those of limits."""
    of_limits = [limit.metric.column for limit in params.satisficing.values() if isinstance(limit.metric, SliceError)]
    return list(dict.fromkeys([SOURCE, *params.slices, *of_limits]))


def with_slices(predictions: pd.DataFrame, manifest: pd.DataFrame, params: EvaluateParams) -> pd.DataFrame:
    """Predictions with the columns to slice by; the rows of both are the same images in the same order.

    Raises:
        ParamsError: a column does not exist or has too many values; the message names all such columns.
    """
    columns = slice_columns(params)
    problems = []
    for name in columns:
        if name not in manifest.columns:
            hint = f", did you mean {EXTRA_COLUMNS}{name}?" if f"{EXTRA_COLUMNS}{name}" in manifest.columns else ""
            problems.append(f"the manifest has no column {name!r}{hint}")
        elif _is_text(manifest[name]) and manifest[name].nunique() > MAX_VALUES:
            problems.append(
                f"the column {name!r} has {manifest[name].nunique()} values; a column to slice by has at most "
                f"{MAX_VALUES}"
            )
    if problems:
        raise ParamsError(
            f"evaluate.slices and limits on slices: {'; '.join(problems)}. "
            f"There are {listing(sorted(set(manifest.columns) - NO_KINDS), 30)}"
        )
    return predictions.assign(**{name: kinds(manifest[name]) for name in columns})


def kinds(column: "pd.Series[Any]") -> npt.NDArray[np.object_]:
    """Names as they are, truths as yes and no; of numbers and times the quarter, "1 of 4" the least, "" of none."""
    if _is_text(column):
        return column.astype(str).to_numpy(object)
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.map({True: "yes", False: "no"}).to_numpy(object)
    quarter = np.ceil(column.rank(pct=True) * 4)
    return np.array([f"{int(number)} of 4" if not np.isnan(number) else "" for number in quarter], object)


def slice_table(predictions: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams) -> pd.DataFrame:
    """One row per split and value of a column: images, error rate, optimizing metric and its interval.

    Cells are empty where the metric is not defined, as a class's recall is on a slice without the class; those of the
    interval also where fewer than 15 independent groups tell about it.
    """
    metric = metric_of(params.optimizing, classes)
    rows = [
        _row(part, classes, metric, params, str(split), column, str(value))
        for column in slice_columns(params)
        for (split, value), part in predictions.groupby(["split", column], observed=True, sort=True)
    ]
    return pd.DataFrame(rows)


def _row(
    part: pd.DataFrame,
    classes: tuple[str, ...],
    metric: Metric,
    params: EvaluateParams,
    split: str,
    column: str,
    value: str,
) -> dict[str, object]:
    seen = checked_predictions(part, classes)
    value_here = metric.value(seen)
    ends = None if np.isnan(value_here) else metric_interval(metric, seen, part["group"])
    low, high = ends or (float("nan"), float("nan"))
    return {
        "split": split,
        "column": column,
        "value": value,
        "bar": f"{split} {column}={value}",
        "images": len(part),
        # Numbers are not right or wrong.
        "error_rate": float((seen.labels != seen.predicted).mean()) if seen.numbers is None else float("nan"),
        "optimizing": value_here,
        "low": low,
        "high": high,
    }


def _is_text(column: "pd.Series[str]") -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column)
