"""Intervals and influences of metrics of numbers (number_measures.py), where images come in groups.

What a metric loses (the error; of R2 what it lacks of 1) is positive and skewed to the right: a few images err most. So
its interval is made on the logarithm, with the variance over groups of the influences on it (linearization: Binder,
1983) and Student's quantile, whose degrees of freedom the groups' own contributions give (Satterthwaite, 1946).
"""

import math

import numpy as np
import numpy.typing as npt

from pipeline.metrics.influence import clustered_variance
from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.upper_tails import student_quantile

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
# Degrees of freedom, at least.
LEAST_FREEDOM = 5.0
# Significant digits that no order of additions changes.
DIGITS = 9


def number_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> tuple[float, float]:
    """Of any metric of numbers, at 1 - alpha; of one that loses nothing on any image both ends are its value.

    Args:
        codes: the group of each image, from 0, shape (n,).
    """
    assert metric.log_influence is not None  # noqa: S101
    value = metric.value(seen)
    lost = 1 - value if metric.maximise else value
    reach = _reach(metric.log_influence(seen), codes, alpha)
    low, high = lost * math.exp(-reach), lost * math.exp(reach)
    ends = (1 - high, 1 - low) if metric.maximise else (low, high)
    return _rounded(ends[0]), _rounded(ends[1])


def _reach(influence: Floats, codes: Codes, alpha: float) -> float:
    """How far the logarithm is uncertain on either side."""
    squares = np.bincount(codes, weights=influence) ** 2
    total = float((squares**2).sum())
    if total == 0:
        return 0.0
    freedom = max(float(squares.sum()) ** 2 / total - 1, LEAST_FREEDOM)
    return student_quantile(alpha / 2, freedom) * math.sqrt(clustered_variance(influence, codes))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
