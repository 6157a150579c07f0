"""How scikit-learn fits each baseline, to classes or to numbers, and the tensors that are kept of it."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.baselines import (
        Average,
        GradientBoosting,
        LogisticRegression,
        MajorityClass,
        NearestCentroid,
        RandomForest,
        Ridge,
    )

Tensors = dict[str, "Tensor"]


@dataclass(frozen=True)
class Rows:
    """Rows of train.

    features: (n, f) float32. labels: class numbers (n,), or numbers (n,) float32. weights: in the loss (n,). first:
    whether a row is no repeat (n,).
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]
    first: npt.NDArray[np.bool_]


def majority(params: "MajorityClass", rows: Rows, classes: int, seed: int) -> Tensors:
    """The logarithms of the shares of the classes."""
    import torch

    counts = np.bincount(rows.labels[rows.first], minlength=classes)
    return {"logits": torch.from_numpy(np.log(np.maximum(counts, 0.5) / len(rows.labels)).astype(np.float32))}


def centroids(params: "NearestCentroid", rows: Rows, classes: int, seed: int) -> Tensors:
    """The mean features of each class, and their spread around them."""
    import torch

    weights = rows.weights.astype(np.float64)
    sums = np.zeros((classes, rows.features.shape[1]))
    np.add.at(sums, rows.labels, rows.features * weights[:, None])
    centroids = sums / np.bincount(rows.labels, weights, classes)[:, None]
    spread = float((weights[:, None] * (rows.features - centroids[rows.labels]) ** 2).sum() / weights.sum())
    variance = max(spread / rows.features.shape[1], 1e-12)
    return {
        "centroids": torch.from_numpy(centroids.astype(np.float32)),
        "variance": torch.tensor(variance, dtype=torch.float32),
    }


def logistic(params: "LogisticRegression", rows: Rows, classes: int, seed: int) -> Tensors:
    """Weights and intercepts of each class."""
    import torch
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression as Logistic

    mean, deviation = rows.features.mean(axis=0), np.maximum(rows.features.std(axis=0), 1e-6)
    with warnings.catch_warnings():
        # Cut short, it is a baseline all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = Logistic(C=params.c, max_iter=300)
        fitted.fit((rows.features - mean) / deviation, rows.labels, sample_weight=rows.weights)
    weights, intercepts = fitted.coef_ / deviation, fitted.intercept_
    intercepts = intercepts - weights @ mean
    if len(weights) == 1:  # of two classes it has the second one's alone
        weights, intercepts = np.concatenate([0 * weights, weights]), np.concatenate([0 * intercepts, intercepts])
    return {
        "weights": torch.from_numpy(np.ascontiguousarray(weights, np.float32)),
        "intercepts": torch.from_numpy(intercepts.astype(np.float32)),
    }


def forest_of_classes(params: "RandomForest", rows: Rows, classes: int, seed: int) -> Tensors:
    """Trees whose leaves hold shares of classes."""
    from sklearn.ensemble import RandomForestClassifier

    from pipeline.models.trees import votes

    forest = RandomForestClassifier(params.n_estimators, min_samples_leaf=params.min_samples_leaf, random_state=seed)
    forest.fit(rows.features, rows.labels, sample_weight=rows.weights)
    return votes([tree.tree_ for tree in forest.estimators_])


def _of_boosting(params: "GradientBoosting", seed: int) -> dict[str, Any]:
    named = {name: getattr(params, name) for name in ("learning_rate", "max_iter", "max_leaf_nodes")}
    return {**named, "early_stopping": False, "random_state": seed}


def boosting_of_classes(params: "GradientBoosting", rows: Rows, classes: int, seed: int) -> Tensors:
    """Trees of each round, and the class that each adds to."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from pipeline.models.trees import amounts

    boosting = HistGradientBoostingClassifier(**_of_boosting(params, seed))
    boosting.fit(rows.features, rows.labels, sample_weight=rows.weights)
    return amounts(boosting, classes)


def average(params: "Average", rows: Rows, seed: int) -> Tensors:
    """The mean or the median of train's numbers."""
    import torch

    numbers = rows.labels[rows.first].astype(np.float64)
    value = numbers.mean() if params.value == "mean" else np.median(numbers)
    return {"logits": torch.tensor([value], dtype=torch.float32)}


def ridge(params: "Ridge", rows: Rows, seed: int) -> Tensors:
    """Linear regression with a penalty on the weights of standardised features, of standardised numbers."""
    import torch
    from sklearn.linear_model import Ridge as Linear

    mean, deviation = rows.features.mean(axis=0), np.maximum(rows.features.std(axis=0), 1e-6)
    numbers = rows.labels.astype(np.float64)
    middle, spread = numbers.mean(), numbers.std() or 1.0
    fitted = Linear(alpha=params.alpha, solver="svd")
    standardised = ((rows.features - mean) / deviation).astype(np.float64)
    fitted.fit(standardised, (numbers - middle) / spread, sample_weight=rows.weights.astype(np.float64))
    weights = spread * fitted.coef_ / deviation
    intercept = middle + spread * fitted.intercept_ - weights @ mean
    return {
        "weights": torch.from_numpy(np.ascontiguousarray(weights[None], np.float32)),
        "intercepts": torch.tensor([intercept], dtype=torch.float32),
    }


def forest_of_numbers(params: "RandomForest", rows: Rows, seed: int) -> Tensors:
    """Trees that split by the squared error; the model gives their mean."""
    from sklearn.ensemble import RandomForestRegressor

    from pipeline.models.trees import means

    forest = RandomForestRegressor(params.n_estimators, min_samples_leaf=params.min_samples_leaf, random_state=seed)
    forest.fit(rows.features, rows.labels.astype(np.float64), sample_weight=rows.weights)
    return means([tree.tree_ for tree in forest.estimators_])


def boosting_of_numbers(params: "GradientBoosting", rows: Rows, seed: int) -> Tensors:
    """Small trees, each fitted to what those before it leave of the numbers."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from pipeline.models.trees import amounts_of_numbers

    boosting = HistGradientBoostingRegressor(**_of_boosting(params, seed))
    boosting.fit(rows.features, rows.labels.astype(np.float64), sample_weight=rows.weights)
    return amounts_of_numbers(boosting)
