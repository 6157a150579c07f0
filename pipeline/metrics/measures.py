"""Metrics: their params, each computed for thousands of resamples at once, and what others need to know of them.

scikit-learn takes a millisecond a metric and resample; here one array operation takes all. The tests
hold each against scikit-learn's. Formulas as in its User Guide, 3.4.4 (classification metrics).
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.errors import ParamsError, listing
from pipeline.label_sets import LabelNames
from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.confusion import Matrices, diagonal, recalls, share
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
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.probability_measures import class_pr_auc, image_losses, log_loss, macro_pr_auc
from pipeline.registry import Choice, Registry
from pipeline.section import EACH_ONCE, Label

P = TypeVar("P", bound="MetricParams")
# How an interval is made (intervals.py): of a mean over images, of the smallest recall, of any other function of the
# confusion matrix, of areas under curves; where images may have several labels, of values of each label, or of a ratio
# of counts.
IntervalKind = Literal["mean", "worst", "matrix", "ranking", "labels", "ratio"]

Cost = Annotated[float, Field(ge=0)]


class Accuracy(MetricParams):
    """Share of images that are predicted correctly."""

    name: Literal["accuracy"]


class BalancedAccuracy(MetricParams):
    """Mean recall over the classes that have images."""

    name: Literal["balanced_accuracy"]


class MacroF1(MetricParams):
    """Mean F1 over the classes that occur as label or prediction."""

    name: Literal["macro_f1"]


class WorstClassRecall(MetricParams):
    """Smallest recall of a class that has images."""

    name: Literal["worst_class_recall"]


class MatthewsCorrelation(MetricParams):
    """Correlation between labels and predictions, of any number of classes; 0 is chance."""

    name: Literal["matthews_correlation"]


class LogLoss(MetricParams):
    """Mean of -log(probability of the label)."""

    name: Literal["log_loss"]


class MacroPrAuc(MetricParams):
    """Mean area under the precision-recall curves of the classes that have images."""

    name: Literal["macro_pr_auc"]


class PrAuc(MetricParams):
    """Area under the precision-recall curve of two classes, the second by name being the positive one."""

    name: Literal["pr_auc"]


class ClassRecall(MetricParams):
    """Share of the images of one class that are predicted as that class."""

    name: Literal["class_recall"]
    label: Label


class ClassF1(MetricParams):
    """F1 of one class: 2 TP / (2 TP + FP + FN)."""

    name: Literal["class_f1"]
    label: Label


class ClassPrAuc(MetricParams):
    """Area under the precision-recall curve of one class against all others."""

    name: Literal["class_pr_auc"]
    label: Label


class MeanCost(MetricParams):
    """Mean cost of an image: `costs[actual][predicted]`, `otherwise` for other mistakes, 0 if correct."""

    name: Literal["mean_cost"]
    costs: Annotated[Mapping[Label, Annotated[Mapping[Label, Cost], EACH_ONCE]], EACH_ONCE]
    otherwise: Cost


def _nothing(params: MetricParams, classes: tuple[str, ...]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class MetricRow(Choice[P]):
    """A metric. Exactly one of `of_matrices` and `of_rows` computes it; neither, if it is for sets of labels alone.

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

    def fits(self, classes: tuple[str, ...]) -> bool:
        """Whether it can be computed for so many classes, or for labels."""
        if isinstance(classes, LabelNames):
            return self.of_labels is not None or self.of_sets is not None
        return self.classes in {None, len(classes)} and not (self.of_matrices is None and self.of_rows is None)


def class_recall(matrix: Matrices, label: int) -> Values:
    """Recall of one class, in [0, 1]; shape (...), NaN where it has no images."""
    return np.asarray(recalls(matrix)[..., label])


def class_f1(matrix: Matrices, label: int) -> Values:
    """F1 of one class, in [0, 1]; shape (...), NaN where no image has it and none is predicted as it."""
    occurrences = matrix[..., label, :].sum(axis=-1) + matrix[..., :, label].sum(axis=-1)
    return share(2 * matrix[..., label, label], occurrences)


def accuracy(matrix: Matrices) -> Values:
    """Share of images that are predicted correctly, in [0, 1]; shape (...)."""
    return np.asarray(diagonal(matrix).sum(axis=-1) / matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: Matrices) -> Values:
    """Mean recall over the classes that have images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmean(recalls(matrix), axis=-1))


def macro_f1(matrix: Matrices) -> Values:
    """Mean F1 over the classes that occur as label or prediction, in [0, 1]; shape (...)."""
    occurrences = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    return np.asarray(np.nanmean(share(2 * diagonal(matrix), occurrences), axis=-1))


def worst_class_recall(matrix: Matrices) -> Values:
    """Smallest recall of a class that has images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmin(recalls(matrix), axis=-1))


def matthews_correlation(matrix: Matrices) -> Values:
    """Correlation between labels and predictions, in [-1, 1]; shape (...), 0 where either has one class alone.

    R_K of Gorodkin (2004), which is Matthews' coefficient for two classes. -1 is reached with two classes only.
    """
    actual, called, images = matrix.sum(axis=-1), matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))
    covariance = diagonal(matrix).sum(axis=-1) * images - (actual * called).sum(axis=-1)
    variances = (images**2 - (actual**2).sum(axis=-1)) * (images**2 - (called**2).sum(axis=-1))
    return np.asarray(np.divide(covariance, np.sqrt(variances), out=np.zeros(np.shape(images)), where=variances > 0))


def mean_cost(matrix: Matrices, costs: Matrices) -> Values:
    """Mean over images of costs (k, k), [actual, predicted]; shape (...)."""
    return np.asarray((matrix * costs).sum(axis=(-2, -1)) / matrix.sum(axis=(-2, -1)))


def wrong_images(seen: Predictions, label: int | None = None) -> tuple[npt.NDArray[np.float64], float]:
    """1 for each image that is called wrongly, shape (n,); and 1."""
    return (seen.labels != seen.predicted).astype(np.float64), 1.0


def image_costs(seen: Predictions, costs: Matrices) -> tuple[npt.NDArray[np.float64], float]:
    """The cost of each image, shape (n,), and the largest that an image of the classes that there are can have."""
    return costs[seen.labels, seen.predicted], float(costs[np.unique(seen.labels)].max())


def cost_table(choice: MeanCost, classes: tuple[str, ...]) -> Matrices:
    """Costs (k, k), [actual, predicted], 0 on the diagonal unless it is named.

    Raises:
        ParamsError: a class that the model does not have.
    """
    table = np.full((len(classes), len(classes)), choice.otherwise)
    np.fill_diagonal(table, 0.0)
    for actual, row in choice.costs.items():
        for called, cost in row.items():
            table[_number(actual, classes), _number(called, classes)] = cost
    return table


def _costs(params: MeanCost, classes: tuple[str, ...]) -> dict[str, Any]:
    return {"costs": cost_table(params, classes)}


def _label(params: ClassRecall | ClassF1 | ClassPrAuc, classes: tuple[str, ...]) -> dict[str, Any]:
    return {"label": _number(params.label, classes)}


def _positive(params: PrAuc, classes: tuple[str, ...]) -> dict[str, Any]:
    """The second class by name, as scikit-learn has it."""
    if len(classes) != 2:
        raise ParamsError(
            f"the metric pr_auc needs two classes, the model has {len(classes)} ({listing(classes)}): take "
            f"{{name: class_pr_auc, label: {classes[0]}}} for one class against all others, or macro_pr_auc"
        )
    return {"label": 1}


def _number(label: str, classes: tuple[str, ...]) -> int:
    if label in classes:
        return classes.index(label)
    near = difflib.get_close_matches(label, classes, n=1)
    hint = f", did you mean {near[0]}?" if near else f"; it has {listing(classes, 20)}"
    raise ParamsError(f"evaluate names the class {label!r}, which the model does not have{hint}")


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
        MetricRow(PrAuc, of_rows=class_pr_auc, bind=_positive, classes=2, interval="ranking"),
        MetricRow(
            ClassRecall,
            of_matrices=class_recall,
            bind=_label,
            guards="label",
            interval="mean",
            of_images=wrong_images,
            of_labels=OfLabels("class_recall", "one"),
        ),
        MetricRow(ClassF1, of_matrices=class_f1, bind=_label, of_labels=OfLabels("class_f1", "one")),
        MetricRow(
            ClassPrAuc,
            of_rows=class_pr_auc,
            bind=_label,
            interval="ranking",
            of_labels=OfLabels("class_pr_auc", "one"),
        ),
        MetricRow(
            MeanCost,
            of_matrices=mean_cost,
            bind=_costs,
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
    )
)
