"""The share of labels that are wrong, with its interval, told apart from the mistakes of the model that checks them.

A model's own mistakes get rarer the more certain it is of a class. Wrong labels do not: they are as common where it is
certain. And a model that is mistaken mostly takes an image for its runner-up, while a wrong label may be any class.
mistakes.py has the likelihood that follows from the two.

The interval is that of the profile likelihood: all shares w with which some curve of mistakes fits the images nearly as
well as the best does. A model that is never certain, or fewer images, leave many curves and a wide interval, which
begins at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.mean_intervals import effective_images
from pipeline.metrics.mistakes import misfits, observed
from pipeline.metrics.upper_tails import chi_square_quantile

Floats = npt.NDArray[np.float64]
# Of fewer images nothing is said.
MIN_IMAGES = 30
# Shares that are tried, finer where they are small.
SHARES = np.concatenate(
    [
        [0.0, 0.001, 0.0025, 0.005, 0.0075],
        np.arange(10, 50, 5) / 1000,
        np.arange(5, 20) / 100,
        np.arange(20, 62, 2) / 100,
    ]
)
# Two roles, each in train, in dev and in both.
FAMILY = 6
# Digits that no order of additions changes.
DIGITS = 4


@dataclass(frozen=True)
class WrongShare:
    """The estimated share of wrong labels, and the ends of its interval, in [0, 1].

    at_least: the lower end where FAMILY intervals are to hold at once: what is claimed rests on it.
    """

    estimate: float
    low: float
    high: float
    at_least: float = 0.0


UNKNOWN = WrongShare(0.0, 0.0, 1.0)


def pooled(shares: Sequence[WrongShare], images: Sequence[int]) -> WrongShare:
    """The share among several kinds of images, of which some may be harder: distances of limits add in squares.

    MOVER: Zou and Donner (2008).
    """
    weights = np.array(images) / max(sum(images), 1)
    estimates, lows, highs = (np.array([getattr(one, end) for one in shares]) for end in ("estimate", "low", "high"))
    estimate = float(weights @ estimates)
    leasts = np.array([one.at_least for one in shares])
    low, high, least = (float(np.linalg.norm(weights * (end - estimates))) for end in (lows, highs, leasts))
    ends = max(estimate - low, 0.0), min(estimate + high, 1.0), max(estimate - least, 0.0)
    return WrongShare(*(round(value, DIGITS) for value in (estimate, *ends)))


def wrong_share(probabilities: Floats, labels: npt.NDArray[np.intp], groups: npt.NDArray[np.intp]) -> WrongShare:
    """The share of wrong labels among images, with its 95 % interval.

    Args:
        probabilities: shape (n, k), of a model that was not trained on these images.
        labels: class numbers, shape (n,).
        groups: the group of each image, codes from 0, shape (n,): near copies share their mistakes.
    """
    if len(labels) < MIN_IMAGES:
        return UNKNOWN
    contradicted = (probabilities.argmax(axis=1) != labels).astype(np.float64)
    weight = effective_images(contradicted, groups, ALPHA) / len(labels)
    worse = misfits(observed(probabilities, labels, weight), SHARES)
    best = int(worse.argmin())
    (low, high), (at_least, _) = (_ends(worse, level) for level in (ALPHA, ALPHA / FAMILY))
    return WrongShare(*(round(float(value), DIGITS) for value in (SHARES[best], low, high, at_least)))


def _ends(worse: Floats, alpha: float) -> tuple[float, float]:
    """Of the profile likelihood's interval at 1 - alpha."""
    limit = float(worse.min() + chi_square_quantile(alpha, 1) / 2)
    inside = np.flatnonzero(worse <= limit)
    return _crossing(worse, int(inside[0]), -1, limit), _crossing(worse, int(inside[-1]), 1, limit)


def _crossing(worse: Floats, inside: int, step: int, limit: float) -> float:
    """Where the misfit reaches the limit, between a share inside and the next one, by a straight line."""
    outside = inside + step
    if not 0 <= outside < len(SHARES):
        return float(SHARES[inside]) if outside < 0 else 1.0
    part = (limit - worse[inside]) / (worse[outside] - worse[inside])
    return float(SHARES[inside] + part * (SHARES[outside] - SHARES[inside]))
