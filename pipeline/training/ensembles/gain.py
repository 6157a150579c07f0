"""Is an ensemble better than a single model, beyond noise? Log losses of the same images, groups drawn whole."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import interval, resamples
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.wrong_share import wrong_share
from pipeline.models.ensembles import SMALLEST

Floats = npt.NDArray[np.float64]
RESAMPLES = 1000
# Outside of the interval, half of it on each side: where nothing was chosen by the images; and where members were,
# which the interval does not count as noise.
ALPHA, ALPHA_OF_CHOSEN = 0.1, 0.05
# Groups with an image whose label the single model gives less than half. Most of a good model's log loss is that of few
# such images: where hardly any is among those at hand, no resample holds what others would cost.
MIN_HARD_GROUPS = 5
# Of the share of wrong labels at which labels say nothing: beyond it a few images would decide.
MAX_WRONG = 0.9


class Labelled(Protocol):
    """Images with labels, groups and weights, shape (m,) each."""

    @property
    def labels(self) -> npt.NDArray[np.intp]: ...
    @property
    def groups(self) -> npt.NDArray[np.intp]: ...
    @property
    def weights(self) -> Floats: ...


@dataclass(frozen=True)
class Gain:
    """The log loss of a single model and of an ensemble, and by how much the second is lower.

    low, high: ends of the interval of the difference; NaN where there are too few groups for one. hard_groups: those
    with an image whose label the single model gives less than half. alpha: the share of cases outside. The question has
    one direction: so an ensemble that is no better is taken in about alpha / 2 of all cases.
    best_single: the log loss of the single model on the images that it was chosen by, which flatters it.
    correct: the same difference on correct labels; None: no labels seem to be wrong.
    """

    single: float
    ensemble: float
    low: float
    high: float
    groups: int
    hard_groups: int
    alpha: float = ALPHA
    best_single: float = float("inf")
    correct: "OnCorrectLabels | None" = None

    @property
    def difference(self) -> float:
        """By how much the ensemble's log loss is lower; below 0: it is higher."""
        return self.single - self.ensemble

    @property
    def beyond_noise(self) -> bool:
        """Whether the ensemble is better by the labels as they are, and on correct labels."""
        return self.on_given_labels and (self.correct is None or self.correct.low > 0)

    @property
    def on_given_labels(self) -> bool:
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
        found = f"{values}, {_difference(self.difference, self.low, self.high, f'{level} interval ')}"
        if self.correct is not None:
            found += f"; on correct labels, {self.correct.sentence}"
        return found


@dataclass(frozen=True)
class OnCorrectLabels:
    """By how much the ensemble's log loss on correct labels is lower, where some of the given ones are wrong.

    wrong_share: the estimated share of labels that are wrong. low, high: ends of the interval of the difference.
    """

    wrong_share: float
    difference: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """The difference, in words."""
        return _difference(self.difference, self.low, self.high, "")


def _difference(difference: float, low: float, high: float, interval_of: str) -> str:
    """By how much a log loss is lower or higher, and between which ends, in words."""
    if round(difference, 4) < 0:
        size, ends = f"higher by {-difference:.4f}", (-high, -low)
    elif round(difference, 4) == 0:
        size, ends = "no difference in four digits", (low, high)
    else:
        size, ends = f"lower by {difference:.4f}", (low, high)
    return f"{size} ({interval_of}{ends[0]:.4f} to {ends[1]:.4f})"


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
        low, high = _interval(one - other, weights, groups, seed, alpha)
    losses = [float(np.average(each, weights=weights)) for each in (one, other)]
    return Gain(losses[0], losses[1], low, high, count, hard, alpha)


def with_correct_labels(gain: Gain, single: Floats, ensemble: Floats, images: "Labelled", seed: int) -> Gain:
    """The gain, asked of correct labels as well where some of the given ones seem to be wrong.

    On wrong labels it pays to be unsure, which an ensemble mostly is: it may be better on labels as they are, and worse
    on correct ones. What the estimate of wrong labels rests on are the mean probabilities of the two.

    Args:
        gain: by the labels as they are. single, ensemble: probabilities, shape (m, k).
    """
    if np.isnan(gain.low):
        return gain
    share = wrong_share((single + ensemble) / 2, images.labels, images.groups)
    if share.low == 0:
        return gain
    wrong = min(share.estimate, MAX_WRONG * (1 - 1 / single.shape[1]))
    one, other = (losses_on_correct(each, images.labels, wrong) for each in (single, ensemble))
    low, high = _interval(one - other, images.weights, images.groups, seed, gain.alpha)
    difference = float(np.average(one - other, weights=images.weights))
    return replace(gain, correct=OnCorrectLabels(share.estimate, difference, low, high))


def losses_on_correct(probabilities: Floats, labels: npt.NDArray[np.intp], wrong: float) -> Floats:
    """Losses, shape (m,), whose mean estimates that on correct labels without bias, if a wrong one may be any class.

    The method of unbiased estimators: Natarajan et al., Learning with Noisy Labels (2013). With k classes and l(c) the
    loss if the label were c: (l(label) - wrong / (k - 1) * sum of all l(c)) / (1 - wrong * k / (k - 1)).

    Args:
        probabilities: shape (m, k). wrong: the share of wrong labels, below (k - 1) / k.
    """
    losses = log_losses(probabilities)
    classes = losses.shape[1]
    each = wrong / (classes - 1)
    found: Floats = (own_probability(losses, labels) - each * losses.sum(axis=1)) / (1 - each * classes)
    return found


def _interval(
    differences: Floats, weights: Floats, groups: npt.NDArray[np.intp], seed: int, alpha: float
) -> tuple[float, float]:
    """Of the weighted mean of differences, groups drawn whole."""
    drawn = []
    for times in resamples(pd.Series(groups), RESAMPLES, seed, "ensemble"):
        counted = times * weights
        drawn.append(counted @ differences / np.maximum(counted.sum(axis=1), 1e-12))
    return interval(np.concatenate(drawn), alpha)
