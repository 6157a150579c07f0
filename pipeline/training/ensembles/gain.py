"""Is an ensemble better than a single model, beyond noise? Log losses of the same images, groups drawn whole."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import interval, resamples
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.models.ensembles import SMALLEST

Floats = npt.NDArray[np.float64]
RESAMPLES = 1000
# Outside of the interval, half of it on each side.
ALPHA = 0.1


@dataclass(frozen=True)
class Gain:
    """The log loss of a single model and of an ensemble, and by how much the second is lower.

    low, high: ends of the 90 % interval of the difference; NaN where there are too few groups for one. The question has
    one direction: so an ensemble that is no better is taken in 5 of 100 cases.
    """

    single: float
    ensemble: float
    low: float
    high: float
    groups: int

    @property
    def difference(self) -> float:
        """By how much the ensemble's log loss is lower; below 0: it is higher."""
        return self.single - self.ensemble

    @property
    def beyond_noise(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low > 0

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        values = f"{self.ensemble:.4f} against {self.single:.4f}"
        if np.isnan(self.low):
            return f"{values}; {self.groups} groups are too few to tell, at least {MIN_GROUPS} are needed"
        return f"{values}, lower by {self.difference:.4f} (90 % interval {self.low:.4f} to {self.high:.4f})"


def log_losses(own: Floats) -> Floats:
    """The losses of images by the probabilities of their labels, of any shape."""
    found: Floats = -np.log(np.maximum(own, SMALLEST))
    return found


def own_probability(probabilities: Floats, labels: npt.NDArray[np.intp]) -> Floats:
    """The probability of each image's label, shape (…, m) of (…, m, k)."""
    found: Floats = np.take_along_axis(probabilities, labels.reshape(*[1] * (probabilities.ndim - 2), -1, 1), axis=-1)
    return found[..., 0]


def gain_of(single: Floats, ensemble: Floats, weights: Floats, groups: npt.NDArray[np.intp], seed: int) -> Gain:
    """The gain by what both say of the labels of the same images.

    Args:
        single, ensemble: probabilities of the labels, shape (m,). weights, groups: shape (m,).
    """
    one, other = log_losses(single), log_losses(ensemble)
    count = len(np.unique(groups))
    low = high = float("nan")
    if count >= MIN_GROUPS:
        drawn = []
        for times in resamples(pd.Series(groups), RESAMPLES, seed, "ensemble"):
            counted = times * weights
            drawn.append(counted @ (one - other) / np.maximum(counted.sum(axis=1), 1e-12))
        low, high = interval(np.concatenate(drawn), ALPHA)
    return Gain(float(np.average(one, weights=weights)), float(np.average(other, weights=weights)), low, high, count)
