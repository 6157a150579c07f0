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
# Outside of the interval, half of it on each side: where nothing was chosen by the images; and where members were,
# which the interval does not count as noise.
ALPHA, ALPHA_OF_CHOSEN = 0.1, 0.05
# Groups with an image whose label the single model gives less than half. Most of a good model's log loss is that of few
# such images: where hardly any is among those at hand, no resample holds what others would cost.
MIN_HARD_GROUPS = 5


@dataclass(frozen=True)
class Gain:
    """The log loss of a single model and of an ensemble, and by how much the second is lower.

    low, high: ends of the interval of the difference; NaN where there are too few groups for one. hard_groups: those
    with an image whose label the single model gives less than half. alpha: the share of cases outside. The question has
    one direction: so an ensemble that is no better is taken in about alpha / 2 of all cases.
    best_single: the log loss of the single model on the images that it was chosen by, which flatters it.
    """

    single: float
    ensemble: float
    low: float
    high: float
    groups: int
    hard_groups: int
    alpha: float = ALPHA
    best_single: float = float("inf")

    @property
    def difference(self) -> float:
        """By how much the ensemble's log loss is lower; below 0: it is higher."""
        return self.single - self.ensemble

    @property
    def beyond_noise(self) -> bool:
        """Whether the whole interval is above 0, and the ensemble is not above the flattered single model either.

        With few groups the single model that is chosen differs between parts of them, and worse ones take part in
        `single`: so the second condition.
        """
        return self.low > 0 and self.ensemble < self.best_single

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        values = f"{self.ensemble:.4f} against {self.single:.4f}"
        if self.groups >= MIN_GROUPS and self.hard_groups < MIN_HARD_GROUPS:
            return (
                f"{values}; the single model gives the label less than half in {self.hard_groups} groups, which are "
                f"too few to tell, at least {MIN_HARD_GROUPS} are needed"
            )
        if np.isnan(self.low):
            return f"{values}; {self.groups} groups are too few to tell, at least {MIN_GROUPS} are needed"
        level = f"{1 - self.alpha:.0%}".replace("%", " %")
        if round(self.difference, 4) < 0:
            size, ends = f"higher by {-self.difference:.4f}", (-self.high, -self.low)
        elif round(self.difference, 4) == 0:
            size, ends = "no difference in four digits", (self.low, self.high)
        else:
            size, ends = f"lower by {self.difference:.4f}", (self.low, self.high)
        return f"{values}, {size} ({level} interval {ends[0]:.4f} to {ends[1]:.4f})"


def log_losses(own: Floats) -> Floats:
    """The losses of images by the probabilities of their labels, of any shape."""
    found: Floats = -np.log(np.maximum(own, SMALLEST))
    return found


def own_probability(probabilities: Floats, labels: npt.NDArray[np.intp]) -> Floats:
    """The probability of each image's label, shape (…, m) of (…, m, k)."""
    found: Floats = np.take_along_axis(probabilities, labels.reshape(*[1] * (probabilities.ndim - 2), -1, 1), axis=-1)
    return found[..., 0]


def gain_of(
    single: Floats, ensemble: Floats, weights: Floats, groups: npt.NDArray[np.intp], seed: int, alpha: float = ALPHA
) -> Gain:
    """The gain by what both say of the labels of the same images.

    Args:
        single, ensemble: probabilities of the labels, shape (m,). weights, groups: shape (m,).
        alpha: the share of cases outside of the interval.
    """
    one, other = log_losses(single), log_losses(ensemble)
    count = len(np.unique(groups))
    low = high = float("nan")
    hard = len(np.unique(groups[single < 0.5]))
    if count >= MIN_GROUPS and hard >= MIN_HARD_GROUPS:
        drawn = []
        for times in resamples(pd.Series(groups), RESAMPLES, seed, "ensemble"):
            counted = times * weights
            drawn.append(counted @ (one - other) / np.maximum(counted.sum(axis=1), 1e-12))
        low, high = interval(np.concatenate(drawn), alpha)
    losses = [float(np.average(each, weights=weights)) for each in (one, other)]
    return Gain(losses[0], losses[1], low, high, count, hard, alpha)
