"""Intervals of shares and of other means over images, where images come in groups; and of differences of two values.

A share has the exact interval (Clopper and Pearson, 1934) on the number of independent images that would tell as much
(Korn and Graubard, 1998): images over the design effect, which groups measure themselves, with Student's quantile for
its own uncertainty. Where nothing went wrong groups cannot measure it: then a group counts as one image. The normal
interval, and the bootstrap's percentiles, are too narrow near 0 and 1 (Brown, Cai and DasGupta, 2001).
"""

import math

import numpy as np
import numpy.typing as npt

from pipeline.metrics.influence import clustered_variance
from pipeline.metrics.upper_tails import beta_limits, normal_quantile, student_quantile

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Ends = tuple[float, float]
# Levels of a loss that are told apart; images in between count with the mean of theirs.
MAX_LEVELS = 64
# So much of one more group that errs as a whole is thought of: few groups may not have shown how they err together.
UNSEEN = 0.1


def difference_interval(one: float, ends: Ends, other: float, other_ends: Ends, correlation: float = 0.0) -> Ends:
    """The interval of one value minus another from the intervals of both (Newcombe, 1998; dependent: Zou, 2007).

    Args:
        correlation: of both values, in [-1, 1]; 0 where no group is on both sides.
    """
    down = combined_reach(one - ends[0], other_ends[1] - other, correlation)
    up = combined_reach(ends[1] - one, other - other_ends[0], correlation)
    return one - other - down, one - other + up


def share_interval(share: float, images: float, alpha: float) -> Ends:
    """Clopper and Pearson's interval of a share of so many independent images, which need be no whole number."""
    low, high = exact_limits(np.array([share]), np.array([images]), alpha)
    return float(low[0]), float(high[0])


def effective_images(values: Floats, codes: Codes, alpha: float = 0.05) -> float:
    """How many independent images would give a mean as uncertain, in [1, n]; Student's quantile is in it.

    Args:
        values: shape (n,). codes: the group of each, from 0.
    """
    images, sizes = len(values), np.unique(codes, return_counts=True)[1].astype(np.float64)
    if sizes.max(initial=0) <= 1:
        return float(images)
    spread = float(((values - values.mean()) ** 2).mean())
    kish = images**2 / float((sizes**2).sum())
    if spread == 0:
        return kish
    measured = clustered_variance(values - values.mean(), codes) * images / spread
    size = images / kish
    unseen = UNSEEN * (size * float(values.max() - values.mean())) ** 2 / (images * spread)
    effect = max(measured, min(measured + unseen, size), 1.0)
    return _within(images / effect * student_factor(sizes, (effect - 1) / (images / kish - 1), alpha), images)


def student_factor(sizes: Floats, correlation: float, alpha: float, means: int = 1) -> float:
    """(normal quantile / Student's)^2 for a variance from groups of these sizes (Satterthwaite, 1946).

    means: how many means they vary around.
    """
    variances = sizes * (1 + (sizes - 1) * min(max(correlation, 0.0), 1.0))
    freedom = max(variances.sum() ** 2 / (variances**2).sum() - means, 1.0)
    return float((normal_quantile(alpha / 2) / student_quantile(alpha / 2, freedom)) ** 2)


def _within(effective: float, images: int) -> float:
    return min(max(effective, 1.0), float(images))


def exact_limits(shares: Floats, images: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Clopper and Pearson's limits, shape (k,) each."""
    hits, misses = shares * images, (1 - shares) * images
    low, high = beta_limits(alpha / 2, hits, misses)
    return np.minimum(np.where(hits > 0, low, 0.0), shares), np.maximum(np.where(misses > 0, high, 1.0), shares)


def combined_reach(one: float, other: float, correlation: float) -> float:
    """How far the interval of a difference reaches, by how far those of both sides do (Newcombe, 1998; Zou, 2007)."""
    return math.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0))


def mean_interval(losses: Floats, codes: Codes, top: float, alpha: float) -> Ends:
    """Of a mean of losses >= 0, shape (n,): the sum over levels of the share of images that lose at least as much.

    Each share has its exact interval; correlated as shares above two thresholds are. A level that no image reached is
    among them, up to `top`: rare large losses are not seen in few images.
    """
    ratio = effective_images(losses, codes, alpha) / len(losses)
    levels, reached = _levels(losses)
    steps = np.diff(levels, prepend=0.0)
    if top > levels[-1]:
        steps, reached = np.append(steps, top - levels[-1]), np.append(reached, 0.0)
    low, high = exact_limits(reached, np.full(len(reached), ratio * len(losses)), alpha)
    odds = np.sqrt(np.divide(reached, 1 - reached, out=np.zeros(len(reached)), where=(reached > 0) & (reached < 1)))
    ratios = np.divide(odds[None, :], odds[:, None], out=np.zeros((len(odds), len(odds))), where=odds[:, None] > 0)
    correlation = np.minimum(ratios, ratios.T)
    np.fill_diagonal(correlation, 1.0)
    mean = float(losses.mean())
    down, up = steps * (reached - low), steps * (high - reached)
    return max(0.0, mean - _length(down, correlation)), mean + _length(up, correlation)


def _length(distances: Floats, correlation: Floats) -> float:
    return math.sqrt(float((distances[:, None] * distances[None, :] * correlation).sum()))


def _levels(losses: Floats) -> tuple[Floats, Floats]:
    """Levels above 0, upwards, and the share of images that reach each; the last of many are single images."""
    ordered = np.sort(losses)[::-1]
    if len(np.unique(ordered)) > MAX_LEVELS:
        ends = np.unique(np.geomspace(1, len(ordered), MAX_LEVELS).astype(int))
        parts = np.split(ordered, ends[:-1])
        ordered = np.concatenate([np.full(len(part), part.mean()) for part in parts])
    levels, counts = np.unique(ordered, return_counts=True)
    reached = counts[::-1].cumsum()[::-1] / len(losses)
    return (levels[levels > 0], reached[levels > 0]) if (levels > 0).any() else (np.zeros(1), np.zeros(1))
