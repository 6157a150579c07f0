"""Predictions -> metrics with confidence intervals.

All are functions of the confusion matrix, so that thousands of bootstrap resamples take one
matrix each. Formulas as in scikit-learn's User Guide, 3.4.4 (classification metrics).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core.randomness import keyed_generator
from pipeline.errors import DataError, listing
from pipeline.params import Bounds

Matrices = npt.NDArray[np.float64]


def confusion_matrix(labels: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: tuple[str, ...]) -> Matrices:
    """Shape (k, k): how many images of the row's class were called the column's class.

    Raises:
        DataError: a label is none of the classes.
    """
    rows, columns = class_codes(labels, classes), class_codes(predicted, classes)
    return _counts(rows, columns, np.ones(len(rows)), len(classes))


def class_codes(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Positions of labels among the classes, shape (n,).

    Raises:
        DataError: a label is none of the classes.
    """
    codes = pd.Index(classes).get_indexer(pd.Index(labels.astype(str)))
    if (codes < 0).any():
        unknown = sorted(set(labels[codes < 0].astype(str)))
        raise DataError(
            f"the model does not know the classes {listing(unknown)}: it was trained on {listing(classes, 20)}"
        )
    return codes


def classes_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """All classes that occur as label or prediction, sorted."""
    return tuple(sorted(set(predictions["label"].astype(str)) | set(predictions["predicted"].astype(str))))


def recalls(matrix: Matrices) -> Matrices:
    """Recall per class, shape (..., k); NaN for a class without images."""
    images = matrix.sum(axis=-1)
    return np.asarray(np.divide(_diagonal(matrix), images, out=np.full(images.shape, np.nan), where=images > 0))


def accuracy(matrix: Matrices) -> Matrices:
    """Share of images that are called right, in [0, 1]; shape (...)."""
    return np.asarray(_diagonal(matrix).sum(axis=-1) / matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: Matrices) -> Matrices:
    """Mean recall over the classes that have images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmean(recalls(matrix), axis=-1))


def macro_f1(matrix: Matrices) -> Matrices:
    """Mean F1 over the classes that occur as label or prediction, in [0, 1]; shape (...)."""
    occurrences = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    f1 = np.divide(2 * _diagonal(matrix), occurrences, out=np.full(occurrences.shape, np.nan), where=occurrences > 0)
    return np.asarray(np.nanmean(f1, axis=-1))


def worst_class_recall(matrix: Matrices) -> Matrices:
    """Smallest recall of a class that has images, in [0, 1]; shape (...)."""
    return np.asarray(np.nanmin(recalls(matrix), axis=-1))


METRICS: dict[str, Callable[[Matrices], Matrices]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "worst_class_recall": worst_class_recall,
}


def bootstrap_matrices(
    predictions: pd.DataFrame, classes: tuple[str, ...], resamples: int, seed: int, purpose: str
) -> Matrices:
    """Confusion matrices of resamples, shape (resamples, k, k).

    Whole groups are drawn with replacement, not images: near-duplicates are one observation.
    """
    rows = class_codes(predictions["label"].to_numpy(), classes)
    columns = class_codes(predictions["predicted"].to_numpy(), classes)
    groups, names = pd.factorize(predictions["group"], sort=True)
    generator = keyed_generator(seed, "bootstrap", purpose)
    matrices = np.empty((resamples, len(classes), len(classes)))
    for number in range(resamples):
        times = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        matrices[number] = _counts(rows, columns, times[groups], len(classes))
    return matrices


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the central 95 % of bootstrap values, shape (n,) (percentile method, Efron 1979)."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Limit:
    """A satisficing metric: its value and whether it holds."""

    value: float
    held: bool


def check_limits(values: Mapping[str, float], limits: Mapping[Any, Bounds]) -> dict[str, Limit]:
    """Each limit that params name, against the values measured."""
    checked = {}
    for name, bounds in limits.items():
        low = bounds.min is None or values[name] >= bounds.min
        high = bounds.max is None or values[name] <= bounds.max
        checked[str(name)] = Limit(values[name], low and high)
    return checked


def per_class(matrix: Matrices, classes: tuple[str, ...]) -> pd.DataFrame:
    """Images, recall and precision of each class; empty cells where nothing was to divide."""
    named = matrix.sum(axis=0)
    precision = np.divide(np.diag(matrix), named, out=np.full(len(classes), np.nan), where=named > 0)
    return pd.DataFrame(
        {"label": classes, "images": matrix.sum(axis=1).astype(int), "recall": recalls(matrix), "precision": precision}
    )


def _counts(rows: npt.NDArray[Any], columns: npt.NDArray[Any], weights: npt.NDArray[Any], classes: int) -> Matrices:
    counts = np.bincount(rows * classes + columns, weights=weights, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.float64)


def _diagonal(matrix: Matrices) -> Matrices:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
