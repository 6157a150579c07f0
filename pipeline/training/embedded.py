"""Models on embeddings: a linear one and nearest neighbours, their strength chosen out of fold, groups never parted.

Embeddings come from the stage embed, so these models cost seconds. How strongly each is regularised is chosen on the
rows that it is fitted to, by predictions for groups that it did not see; dev has no part in that.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.vectors import unit
from pipeline.errors import DataError
from pipeline.training.folds import folds_of

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float16] | npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]

FOLDS = 5
# Inverse strengths of the linear model's penalty, of vectors of about length 1 a number.
STRENGTHS = (0.0003, 0.003, 0.03)
NEIGHBOURS = (1, 3, 10, 30)
# Of cosines, when neighbours vote (Wu et al., 2018).
TEMPERATURE = 0.07
# Each class has so many votes before any neighbour votes, so that no probability is 0.
PRIOR_VOTES = 0.01
# Likenesses are compared at this precision: sums in another order differ in the sixth digit.
DIGITS = 4
BLOCK = 1024

Fit = Callable[["Rows", float, Vectors], Floats]


@dataclass(frozen=True)
class Rows:
    """What a model is fitted to: vectors (n, d), class numbers, weights and groups (n,); and how many classes."""

    vectors: Vectors
    labels: Codes
    weights: npt.NDArray[np.float32]
    groups: npt.NDArray[Any]
    classes: int

    def part(self, inside: npt.NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        return Rows(self.vectors[inside], self.labels[inside], self.weights[inside], self.groups[inside], self.classes)


@dataclass(frozen=True)
class CrossFitted:
    """Probabilities of the asked images (m, k), and of the rows themselves (n, k), each by a model that saw no image
    of its group; and the setting that was best out of fold.
    """

    asked: Floats
    own: Floats
    setting: float


@dataclass(frozen=True)
class EmbeddedModel:
    """A kind of model: the settings to choose from, and what one says of vectors after it was fitted to rows."""

    settings: Sequence[float]
    fit: Fit


def cross_fitted(model: EmbeddedModel, rows: Rows, asked: Vectors, seed: int, threads: int) -> CrossFitted:
    """The model with the setting of the least log loss out of fold, fitted to all rows.

    Raises:
        DataError: the rows are of one class, or all in one group.
    """
    if len(np.unique(rows.labels)) < 2:
        raise DataError("embeddings need images of at least two classes")
    names = rows.labels.astype(str)
    folds = folds_of(names, rows.groups.astype(str), FOLDS, seed)
    if len(np.unique(folds)) < 2:
        raise DataError("all images are of one group, so nothing can be measured on others: see `group` in curate")
    own, best = best_out_of_fold(model, rows, folds, threads)
    with threadpool_limits(threads):
        return CrossFitted(model.fit(rows, best, asked), own, best)


def best_out_of_fold(model: EmbeddedModel, rows: Rows, folds: Codes, threads: int) -> tuple[Floats, float]:
    """Probabilities of the rows, (n, k), each by a model that saw the other folds; and the setting of the least loss.

    Args:
        folds: the fold of each row, shape (n,), two or more.
    """
    # Sums are split by threads.
    with threadpool_limits(threads):
        found = {setting: _out_of_fold(model, rows, folds, setting) for setting in model.settings}
    losses = {setting: _log_loss(own, rows) for setting, own in found.items()}
    best = min(model.settings, key=lambda setting: (round(losses[setting], DIGITS), setting))
    return found[best], best


def mean_out_of_fold(rows: Rows, folds: Codes, threads: int) -> Floats:
    """Probabilities of the rows, (n, k), out of fold: the mean of all EMBEDDED_MODELS, each with its best setting.

    A linear model may be sure of an image that is unlike all others; neighbours are not. Neighbours see less well what
    a linear one sees. So their mean is right more often, and is rarely sure where it is wrong.
    """
    found = [best_out_of_fold(model, rows, folds, threads)[0] for model in EMBEDDED_MODELS.values()]
    mean: Floats = np.mean(found, axis=0)
    return mean


def _out_of_fold(model: EmbeddedModel, rows: Rows, folds: Codes, setting: float) -> Floats:
    found = np.empty((len(folds), rows.classes))
    for fold in np.unique(folds):
        inside = folds == fold
        found[inside] = model.fit(rows.part(~inside), setting, rows.vectors[inside])
    return found


def _log_loss(probabilities: Floats, rows: Rows) -> float:
    own = np.maximum(probabilities[np.arange(len(rows.labels)), rows.labels], 1e-9)
    return float(-np.average(np.log(own), weights=rows.weights))


def linear(rows: Rows, strength: float, asked: Vectors) -> Floats:
    """Logistic regression on standardised vectors. A class without rows has the probability 0."""
    # It takes a second to import.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    def fit(vectors: Floats, codes: Codes, new: Floats) -> Floats:
        fitted = LogisticRegression(C=strength, max_iter=100, tol=1e-3)
        with warnings.catch_warnings():
            # Cut short, it is a model all the same.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(vectors, codes, sample_weight=rows.weights)
        return np.asarray(fitted.predict_proba(new))

    return standardised_fit(rows, asked, fit)


def standardised_fit(rows: Rows, asked: Vectors, fit: Callable[[Floats, Codes, Floats], Floats]) -> Floats:
    """Probabilities of all classes, (m, k), by a model of those that rows have; the others have the probability 0.

    Args:
        fit: takes the rows' vectors (n, d), their codes among the classes that there are (n,), two or more, and the
            vectors that are asked for (m, d); gives the probabilities of these classes. All vectors are standardised
            by the mean and the deviation of the rows.
    """
    present, codes = np.unique(rows.labels, return_inverse=True)
    found = np.zeros((len(asked), rows.classes))
    if len(present) == 1:
        found[:, present] = 1.0
        return found
    vectors = rows.vectors.astype(np.float64)
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
    found[:, present] = fit((vectors - mean) / deviation, codes, (asked.astype(np.float64) - mean) / deviation)
    return found


def nearest_neighbours(rows: Rows, count: float, asked: Vectors) -> Floats:
    """Votes of so many nearest rows by cosine, the nearer the heavier (Wu et al., 2018)."""
    own, others = unit(rows.vectors), unit(asked)
    few = min(int(count), len(own))
    found = np.empty((len(others), rows.classes))
    for start in range(0, len(others), BLOCK):
        likeness = np.round(others[start : start + BLOCK] @ own.T, DIGITS)
        # Of equally near ones the first.
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :few]
        votes = np.exp((np.take_along_axis(likeness, nearest, axis=1) - 1) / TEMPERATURE) * rows.weights[nearest]
        votes = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-30)
        tally = np.full((len(nearest), rows.classes), PRIOR_VOTES)
        for place in range(few):
            np.add.at(tally, (np.arange(len(nearest)), rows.labels[nearest[:, place]]), votes[:, place])
        found[start : start + BLOCK] = tally / tally.sum(axis=1, keepdims=True)
    return found


EMBEDDED_MODELS: Mapping[str, EmbeddedModel] = {
    "linear": EmbeddedModel(STRENGTHS, linear),
    "knn": EmbeddedModel(NEIGHBOURS, nearest_neighbours),
}
