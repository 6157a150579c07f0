"""Metrics of classes, of which an image has one: their params, and each computed from many confusion matrices at once.

scikit-learn takes a millisecond a metric and resample; here one array operation takes all. The tests hold each against
scikit-learn's. Formulas as in its User Guide, 3.4.4 (classification metrics). `measures.py` has their rows.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.errors import ParamsError, listing
from pipeline.metrics.bootstrap import Values
from pipeline.metrics.confusion import Matrices, diagonal, recalls, share
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.probability_measures import ClassPrAuc, PrAuc
from pipeline.section import EACH_ONCE, Label

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


class ClassRecall(MetricParams):
    """Share of the images of one class that are predicted as that class."""

    name: Literal["class_recall"]
    label: Label


class ClassF1(MetricParams):
    """F1 of one class: 2 TP / (2 TP + FP + FN)."""

    name: Literal["class_f1"]
    label: Label


class MeanCost(MetricParams):
    """Mean cost of an image: `costs[actual][predicted]`, `otherwise` for other mistakes, 0 if correct."""

    name: Literal["mean_cost"]
    costs: Annotated[Mapping[Label, Annotated[Mapping[Label, Cost], EACH_ONCE]], EACH_ONCE]
    otherwise: Cost


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


def costs_of(params: MeanCost, classes: tuple[str, ...]) -> dict[str, Any]:
    return {"costs": cost_table(params, classes)}


def number_of_label(params: ClassRecall | ClassF1 | ClassPrAuc, classes: tuple[str, ...]) -> dict[str, Any]:
    return {"label": _number(params.label, classes)}


def number_of_positive(params: PrAuc, classes: tuple[str, ...]) -> dict[str, Any]:
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
