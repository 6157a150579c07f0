"""Confusion matrices of many resamples at once, and the values derived from them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import Weights
from pipeline.metrics.predictions import Predictions, class_codes

Matrices = npt.NDArray[np.float64]


def confusion_matrix(labels: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: tuple[str, ...]) -> Matrices:
    """Shape (k, k): how many images of the row's class were predicted as the column's class.

    Raises:
        DataError: a label is not one of the classes.
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
    return share(diagonal(matrix), matrix.sum(axis=-1))


def per_class(matrix: Matrices, classes: tuple[str, ...]) -> pd.DataFrame:
    """Images, recall and precision of each class; empty cells where a ratio is not defined."""
    precision = share(np.diag(matrix), matrix.sum(axis=0))
    return pd.DataFrame(
        {"label": classes, "images": matrix.sum(axis=1).astype(int), "recall": recalls(matrix), "precision": precision}
    )


def share(part: Matrices, whole: Matrices) -> Matrices:
    """Parts over wholes of one shape; NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def diagonal(matrix: Matrices) -> Matrices:
    """Correctly predicted images by class; shape (..., k)."""
    return np.diagonal(matrix, axis1=-2, axis2=-1)
