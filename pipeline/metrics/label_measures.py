"""Metrics where an image may have several labels: averaged over the labels, or of whole sets.

Each label by itself is a problem of two classes, "no" and "yes", with the metrics and the intervals of any other. Names
and formulas are those of scikit-learn's User Guide, 3.4.4 (multilabel cases).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import Values, Weights
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions, Sets

BINARY = ("no", "yes")
# The value of one label, the mean over labels, or the smallest.
Take = Literal["one", "mean", "worst"]


class MicroF1(MetricParams):
    """F1 of all labels counted together, where images may have several."""

    name: Literal["micro_f1"]


class SubsetAccuracy(MetricParams):
    """Share of images whose set of labels is predicted without any mistake, where images may have several."""

    name: Literal["subset_accuracy"]


@dataclass(frozen=True)
class OfLabels:
    """A metric put together from the one of each label that METRICS has under a name."""

    metric: str
    take: Take


def sets_of(seen: Predictions) -> Sets:
    """The sets, for a metric that needs them."""
    if seen.sets is None:
        raise ValueError("these predictions are of classes, of which an image has one")
    return seen.sets


def one_label(seen: Predictions, label: int) -> Predictions:
    """The same images, told apart by one label alone: the classes BINARY."""
    sets = sets_of(seen)
    truth, chosen = (flags[:, label].astype(np.intp) for flags in (sets.truth, sets.chosen))
    probabilities = None
    if seen.probabilities is not None:
        yes = seen.probabilities[:, label]
        probabilities = np.stack([1 - yes, yes], axis=1)
    return Predictions(BINARY, truth, chosen, probabilities)


def taken_of_labels(values: npt.NDArray[np.float64], take: Take) -> Values:
    """One value from those of k labels, shape (k, m) -> (m,); labels without a value do not count, NaN if none has."""
    known = np.isfinite(values)
    if take == "worst":
        worst = np.where(known, values, np.inf).min(axis=0)
        return np.where(known.any(axis=0), worst, np.nan)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0)))


def subset_accuracy(seen: Predictions, weights: Weights) -> Values:
    """Share of images whose set is predicted without any mistake, in [0, 1], for weights (m, n); shape (m,)."""
    right = (seen.labels == seen.predicted).astype(np.float64)
    return np.asarray(np.round(weights @ right / weights.sum(axis=1), 12))


def micro_f1(seen: Predictions, weights: Weights) -> Values:
    """2 TP / (2 TP + FP + FN) over all labels of all images, in [0, 1], for weights (m, n); shape (m,), NaN of none."""
    hits, all_named = f1_counts(seen)
    whole = weights @ all_named
    return np.asarray(np.divide(weights @ hits, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def f1_counts(seen: Predictions) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """2 TP, and 2 TP + FP + FN, of each image, shape (n,)."""
    sets = sets_of(seen)
    hits = 2.0 * (sets.truth & sets.chosen).sum(axis=1)
    return hits, (sets.truth.sum(axis=1) + sets.chosen.sum(axis=1)).astype(np.float64)
