"""Metrics of numbers, where images have a number instead of a class: each for thousands of resamples at once.

Names and formulas are those of scikit-learn's User Guide, 3.4.6 (regression metrics). `measures.py` has their rows.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Numbers, Predictions

Floats = npt.NDArray[np.float64]
# Predictions -> what each image adds to the logarithm of what a metric loses (influence function), shape (n,), mean 0.
LogInfluence = Callable[[Predictions], Floats]


class MeanAbsoluteError(MetricParams):
    """Mean of |prediction - number|, in the unit of the numbers."""

    name: Literal["mean_absolute_error"]


class RootMeanSquaredError(MetricParams):
    """Root of the mean of (prediction - number)^2, in the unit of the numbers: large errors count more."""

    name: Literal["root_mean_squared_error"]


class R2(MetricParams):
    """Share of the numbers' variance that predictions explain, at most 1; 0: as good as always their mean."""

    name: Literal["r2"]


def numbers_of(seen: Predictions) -> Numbers:
    """The numbers, for a metric that needs them."""
    if seen.numbers is None:
        raise ValueError("these predictions are of classes, not of numbers")
    return seen.numbers


def _mean(weights: Weights, values: Floats) -> Values:
    """For weights (m, n) and values (n,), shape (m,); not a product of matrices, which threads would add up anew."""
    return np.asarray((weights * values).sum(axis=1) / weights.sum(axis=1))


def mean_absolute_error(seen: Predictions, weights: Weights) -> Values:
    """For weights (m, n), shape (m,), 0 or more."""
    return _mean(weights, np.abs(numbers_of(seen).errors))


def root_mean_squared_error(seen: Predictions, weights: Weights) -> Values:
    """For weights (m, n), shape (m,), 0 or more."""
    return np.asarray(np.sqrt(_mean(weights, numbers_of(seen).errors ** 2)))


def r2(seen: Predictions, weights: Weights) -> Values:
    """For weights (m, n), shape (m,), at most 1; NaN where all numbers are equal.

    Of the mean of the same images, as scikit-learn has it.
    """
    numbers = numbers_of(seen)
    # Around a mean near theirs: squares of large numbers would lose digits.
    centred = numbers.truth - numbers.truth.mean()
    variance = _mean(weights, centred**2) - _mean(weights, centred) ** 2
    least = 1e-12 * max(float((centred**2).mean()), np.finfo(np.float64).tiny)
    left = np.full(len(weights), np.nan)
    np.divide(_mean(weights, numbers.errors**2), variance, out=left, where=variance > least)
    return 1 - left


def absolute_log_influence(seen: Predictions) -> Floats:
    """Of the mean absolute error."""
    return _shares(np.abs(numbers_of(seen).errors))


def root_log_influence(seen: Predictions) -> Floats:
    """Of the root of the mean squared error: half of that of the mean."""
    return _shares(numbers_of(seen).errors ** 2) / 2


def r2_log_influence(seen: Predictions) -> Floats:
    """Of 1 - R2, the mean squared error over the variance."""
    numbers = numbers_of(seen)
    return _shares(numbers.errors**2) - _shares((numbers.truth - numbers.truth.mean()) ** 2)


def _shares(losses: Floats) -> Floats:
    """Each loss over their mean, minus 1; 0 where nothing is lost."""
    mean = float(losses.mean())
    return losses / mean - 1 if mean > 0 else np.zeros(len(losses))
