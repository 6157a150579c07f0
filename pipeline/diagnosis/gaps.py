"""Gaps between neighbouring error levels, each with an interval, a verdict, and how many more images it needs.

The scheme is Andrew Ng's (Machine Learning Yearning, ch. 11 and 40-43): avoidable bias is train's error above human
level, variance is train_dev's above train's, data mismatch dev's above train_dev's, overfitting to dev test's above
dev's, and what is left in live production above test (or dev, while nobody has looked at test) is the production gap.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.diagnosis.error_levels import ALPHA, HUMAN, PRODUCTION, Level, around, differences, given, wilson
from pipeline.manifest import DEV, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.bootstrap import interval
from pipeline.metrics.mean_intervals import combined_reach
from pipeline.metrics.metric import Metric
from pipeline.randomness import keyed_generator
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.evaluate.params import EvaluateParams

Verdict = Literal["present", "absent", "cannot tell", "explained"]
BIAS, VARIANCE, MISMATCH = "avoidable_bias", "variance", "data_mismatch"
DEV_OVERFIT, PRODUCTION_GAP = "overfitting_to_dev", "production_gap"
# gap -> (the level with more error, the levels with less: the first of them that is there).
PAIRS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    BIAS: (TRAIN, (HUMAN,)),
    VARIANCE: (TRAIN_DEV, (TRAIN,)),
    MISMATCH: (DEV, (TRAIN_DEV,)),
    DEV_OVERFIT: (TEST, (DEV,)),
    PRODUCTION_GAP: (PRODUCTION, (TEST, DEV)),
}
# What each says of a model, for readers who do not know its name (Machine Learning Yearning, ch. 11, 25, 27, 40).
MEANS: Mapping[str, str] = {
    BIAS: "mistakes on images that the model was trained on",
    VARIANCE: "more mistakes on new images than on training images of the same kind",
    MISMATCH: "more mistakes because production images differ from training images",
    DEV_OVERFIT: "mistakes that dev hides, because you chose the model by dev",
    PRODUCTION_GAP: "more mistakes in live use",
}
# Intervals of fewer images are rough themselves: they are shown, and no verdict rests on them.
MIN_COUNT = 30
# The chance that the images asked for lead to a verdict, and the draws that show it.
POWER, DRAWS = 0.8, 400
# More than so many times the images that there are nobody collects for an answer, unless they are as few as these.
MAX_TIMES, MANAGEABLE = 5, 500


@dataclass(frozen=True)
class Needs:
    """About so many further images of each of these levels would lead to a verdict."""

    images: int
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """A difference of two errors (shares, or in the unit of numbers), and what to make of it.

    low, high: ends of the interval that holds for all gaps together at 95 %. needs: None where a verdict stands, and
    where no number of images that can be had would lead to one. at_the_edge: it cannot be told from one that is worth
    work, and is about as large.
    """

    name: str
    upper: str
    lower: str
    value: float
    low: float
    high: float
    verdict: Verdict
    needs: Needs | None = None
    at_the_edge: bool = False


def find_gaps(
    levels: Mapping[str, Level],
    metric: Metric,
    params: DiagnoseParams,
    evaluate: EvaluateParams,
    without: Collection[str] = (),
) -> list[Gap]:
    """The gaps between the levels that there are: those present first, the largest first, then the doubtful ones.

    Overfitting to dev stands before larger gaps: dev's error is too low then, and so are those that rest on it.

    A gap is present when it is at least `relevant_gap` and its interval lies above 0, absent when its interval lies
    below `relevant_gap`, and otherwise, or on fewer than 30 images, the data cannot tell. The intervals hold together
    (Bonferroni's correction; Dunn, 1961): a model without any gap is said to have one in at most 2.5 % of diagnoses.

    Args:
        without: gaps that this run cannot have, whatever its errors are.
    """
    pairs = {
        name: (levels[upper], next(levels[lower] for lower in lowers if lower in levels))
        for name, (upper, lowers) in PAIRS.items()
        if upper in levels and any(lower in levels for lower in lowers) and name not in without
    }
    if VARIANCE in pairs:
        # What a model gets wrong of the images that it has learnt is counted, not estimated from a sample.
        train_dev, train = pairs[VARIANCE]
        pairs[VARIANCE] = train_dev, given(train.name, train.error)
    gaps = [
        _gap(name, upper, lower, metric, ALPHA / len(pairs), params, evaluate) for name, (upper, lower) in pairs.items()
    ]
    rank = {"present": 0, "cannot tell": 1, "absent": 2, "explained": 2}
    # Where dev does not tell the truth, what is read from it comes second.
    return sorted(gaps, key=lambda gap: (rank[gap.verdict], gap.name != DEV_OVERFIT, -gap.value))


def _gap(
    name: str,
    upper: Level,
    lower: Level,
    metric: Metric,
    alpha: float,
    params: DiagnoseParams,
    evaluate: EvaluateParams,
) -> Gap:
    value, low, high = compared(upper, lower, metric, alpha, evaluate)
    few = min(upper.effective, lower.effective) < MIN_COUNT
    verdict = "cannot tell" if few else verdict_of(value, low, high, params.relevant_gap)
    unclear, relevant = verdict == "cannot tell", params.relevant_gap
    needs = needed(value, upper, lower, alpha, relevant) if unclear else None
    edge = unclear and abs(value - relevant) <= relevant / 2
    return Gap(name, upper.name, lower.name, value, low, high, verdict, needs, edge)


def compared(
    upper: Level, lower: Level, metric: Metric, alpha: float, evaluate: EvaluateParams
) -> tuple[float, float, float]:
    """The difference of two levels' errors, and the ends of its interval at 1 - alpha."""
    resampled, correlation = differences(upper, lower, metric, evaluate)
    ends = interval(resampled, alpha), _from_both(upper, lower, correlation, alpha)
    return upper.error - lower.error, min(end[0] for end in ends), max(end[1] for end in ends)


def verdict_of(value: float, low: float, high: float, relevant: float) -> Verdict:
    """What an interval says of a gap."""
    if value >= relevant and low > 0:
        return "present"
    return "absent" if high < relevant else "cannot tell"


def _from_both(upper: Level, lower: Level, correlation: float, alpha: float) -> tuple[float, float]:
    """The interval of a difference from those of both sides (Newcombe, 1998; for dependent ones Zou, 2007)."""
    value = upper.error - lower.error
    (upper_low, upper_high), (lower_low, lower_high) = around(upper, alpha), around(lower, alpha)
    down = combined_reach(upper.error - upper_low, lower_high - lower.error, correlation)
    up = combined_reach(upper_high - upper.error, lower.error - lower_low, correlation)
    return value - down, value + up


def explained(gaps: Sequence[Gap], name: str) -> list[Gap]:
    """The gaps, one of them with another reason than its name says: it is there, and is not worth work as such."""
    return [replace(gap, verdict="explained") if gap.name == name and gap.verdict == "present" else gap for gap in gaps]


def needed(value: float, upper: Level, lower: Level, alpha: float, relevant: float) -> Needs | None:
    """The further images that lead to a verdict with a chance of 80 %, if the gap is as it seems; None if too many.

    The normal sample size for a difference of two proportions (Fleiss, Levin and Paik, 2003, 4.2), one-sided: the
    variance must come down to (d / (z_alpha + z_power))^2, where d is the gap, or what it lacks of a relevant one.
    Of all ways to get there (more images of one side, of the other, of both) the one with the fewest images; a side
    with fewer than 30 is always among them. A way is told only if in draws of so many images a verdict is as frequent
    as it says, and if it takes at most so many times the images that there are: a gap that is nearly a relevant one
    would ask for images without end.
    """
    distance = value if value >= relevant else relevant - max(value, 0.0)
    normal = NormalDist()
    wanted = (max(distance, relevant / 100) / (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER))) ** 2
    sides = [side for side in (upper, lower) if side.images is not None]
    spread = {side.name: _variance(side) for side in sides}
    total = sum(spread.values())
    ways = []
    for side in sides:
        left = wanted - (total - spread[side.name])
        if left > 0:
            ways.append(Needs(_more(side, spread[side.name] / left), (side.name,)))
    if len(sides) == 2:
        # The larger set's images, for both: what is said must be enough for each.
        most = max(_more(side, total / wanted) for side in sides)
        ways.append(Needs(most, (upper.name, lower.name)))
    few = {side.name for side in sides if side.effective < MIN_COUNT}
    asked = (
        Needs(about(way.images * factor), way.levels)
        for way in sorted(ways, key=lambda way: way.images * len(way.levels))
        for factor in (1.0, 1.3, 1.7)
        if few <= set(way.levels)
    )
    most_of = {side.name: max(MAX_TIMES * side.images, MANAGEABLE) for side in sides if side.images is not None}
    return next(
        (
            way
            for way in asked
            if all(way.images <= most_of[name] for name in way.levels)
            and chance_of_verdict(way, upper, lower, alpha, relevant) >= POWER
        ),
        None,
    )


def chance_of_verdict(way: Needs, upper: Level, lower: Level, alpha: float, relevant: float) -> float:
    """The share of draws of two such levels, with so many more images, of which the gap's verdict can be told."""
    generator = keyed_generator(0, "chance of a verdict", upper.name, lower.name)
    sides: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    for level in (upper, lower):
        if level.images is None:
            sides.append((np.full(DRAWS, level.error), np.full(DRAWS, level.error), np.full(DRAWS, level.error)))
            continue
        more = way.images if level.name in way.levels else 0
        count = level.effective * (level.images + more) / level.images
        if level.in_numbers:
            spread = math.sqrt(level.variance * level.images / (level.images + more))
            reach = NormalDist().inv_cdf(1 - alpha / 2) * spread
            drawn = generator.normal(level.error, spread, DRAWS)
            sides.append((drawn, drawn - reach, drawn + reach))
            continue
        drawn = generator.binomial(round(count), min(max(level.error, 0.0), 1.0), DRAWS) / round(count)
        ends = np.array([wilson(float(share), count, alpha) for share in np.unique(drawn)])
        low, high = ends[np.searchsorted(np.unique(drawn), drawn)].T
        sides.append((drawn, low, high))
    (one, one_low, one_high), (other, other_low, other_high) = sides
    value = one - other
    low = value - np.hypot(one - one_low, other_high - other)
    high = value + np.hypot(one_high - one, other - other_low)
    return float((((value >= relevant) & (low > 0)) | (high < relevant)).mean())


def _variance(level: Level) -> float:
    """Of a level's error, with two images added on each side, so that it is never 0 (Agresti and Coull, 1998)."""
    if level.in_numbers:
        return level.variance
    images = level.effective
    share = (level.error * images + 2) / (images + 4)
    return share * (1 - share) / (images + 4)


def _more(level: Level, factor: float) -> int:
    """Images to add, so that there are `factor` times as many; to two digits, and at least a tenth more."""
    assert level.images is not None  # noqa: S101
    return about(level.images * max(factor - 1, MIN_COUNT / level.effective - 1, 0.1))


def about(number: float) -> int:
    """A number rounded up to two digits."""
    unit: int = 10 ** max(math.floor(math.log10(max(number, 1))) - 1, 0)
    return math.ceil(number / unit) * unit
