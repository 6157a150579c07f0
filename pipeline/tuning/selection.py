"""What choosing the best of many models on dev does to its number there.

The best of many is partly the luckiest. The bias-corrected estimate of Tsamardinos, Greasidou and Borboudakis (2018,
Bootstrapping the out-of-sample predictions): in each resample of dev's groups the model that is best there is measured
on the groups that were not drawn. No model is fitted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import interval, resamples
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions


@dataclass(frozen=True)
class Selection:
    """value: of the chosen model on dev; corrected: what it is worth without the choice; low, high: its interval."""

    value: float
    corrected: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """By how much the best of some models is better than the best of others, without the choices; and its interval."""

    value: float
    low: float
    high: float


def after_selection(
    metric: Metric, models: Sequence[Predictions], groups: "pd.Series[Any]", count: int, seed: int
) -> Selection | None:
    """The value of the best model on dev, and what of it is not the choice; None on too few independent groups.

    Args:
        models: what each says of the same n images. groups: shape (n,). count: resamples.
    """
    values = np.array([metric.value(seen) for seen in models])
    if groups.nunique() < MIN_GROUPS:
        return None
    best = values.max() if metric.maximise else values.min()
    left: list[npt.NDArray[np.float64]] = []
    for weights in resamples(groups, count, seed, "tune"):
        inside = np.stack([metric.values(seen, weights) for seen in models])
        outside = np.stack([metric.values(seen, (weights == 0).astype(np.int64)) for seen in models])
        worst = -np.inf if metric.maximise else np.inf
        inside = np.where(np.isnan(inside), worst, inside)
        chosen = inside.argmax(axis=0) if metric.maximise else inside.argmin(axis=0)
        left.append(outside[chosen, np.arange(len(chosen))])
    drawn = np.concatenate(left)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return None
    low, high = interval(drawn)
    corrected = float(drawn.mean())
    # No choice makes a model better than it looks.
    corrected = min(corrected, best) if metric.maximise else max(corrected, best)
    return Selection(float(best), float(corrected), min(low, corrected), max(high, corrected))


def difference_after_selection(
    metric: Metric,
    models: tuple[Sequence[Predictions], Sequence[Predictions]],
    groups: "pd.Series[Any]",
    count: int,
    seed: int,
) -> Difference | None:
    """How the best of some models compares with the best of others; above 0 the first are better.

    In each resample the best of both are chosen on the groups that were drawn, and compared on those that were not: so
    a side with more models gains nothing by its larger choice. None on too few independent groups.

    Args:
        models: both sides; what each model says of the same n images. groups: shape (n,). count: resamples.
    """
    if groups.nunique() < MIN_GROUPS or not all(models):
        return None
    sign = 1 if metric.maximise else -1
    left: list[npt.NDArray[np.float64]] = []
    for weights in resamples(groups, count, seed, "tune"):
        outside_weights = (weights == 0).astype(np.int64)
        sides = []
        for side in models:
            inside = sign * np.stack([metric.values(seen, weights) for seen in side])
            outside = sign * np.stack([metric.values(seen, outside_weights) for seen in side])
            chosen = np.where(np.isnan(inside), -np.inf, inside).argmax(axis=0)
            sides.append(outside[chosen, np.arange(len(chosen))])
        left.append(sides[0] - sides[1])
    drawn = np.concatenate(left)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return None
    return Difference(float(drawn.mean()), *interval(drawn))
