"""The share of labels that are wrong, with its interval, told apart from the mistakes of the model that checks them.

A model's own mistakes get rarer the more certain it is of a class. Wrong labels do not: they are as common where it is
certain. So of the labels of images with the margin m a model contradicts (1 - w) e(m) + w (1 - e(m) / (k - 1)): w is
the share of wrong labels, e falls with m from chance to 0 as a logistic curve does, and one of its k - 1 mistakes on a
wrong label is that very label. Psychology knows this as a psychometric function with a lapse rate (Wichmann and Hill,
2001).

The interval is that of the profile likelihood: all shares w with which some curve fits the images nearly as well as the
best does. A model that is never certain, or fewer images, leave many curves and a wide interval, which begins at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import chi2

from pipeline.metrics.intervals import effective_images

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
# Images with about the same margin are counted together.
BINS, MIN_IN_BIN = 40, 10
# Where the search for a curve begins: its height and its slope, over margins in their standard deviations.
STARTS = ((1.0, 1.1), (2.0, 1.5))
HEIGHTS, MAX_SLOPE = (-10.0, 30.0), 30.0
# Margins are log-odds: where probabilities hold, the odds of a mistake fall by a factor of e over one unit. So much is
# asked for, or a flat curve would pass for mistakes of a model that is as often wrong where it is certain. Wrong labels
# stretch the curve: no more than a factor of e over a standard deviation is asked for.
MAX_MIN_SLOPE = 1.0
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


@dataclass(frozen=True)
class _Bins:
    """Standardised margins (b,), images and contradicted labels in each (b,), in numbers of independent images.

    classes: how many there are. min_slope: of the curve of mistakes, over one standard deviation of margins.
    """

    margins: Floats
    images: Floats
    contradicted: Floats
    classes: int
    min_slope: float


def wrong_share(
    probabilities: Floats, labels: npt.NDArray[np.intp], groups: npt.NDArray[np.intp], alpha: float = 0.05
) -> WrongShare:
    """The share of wrong labels among images, with its interval at 1 - alpha.

    Args:
        probabilities: shape (n, k), of a model that was not trained on these images.
        labels: class numbers, shape (n,).
        groups: the group of each image, codes from 0, shape (n,): near copies share their mistakes.
    """
    if len(labels) < MIN_IMAGES:
        return UNKNOWN
    contradicted = (probabilities.argmax(axis=1) != labels).astype(np.float64)
    weight = effective_images(contradicted, groups, alpha) / len(labels)
    worse = _misfits(_binned(probabilities, contradicted, weight))
    best = int(worse.argmin())
    (low, high), (at_least, _) = (_ends(worse, level) for level in (alpha, alpha / FAMILY))
    return WrongShare(*(round(float(value), DIGITS) for value in (SHARES[best], low, high, at_least)))


def _ends(worse: Floats, alpha: float) -> tuple[float, float]:
    """Of the profile likelihood's interval at 1 - alpha."""
    limit = float(worse.min() + chi2.isf(alpha, 1) / 2)
    inside = np.flatnonzero(worse <= limit)
    return _crossing(worse, int(inside[0]), -1, limit), _crossing(worse, int(inside[-1]), 1, limit)


def _margins(probabilities: Floats) -> Floats:
    """Log-odds of each preferred class, (n,), as people write probabilities down."""
    top = np.clip(np.round(probabilities.max(axis=1), 6), 1e-6, 1 - 1e-6)
    margins: Floats = np.log(top / (1 - top))
    return margins


def _binned(probabilities: Floats, contradicted: Floats, weight: float) -> _Bins:
    margins = _margins(probabilities)
    count = min(BINS, max(5, len(margins) // MIN_IN_BIN))
    # Equal margins may fall into two bins: each image then counts as all of its margin do.
    _, place, sizes = np.unique(margins, return_inverse=True, return_counts=True)
    shared = (np.bincount(place, contradicted) / sizes)[place]
    parts = np.array_split(np.argsort(margins, kind="stable"), count)
    means = np.array([margins[part].mean() for part in parts])
    images = np.array([float(len(part)) for part in parts])
    denied = np.array([shared[part].sum() for part in parts])
    spread = float(means.std())
    return _Bins(
        margins=(means - means.mean()) / max(spread, 1e-6),
        images=weight * images,
        contradicted=weight * denied,
        classes=probabilities.shape[1],
        min_slope=min(spread, MAX_MIN_SLOPE),
    )


def _misfits(bins: _Bins) -> Floats:
    """The negative log-likelihood of the curve that fits best, for each of SHARES."""
    found, last = [], STARTS[0]
    bounds = (HEIGHTS, (bins.min_slope, MAX_SLOPE))
    for share in SHARES:
        tries = [
            minimize(_misfit, start, args=(share, bins), jac=True, method="L-BFGS-B", bounds=bounds)
            for start in (last, STARTS[1])
        ]
        best = min(tries, key=lambda one: float(one.fun))
        last = tuple(best.x)
        found.append(float(best.fun))
    return np.array(found)


def _misfit(curve: Floats, share: float, bins: _Bins) -> tuple[float, Floats]:
    """The negative log-likelihood of a height and a slope, and its gradient."""
    height, slope = curve
    logistic = 1 / (1 + np.exp(np.clip(height + slope * bins.margins, -30, 30)))
    # Nobody errs more often than one who guesses; and one of the mistakes on a wrong label is that very label.
    chance = 1 - 1 / bins.classes
    rise = max(chance - share, 0.0)
    expected = np.clip(share + rise * logistic, 1e-9, 1 - 1e-9)
    kept = bins.images - bins.contradicted
    value = -float((bins.contradicted * np.log(expected) + kept * np.log(1 - expected)).sum())
    change = (bins.contradicted / expected - kept / (1 - expected)) * rise * logistic * (1 - logistic)
    return value, np.array([change.sum(), (change * bins.margins).sum()])


def _crossing(worse: Floats, inside: int, step: int, limit: float) -> float:
    """Where the misfit reaches the limit, between a share inside and the next one, by a straight line."""
    outside = inside + step
    if not 0 <= outside < len(SHARES):
        return float(SHARES[inside]) if outside < 0 else 1.0
    part = (limit - worse[inside]) / (worse[outside] - worse[inside])
    return float(SHARES[inside] + part * (SHARES[outside] - SHARES[inside]))
