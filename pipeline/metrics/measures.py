"""Metrics of the confusion matrix and of probabilities, each for thousands of resamples at once.

scikit-learn takes a millisecond a metric and resample; here one array operation takes all. The tests
hold each against scikit-learn's. Formulas as in its User Guide, 3.4.4 (classification metrics).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.predictions import Predictions, class_codes

Matrices = npt.NDArray[np.float64]
# A probability below this counts as this: -log(0) is no number. scikit-learn's choice for float32, which models give.
SMALLEST = float(np.finfo(np.float32).eps)


def confusion_matrix(labels: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: tuple[str, ...]) -> Matrices:
    """Shape (k, k): how many images of the row's class were called the column's class.

    Raises:
        DataError: a label is none of the classes.
    """
    codes = Predictions(classes, class_codes(labels, classes), class_codes(predicted, classes), None)
    matrix: Matrices = confusion_matrices(codes, np.ones((1, len(labels)), np.int64))[0]
    return matrix


def confusion_matrices(checked_predictions: Predictions, weights: Weights) -> Matrices:
    """A confusion matrix for each row of weights (m, n), shape (m, k, k)."""
    count = len(checked_predictions.classes)
    cells = checked_predictions.labels * count + checked_predictions.predicted
    matrices = np.empty((len(weights), count, count))
    for matrix, times in zip(matrices, weights, strict=True):
        matrix[:] = np.bincount(cells, weights=times, minlength=count**2).reshape(count, count)
    return matrices


def recalls(matrix: Matrices) -> Matrices:
    """Recall per class, shape (..., k); NaN for a class without images."""
    return _share(_diagonal(matrix), matrix.sum(axis=-1))


def class_recall(matrix: Matrices, label: int) -> Values:
    """Recall of one class, in [0, 1]; shape (...), NaN where it has no images."""
    return np.asarray(recalls(matrix)[..., label])


def accuracy(matrix: Matrices) -> Values:
    """Share of images that are called right, in [0, 1]; shape (...)."""
    return np.asarray(_diagonal(matrix).sum(axis=-1) / matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: Matrices) -> Values:
    """Mean recall over the classes that have images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmean(recalls(matrix), axis=-1))


def macro_f1(matrix: Matrices) -> Values:
    """Mean F1 over the classes that occur as label or prediction, in [0, 1]; shape (...)."""
    occurrences = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    return np.asarray(np.nanmean(_share(2 * _diagonal(matrix), occurrences), axis=-1))


def worst_class_recall(matrix: Matrices) -> Values:
    """Smallest recall of a class that has images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmin(recalls(matrix), axis=-1))


def mean_cost(matrix: Matrices, costs: Matrices) -> Values:
    """Mean over images of costs (k, k), [actual, called]; shape (...)."""
    return np.asarray((matrix * costs).sum(axis=(-2, -1)) / matrix.sum(axis=(-2, -1)))


METRICS: dict[str, Callable[[Matrices], Values]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "worst_class_recall": worst_class_recall,
}


def log_loss(checked_predictions: Predictions, weights: Weights) -> Values:
    """Mean of -log(probability of the label), >= 0, for each row of weights (m, n); shape (m,)."""
    probabilities = probabilities_of(checked_predictions)
    given = probabilities[np.arange(len(checked_predictions.labels)), checked_predictions.labels]
    losses = -np.log(np.clip(given, SMALLEST, 1.0))
    # Libraries add up in an order that depends on the processor: only its last digits would.
    return np.asarray(np.round(weights @ losses / weights.sum(axis=1), 12))


def class_pr_auc(checked_predictions: Predictions, weights: Weights, label: int) -> Values:
    """Average precision of one class against all others, in [0, 1], shape (m,); NaN where it has no images.

    The step-wise sum over distinct thresholds (scikit-learn's average_precision_score), not trapezoids,
    which are too optimistic (Davis and Goadrich, 2006).
    """
    scores = probabilities_of(checked_predictions)[:, label]
    order = np.argsort(-scores, kind="stable")
    positive = np.flatnonzero(checked_predictions.labels[order] == label)
    if not len(positive):
        return np.full(len(weights), np.nan)
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    # Recall grows at thresholds where images of the class stand: the others add nothing to the sum.
    at = np.unique(last_of_ties[np.searchsorted(last_of_ties, positive)])
    drawn = weights[:, order]
    named = np.cumsum(drawn, axis=1)[:, at]
    right = np.cumsum(drawn[:, positive], axis=1)[:, np.searchsorted(positive, at, side="right") - 1]
    precision = np.divide(right, named, out=np.zeros(right.shape), where=named > 0)
    return _share((np.diff(right, axis=1, prepend=0) * precision).sum(axis=1), right[:, -1].astype(np.float64))


def macro_pr_auc(checked_predictions: Predictions, weights: Weights) -> Values:
    """Mean of `class_pr_auc` over the classes that have images; shape (m,)."""
    present = np.flatnonzero(
        np.bincount(checked_predictions.labels, minlength=len(checked_predictions.classes))
    ).tolist()
    return np.asarray(np.nanmean([class_pr_auc(checked_predictions, weights, label) for label in present], axis=0))


def probabilities_of(checked_predictions: Predictions) -> npt.NDArray[np.float64]:
    """The probabilities, for a metric that needs them."""
    if checked_predictions.probabilities is None:
        raise ValueError("these predictions have no probabilities")
    return checked_predictions.probabilities


def per_class(matrix: Matrices, classes: tuple[str, ...]) -> pd.DataFrame:
    """Images, recall and precision of each class; empty cells where nothing was to divide."""
    precision = _share(np.diag(matrix), matrix.sum(axis=0))
    return pd.DataFrame(
        {"label": classes, "images": matrix.sum(axis=1).astype(int), "recall": recalls(matrix), "precision": precision}
    )


def _share(part: Matrices, whole: Matrices) -> Matrices:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def _diagonal(matrix: Matrices) -> Matrices:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
