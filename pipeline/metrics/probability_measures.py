"""Metrics of predicted probabilities: log loss, and areas under precision-recall curves.

They need each image's probabilities, so that a confusion matrix is not enough. `measures.py` has their rows.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.confusion import share
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions
from pipeline.section import Label

# A probability below this counts as this: -log(0) is no number. scikit-learn's choice for float32, which models give.
SMALLEST = float(np.finfo(np.float32).eps)


class LogLoss(MetricParams):
    """Mean of -log(probability of the label)."""

    name: Literal["log_loss"]


class MacroPrAuc(MetricParams):
    """Mean area under the precision-recall curves of the classes that have images."""

    name: Literal["macro_pr_auc"]


class PrAuc(MetricParams):
    """Area under the precision-recall curve of two classes, the second by name being the positive one."""

    name: Literal["pr_auc"]


class ClassPrAuc(MetricParams):
    """Area under the precision-recall curve of one class against all others."""

    name: Literal["class_pr_auc"]
    label: Label


def image_losses(seen: Predictions) -> tuple[npt.NDArray[np.float64], float]:
    """-log(probability of the label) of each image, shape (n,), and about the largest.

    That is what an image loses on average if it is called wrongly, as the model has it: the label is then one of the
    other classes, each with its probability.
    """
    probabilities = np.clip(probabilities_of(seen), SMALLEST, 1.0)
    losses = -np.log(probabilities[np.arange(len(seen.labels)), seen.labels])
    others = probabilities.copy()
    others[np.arange(len(others)), probabilities.argmax(axis=1)] = 0.0
    wrong = (others * -np.log(probabilities)).sum(axis=1) / others.sum(axis=1)
    return losses, float(wrong.mean())


def log_loss(checked_predictions: Predictions, weights: Weights) -> Values:
    """Mean of -log(probability of the label), >= 0, for each row of weights (m, n); shape (m,)."""
    losses = image_losses(checked_predictions)[0]
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
    return share((np.diff(right, axis=1, prepend=0) * precision).sum(axis=1), right[:, -1].astype(np.float64))


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
