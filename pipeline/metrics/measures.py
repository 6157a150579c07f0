"""The table of metrics: how each is computed, and what others need to know of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.class_measures import (
    Accuracy,
    BalancedAccuracy,
    ClassF1,
    ClassRecall,
    MacroF1,
    MatthewsCorrelation,
    MeanCost,
    WorstClassRecall,
    accuracy,
    balanced_accuracy,
    class_f1,
    class_recall,
    costs_of,
    image_costs,
    macro_f1,
    matthews_correlation,
    mean_cost,
    number_of_label,
    number_of_positive,
    worst_class_recall,
    wrong_images,
)
from pipeline.metrics.distance_measures import (
    LevelAccuracy,
    MeanDistance,
    QuadraticKappa,
    distances_of,
    groups_of,
    images_in_other_groups,
    level_accuracy,
    quadratic_kappa,
    squares_of,
)
from pipeline.metrics.label_measures import MicroF1, OfLabels, SubsetAccuracy, micro_f1, subset_accuracy
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.number_measures import (
    R2,
    LogInfluence,
    MeanAbsoluteError,
    RootMeanSquaredError,
    absolute_log_influence,
    mean_absolute_error,
    r2,
    r2_log_influence,
    root_log_influence,
    root_mean_squared_error,
)
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.probability_measures import (
    ClassPrAuc,
    LogLoss,
    MacroPrAuc,
    PrAuc,
    class_pr_auc,
    image_losses,
    log_loss,
    macro_pr_auc,
)
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.registry import Choice, Registry

P = TypeVar("P", bound="MetricParams")
# How an interval is made (intervals.py): of a mean over images, of the smallest recall, of any other function of the
# confusion matrix, of areas under curves; where images may have several labels, of values of each label, or of a ratio
# of counts; of a metric of numbers.
IntervalKind = Literal["mean", "worst", "matrix", "ranking", "labels", "ratio", "numbers"]


def _nothing(params: MetricParams, classes: tuple[str, ...]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class MetricRow(Choice[P]):
    """A metric. Exactly one of `of_matrices` and `of_rows` computes it; neither, if it is for sets or numbers alone.

    of_matrices: confusion matrices (m, k, k) -> m values; NaN where it is not defined.
    of_rows: (predictions with probabilities, how often each image counts (m, n)) -> m values.
    bind: (params, classes) -> further arguments of that function; it raises ParamsError where they do not fit.
    maximise: whether more is better.
    is_share: whether it lies in [0, 1], so that what it lacks of 1 can be held against the share that people get wrong.
    is_worst: whether it is the least of several values, which of few images is low by chance alone.
    classes: how many classes there must be; None: any number.
    counts_images_alike: so that a small class hardly shows in it.
    guards: the classes that cannot fail unseen under a limit on it.
    interval: how its interval is made.
    of_images: of a mean: predictions -> what each image lacks or costs (n,), and the largest such loss.
    of_labels, of_sets: how it is computed where images may have several labels, from each label's metric or as of_rows;
        neither: it has no meaning there.
    of_numbers: how it is computed where images have numbers, as of_rows; log_influence: what its interval is made of.
    """

    of_matrices: Callable[..., Values] | None = None
    of_rows: Callable[..., Values] | None = None
    bind: Callable[[P, tuple[str, ...]], dict[str, Any]] = field(default=_nothing)
    maximise: bool = True
    is_share: bool = True
    is_worst: bool = False
    classes: int | None = None
    counts_images_alike: bool = False
    guards: Literal["none", "label", "all"] = "none"
    interval: IntervalKind = "matrix"
    of_images: Callable[..., tuple[npt.NDArray[np.float64], float]] | None = None
    of_labels: OfLabels | None = None
    of_sets: Callable[[Predictions, Weights], Values] | None = None
    of_numbers: Callable[[Predictions, Weights], Values] | None = None
    log_influence: LogInfluence | None = None

    def fits(self, classes: tuple[str, ...]) -> bool:
        """Whether it can be computed for so many classes, for labels, or for numbers."""
        if isinstance(classes, Quantity):
            return self.of_numbers is not None
        if isinstance(classes, LabelNames):
            return self.of_labels is not None or self.of_sets is not None
        return self.classes in {None, len(classes)} and not (self.of_matrices is None and self.of_rows is None)


METRICS: Registry[MetricRow[Any]] = Registry(
    (
        MetricRow(Accuracy, of_matrices=accuracy, counts_images_alike=True, interval="mean", of_images=wrong_images),
        MetricRow(BalancedAccuracy, of_matrices=balanced_accuracy),
        MetricRow(MacroF1, of_matrices=macro_f1, of_labels=OfLabels("class_f1", "mean")),
        MetricRow(MicroF1, of_sets=micro_f1),
        MetricRow(SubsetAccuracy, of_sets=subset_accuracy, of_images=wrong_images, counts_images_alike=True),
        MetricRow(
            WorstClassRecall,
            of_matrices=worst_class_recall,
            is_worst=True,
            guards="all",
            interval="worst",
            of_labels=OfLabels("class_recall", "worst"),
        ),
        MetricRow(MatthewsCorrelation, of_matrices=matthews_correlation, is_share=False),
        MetricRow(
            LogLoss,
            of_rows=log_loss,
            maximise=False,
            is_share=False,
            counts_images_alike=True,
            interval="mean",
            of_images=image_losses,
        ),
        MetricRow(MacroPrAuc, of_rows=macro_pr_auc, interval="ranking", of_labels=OfLabels("class_pr_auc", "mean")),
        MetricRow(PrAuc, of_rows=class_pr_auc, bind=number_of_positive, classes=2, interval="ranking"),
        MetricRow(
            ClassRecall,
            of_matrices=class_recall,
            bind=number_of_label,
            guards="label",
            interval="mean",
            of_images=wrong_images,
            of_labels=OfLabels("class_recall", "one"),
        ),
        MetricRow(ClassF1, of_matrices=class_f1, bind=number_of_label, of_labels=OfLabels("class_f1", "one")),
        MetricRow(
            ClassPrAuc,
            of_rows=class_pr_auc,
            bind=number_of_label,
            interval="ranking",
            of_labels=OfLabels("class_pr_auc", "one"),
        ),
        MetricRow(
            MeanCost,
            of_matrices=mean_cost,
            bind=costs_of,
            maximise=False,
            is_share=False,
            counts_images_alike=True,
            interval="mean",
            of_images=image_costs,
        ),
        MetricRow(
            MeanDistance,
            of_matrices=mean_cost,
            bind=distances_of,
            maximise=False,
            is_share=False,
            counts_images_alike=True,
            interval="mean",
            of_images=image_costs,
        ),
        MetricRow(QuadraticKappa, of_matrices=quadratic_kappa, bind=squares_of, is_share=False),
        MetricRow(
            LevelAccuracy,
            of_matrices=level_accuracy,
            bind=groups_of,
            counts_images_alike=True,
            interval="mean",
            of_images=images_in_other_groups,
        ),
        MetricRow(
            MeanAbsoluteError,
            maximise=False,
            is_share=False,
            interval="numbers",
            of_numbers=mean_absolute_error,
            log_influence=absolute_log_influence,
        ),
        MetricRow(
            RootMeanSquaredError,
            maximise=False,
            is_share=False,
            interval="numbers",
            of_numbers=root_mean_squared_error,
            log_influence=root_log_influence,
        ),
        MetricRow(R2, is_share=False, interval="numbers", of_numbers=r2, log_influence=r2_log_influence),
    )
)
