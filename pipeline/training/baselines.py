"""Fits models that need no network, with scikit-learn, and takes over what they learnt as tensors.

scikit-learn would store them as pickles, which run code when they are read.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Logistic
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from pipeline.metrics.metric import Metric, Tally
from pipeline.models.baselines import baseline_of, features_of
from pipeline.models.params import (
    Baseline,
    GradientBoosting,
    LogisticRegression,
    MajorityClass,
    NearestCentroid,
    RandomForest,
)
from pipeline.randomness import keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.training.losses import weighted_loss
from pipeline.training.training import Fit

Tensors = dict[str, Tensor]
# Rows that are judged at once; a thousand trees take a few megabytes for them.
PART = 256


@dataclass(frozen=True)
class Rows:
    """Features (n, f) float32, class numbers (n,), weights in the loss (n,), and whether a row is no repeat (n,)."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    first: npt.NDArray[np.bool_]


def fit_baseline(
    model: Baseline,
    train: Iterable[tuple[Tensor, Tensor]],
    dev: Iterable[tuple[Tensor, Tensor]],
    weights: npt.NDArray[np.float32],
    first: npt.NDArray[np.bool_],
    params: TrainParams,
    metric: Metric,
    classes: int,
    advance: Callable[[int], None],
) -> Fit:
    """The baseline fitted to train, with what it does on train and dev as its one epoch.

    Args:
        train, dev: pixels and class numbers, in row order.
        weights, first: of the rows of train, shape (n,): what they weigh, and whether they repeat no other.
        advance: called with 1 after each batch of train.
    """
    seen, labels = features_and_labels(model, train, params.threads, advance)
    network = fitted(model, Rows(seen, labels, weights, first), classes, params.seed, params.threads)
    in_dev, dev_labels = features_and_labels(model, dev, params.threads, lambda _: None)
    sets = {"train": (seen, labels, weights), "dev": (in_dev, dev_labels, np.ones(len(dev_labels), np.float32))}
    epoch: dict[str, float] = {}
    for name, (values, truth, weight) in sets.items():
        epoch[f"{name}/loss"], epoch[f"{name}/optimizing"] = _judge(network, values, truth, weight, metric, classes)
    return Fit(network, 0, [epoch])


@torch.inference_mode()
def features_and_labels(
    model: Baseline, batches: Iterable[tuple[Tensor, Tensor]], threads: int, advance: Callable[[int], None]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """What the model looks at in pictures, (n, f), and class numbers, (n,), in the order of batches."""
    torch.set_num_threads(threads)
    features = features_of(model)
    values, labels = [], []
    for pixels, numbers in batches:
        values.append(features(pixels).numpy())
        labels.append(numbers.numpy())
        advance(1)
    return np.concatenate(values), np.concatenate(labels)


def fitted(model: Baseline, rows: Rows, classes: int, seed: int, threads: int) -> nn.Module:
    """The model fitted to rows; every class has one."""
    # Sums are split by threads here, too.
    with threadpool_limits(threads):
        return baseline_of(model, _fitted(model, rows, classes, keyed_seed(seed, "baseline")))


@torch.inference_mode()
def class_probabilities(network: nn.Module, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What a fitted model says of features (n, f), shape (n, k)."""
    parts = [features[start : start + PART] for start in range(0, len(features), PART)]
    found = [network[1](torch.from_numpy(part)).softmax(dim=1).numpy() for part in parts]  # type: ignore[index]
    return np.concatenate(found).astype(np.float64)


def _fitted(model: Baseline, rows: Rows, classes: int, seed: int) -> Tensors:
    match model:
        case MajorityClass():
            counts = np.bincount(rows.labels[rows.first], minlength=classes)
            return {"logits": torch.from_numpy(np.log(np.maximum(counts, 0.5) / len(rows.labels)).astype(np.float32))}
        case NearestCentroid():
            return _centroids(rows, classes)
        case LogisticRegression():
            return _logistic(model, rows)
        case RandomForest():
            forest = RandomForestClassifier(
                model.n_estimators, min_samples_leaf=model.min_samples_leaf, random_state=seed
            )
            forest.fit(rows.features, rows.labels, sample_weight=rows.weights)
            trees = [tree.tree_ for tree in forest.estimators_]
            return _votes(trees)
        case GradientBoosting():
            boosting = HistGradientBoostingClassifier(
                learning_rate=model.learning_rate,
                max_iter=model.max_iter,
                max_leaf_nodes=model.max_leaf_nodes,
                early_stopping=False,
                random_state=seed,
            )
            boosting.fit(rows.features, rows.labels, sample_weight=rows.weights)
            return _amounts(boosting, classes)
        case unknown:
            assert_never(unknown)


def _centroids(rows: Rows, classes: int) -> Tensors:
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


def _logistic(model: LogisticRegression, rows: Rows) -> Tensors:
    mean, deviation = rows.features.mean(axis=0), np.maximum(rows.features.std(axis=0), 1e-6)
    with warnings.catch_warnings():
        # Cut short, it is a baseline all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = Logistic(C=model.c, max_iter=300)
        fitted.fit((rows.features - mean) / deviation, rows.labels, sample_weight=rows.weights)
    weights, intercepts = fitted.coef_ / deviation, fitted.intercept_
    intercepts = intercepts - weights @ mean
    if len(weights) == 1:  # of two classes it has the second one's alone
        weights, intercepts = np.concatenate([0 * weights, weights]), np.concatenate([0 * intercepts, intercepts])
    return {
        "weights": torch.from_numpy(np.ascontiguousarray(weights, np.float32)),
        "intercepts": torch.from_numpy(intercepts.astype(np.float32)),
    }


def _votes(trees: Sequence[Any]) -> Tensors:
    """Trees of a forest; votes are shares of classes."""
    values = [tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True) for tree in trees]
    parts = [
        (tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.children_left < 0)
        for tree in trees
    ]
    votes = torch.from_numpy(np.concatenate(values).astype(np.float32))
    empty = torch.empty(0, dtype=torch.int64)
    return _tables(parts, votes, empty, torch.empty(0, dtype=torch.float64), max(tree.max_depth for tree in trees))


def _amounts(boosting: Any, classes: int) -> Tensors:
    """Trees of boosting. scikit-learn shows them nowhere in public; tests hold that logits are its own."""
    predictors = [predictor for each in boosting._predictors for predictor in each]
    nodes = [predictor.nodes for predictor in predictors]
    parts = [
        (node["feature_idx"], node["num_threshold"], node["left"], node["right"], node["is_leaf"] != 0)
        for node in nodes
    ]
    start = np.ravel(boosting._baseline_prediction)
    a_round = len(boosting._predictors[0])
    of_class = np.arange(len(predictors)) % a_round
    if a_round == 1:  # of two classes it has the second one's alone
        start, of_class = np.array([0.0, start[0]]), of_class + 1
    amounts = torch.from_numpy(np.concatenate([node["value"] for node in nodes]).astype(np.float64))
    depth = max(int(node["depth"].max()) for node in nodes)
    return _tables(parts, amounts, torch.from_numpy(of_class), torch.from_numpy(start.astype(np.float64)), depth)


def _tables(parts: Sequence[tuple[Any, ...]], values: Tensor, of_class: Tensor, start: Tensor, depth: int) -> Tensors:
    """All trees in one table; `parts` are feature, threshold, left, right and is-leaf of each tree's nodes."""
    offsets = np.cumsum([0, *(len(part[0]) for part in parts)])[:-1]
    feature, threshold, left, right = [], [], [], []
    for offset, (features, thresholds, lefts, rights, leaf) in zip(offsets, parts, strict=True):
        own = np.arange(len(features)) + offset
        feature.append(np.where(leaf, 0, features))
        threshold.append(np.where(leaf, 0, thresholds))
        left.append(np.where(leaf, own, lefts.astype(np.int64) + offset))
        right.append(np.where(leaf, own, rights.astype(np.int64) + offset))
    return {
        "roots": torch.from_numpy(offsets.astype(np.int32)),
        "feature": torch.from_numpy(np.concatenate(feature).astype(np.int32)),
        "threshold": torch.from_numpy(np.concatenate(threshold).astype(np.float64)),
        "left": torch.from_numpy(np.concatenate(left).astype(np.int32)),
        "right": torch.from_numpy(np.concatenate(right).astype(np.int32)),
        "values": values,
        "of_class": of_class,
        "start": start,
        "depth": torch.tensor(depth, dtype=torch.int64),
    }


@torch.inference_mode()
def _judge(
    network: nn.Module,
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    metric: Metric,
    classes: int,
) -> tuple[float, float]:
    """Mean loss and metric of rows."""
    tally, loss = Tally(metric, classes), 0.0
    for start in range(0, len(labels), PART):
        part = slice(start, start + PART)
        logits = network[1](torch.from_numpy(features[part]))  # type: ignore[index]
        truth = torch.from_numpy(labels[part])
        loss += float(weighted_loss(logits, truth, torch.from_numpy(weights[part]))) * len(truth)
        tally.add(labels[part], logits.softmax(dim=1).numpy())
    return loss / len(labels), tally.value
