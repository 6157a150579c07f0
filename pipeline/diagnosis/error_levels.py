"""Error levels, from human level to live production, each with what its images can tell.

A level is what the metric of errors lacks of 1 on a set of images (Machine Learning Yearning, ch. 20 and 40). Where
images have numbers, it is the mean absolute error, or the root of the mean squared one, in the unit of the numbers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import DEV, SEEN_SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.bootstrap import Values, resamples
from pipeline.metrics.class_measures import Accuracy, BalancedAccuracy
from pipeline.metrics.influence import clustered_variance, image_influence
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.label_measures import SubsetAccuracy
from pipeline.metrics.mean_intervals import share_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.number_measures import MeanAbsoluteError, numbers_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions, checked_predictions, classes_of
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.stages.evaluate.params import EvaluateParams

HUMAN, PRODUCTION = "human", "production"
# From the least error that can be asked for to the one that counts.
NAMES = (HUMAN, TRAIN, TRAIN_DEV, DEV, TEST, PRODUCTION)
ALPHA = 0.05


@dataclass(frozen=True)
class Level:
    """The error of a set of images, a share, or of numbers in their unit, with its 95 % interval.

    images: None for a level that was given, not measured.
    resampled: bootstrap values of the error, shape (resamples,), or (1,) if it was given.
    groups: the group of each image, shape (images,).
    """

    name: str
    error: float
    low: float
    high: float
    images: int | None
    resampled: Values = field(repr=False)
    seen: Predictions | None = field(default=None, repr=False)
    groups: "pd.Series[str] | None" = field(default=None, repr=False)
    metric: Metric | None = field(default=None, repr=False)

    @property
    def effective(self) -> float:
        """How many independent images would give an error as uncertain: at most `images`, infinite if it was given.

        Near copies and images of one patient tell less than as many others (the design effect; Kish, 1965, 8.2).
        """
        if self.images is None or self.groups is None:
            return math.inf
        if self.in_numbers:
            return self._effective_numbers()
        spread = float(np.nanvar(self.resampled))
        if spread == 0:  # no image is called wrongly, or all are: nothing was there to vary
            return float(self.groups.nunique())
        return min(max(self.error * (1 - self.error) / spread, 1.0), float(self.images))

    @property
    def in_numbers(self) -> bool:
        """Whether it is the error of numbers."""
        return self.metric is not None and self.metric.judges_numbers

    @property
    def variance(self) -> float:
        """Of the error of numbers, over groups; 0 of a level that was given."""
        if self.metric is None or self.seen is None or self.groups is None:
            return 0.0
        influence = image_influence(self.metric, self.seen)
        return clustered_variance(influence, pd.factorize(self.groups, sort=True)[0])

    def _effective_numbers(self) -> float:
        """Images over the design effect, that groups measure."""
        assert self.metric is not None and self.seen is not None and self.groups is not None  # noqa: S101, PT018
        influence = image_influence(self.metric, self.seen)
        alone = clustered_variance(influence, np.arange(len(influence)))
        if alone == 0:
            return float(self.groups.nunique())
        return min(max(len(influence) * alone / self.variance, 1.0), float(len(influence)))


def given(name: str, error: float) -> Level:
    """A level that somebody knows, without an interval."""
    return Level(name, error, error, error, None, np.array([error]))


def measured(
    name: str, predictions: pd.DataFrame, metric: Metric, classes: tuple[str, ...], p: EvaluateParams
) -> Level:
    """The level of a table with the columns label, predicted and group, a row per image."""
    seen = checked_predictions(predictions, classes)
    groups = predictions["group"].astype(str).reset_index(drop=True)
    resampled = _error(metric, metric.resampled(seen, groups, p.bootstrap, p.seed, name))
    error = float(_error(metric, np.array([metric.value(seen)]))[0])
    bare = Level(name, error, 0, 1, len(predictions), resampled, seen, groups, metric)
    low, high = around(bare, ALPHA)
    return replace(bare, low=low, high=high)


def _error(metric: Metric, values: Values) -> Values:
    """What a metric lacks of 1; of numbers the metric is the error."""
    return values if metric.judges_numbers else 1 - values


def levels_of(predictions: pd.DataFrame, params: EvaluateParams) -> dict[str, Level]:
    """The levels of train, train_dev and dev.

    Raises:
        DataError: a split has no predictions.
    """
    missing = [split for split in SEEN_SPLITS if not (predictions["split"] == split).any()]
    if missing:
        raise DataError(f"no predictions of {listing(missing)}: run `dvc repro evaluate`")
    classes = classes_of(predictions)
    metric = metric_of_errors(params, classes)
    parts = {split: predictions[predictions["split"] == split] for split in SEEN_SPLITS}
    return {split: measured(split, part, metric, classes, params) for split, part in parts.items()}


def metric_of_errors(params: EvaluateParams, classes: tuple[str, ...]) -> Metric:
    """The optimizing metric, or what stands for it in gaps."""
    if isinstance(classes, Quantity):
        return metric_of(params_of_numbers(params), classes)
    return metric_of(params_of_errors(params, isinstance(classes, LabelNames)), classes)


def params_of_numbers(params: EvaluateParams) -> AnyMetric:
    """The optimizing metric if it is an error; else the mean absolute error.

    R2 depends on how far the numbers of a set lie apart, so that those of two splits cannot be held against each other.
    """
    if METRICS.of(params.optimizing).maximise:
        return MeanAbsoluteError(name="mean_absolute_error")
    return params.optimizing


def params_of_errors(params: EvaluateParams, several: bool = False) -> AnyMetric:
    """The optimizing metric; another one if errors of it cannot be held against one another.

    Accuracy if it is no share, as a loss or a cost: people's errors are one. Balanced accuracy if it is the worst of
    several values: of fewer images the worst is worse by chance alone, so smaller splits would seem to err more. Subset
    accuracy in place of both where an image may have `several` labels.
    """
    row = METRICS.of(params.optimizing)
    if several and (row.is_worst or not row.is_share):
        return SubsetAccuracy(name="subset_accuracy")
    if not row.is_share:
        return Accuracy(name="accuracy")
    return BalancedAccuracy(name="balanced_accuracy") if row.is_worst else params.optimizing


def around(level: Level, alpha: float) -> tuple[float, float]:
    """The interval of a level at 1 - alpha, as evaluate has it; 0 to 1 where too few independent groups tell."""
    if level.images is None:
        return level.error, level.error
    if level.metric is None or level.seen is None or level.groups is None:
        return share_interval(level.error, level.effective, alpha)
    ends = metric_interval(level.metric, level.seen, level.groups, alpha)
    if level.in_numbers:
        # No mean of these images' errors is above the largest of them.
        return ends or (0.0, float(np.abs(numbers_of(level.seen).errors).max()))
    low, high = ends or (0.0, 1.0)
    return 1 - high, 1 - low


def wilson(share: float, images: float, alpha: float) -> tuple[float, float]:
    """Wilson's score interval of a share among so many independent images, at 1 - alpha."""
    z = NormalDist().inv_cdf(1 - alpha / 2)
    centre = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    reach = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def differences(upper: Level, lower: Level, metric: Metric, p: EvaluateParams) -> tuple[Values, float]:
    """Bootstrap values of upper's error minus lower's, shape (resamples,), and the correlation of both sides.

    Paired where groups are on both sides: these are then drawn for both at once.
    """
    if upper.groups is None or lower.groups is None or not set(upper.groups) & set(lower.groups):
        return upper.resampled - lower.resampled, 0.0
    sides = np.concatenate(list(_together(upper, lower, metric, p)), axis=1)
    both = sides[:, np.isfinite(sides).all(axis=0)]
    flat = (both.std(axis=1) == 0).any()
    return both[0] - both[1], 0.0 if flat else float(np.corrcoef(both)[0, 1])


def _together(upper: Level, lower: Level, metric: Metric, p: EvaluateParams) -> Iterator[Values]:
    assert upper.seen is not None and lower.seen is not None  # noqa: S101, PT018
    groups, first = pd.concat([upper.groups, lower.groups]), len(upper.seen.labels)
    for weights in resamples(groups, p.bootstrap, p.seed, f"{upper.name} and {lower.name}"):
        sides = [metric.values(upper.seen, weights[:, :first]), metric.values(lower.seen, weights[:, first:])]
        yield _error(metric, np.stack(sides))


def ordered(levels: Mapping[str, Level]) -> list[Level]:
    """The levels that there are, from people to production."""
    return [levels[name] for name in NAMES if name in levels]
