"""Predictions of several splits -> one report: the metrics, the limits and whether a model is accepted."""

from typing import Any

import pandas as pd

from pipeline.core.metrics import METRICS, bootstrap_matrices, check_limits, confusion_matrix, interval
from pipeline.params import EvaluateParams


def measure_split(predictions: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams) -> dict[str, float]:
    """Every metric of one split, and the 95 % interval of the optimizing one."""
    split = str(predictions["split"].iloc[0])
    matrix = confusion_matrix(predictions["label"].to_numpy(), predictions["predicted"].to_numpy(), classes)
    values = {name: float(metric(matrix)) for name, metric in METRICS.items()}
    resampled = bootstrap_matrices(predictions, classes, params.bootstrap, params.seed, split)
    low, high = interval(METRICS[params.optimizing](resampled))
    return {**values, "low": low, "high": high, "images": len(predictions)}


def judge(measured: dict[str, float], model_bytes: int, params: EvaluateParams) -> dict[str, Any]:
    """The value of the optimizing metric, each limit, and `accepted`: whether all limits hold."""
    limits = check_limits({**measured, "model_megabytes": model_bytes / 1e6}, params.satisficing)
    return {
        "optimizing": measured[params.optimizing],
        "limits": {name: {"value": limit.value, "held": limit.held} for name, limit in limits.items()},
        "accepted": all(limit.held for limit in limits.values()),
    }


def confusion_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per image, `actual` and `predicted`, for DVC's confusion template."""
    rows = pd.DataFrame({"actual": predictions["label"].astype(str), "predicted": predictions["predicted"].astype(str)})
    return rows.sort_values(["actual", "predicted"], ignore_index=True)
