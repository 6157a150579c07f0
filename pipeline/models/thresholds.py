"""Thresholds above which a label is predicted, where an image may have several: one per label, chosen on dev.

A threshold that was chosen on the images that it is then measured on makes the result too good. So dev's own
predictions come from thresholds that were chosen on the other groups of dev (cross-fitting); all other images get the
model's, which all of dev has chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.metric_params import MetricParams
from pipeline.problem.label_sets import LabelNames, membership
from pipeline.randomness import keyed_uniform

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# What a label's threshold makes largest: its F1, or the share of images on which it is right.
Criterion = Literal["f1", "accuracy"]
HALF = 0.5
# Of fewer images that have, or that lack, a label, its threshold stays at a half: chance would choose it.
MIN_IMAGES = 5
FOLDS = 5


@dataclass(frozen=True)
class Thresholds:
    """A threshold for each label, in (0, 1); a label is predicted from there on."""

    values: tuple[float, ...]
    criterion: Criterion

    @classmethod
    def chosen(cls, truth: Flags, probabilities: Floats, criterion: Criterion) -> Self:
        """Those that are best for images whose labels are known; truth, probabilities: shape (n, k)."""
        pairs = zip(truth.T, probabilities.astype(np.float64).T, strict=True)
        return cls(tuple(best_threshold(flags, values, criterion) for flags, values in pairs), criterion)

    @classmethod
    def halves(cls, labels: int, criterion: Criterion) -> Self:
        """A threshold of 0.5 for each label."""
        return cls((HALF,) * labels, criterion)

    def sets(self, probabilities: Floats) -> Flags:
        """The labels that are predicted, shape (n, k)."""
        return np.asarray(probabilities.astype(np.float64) >= np.array(self.values))

    def as_header(self) -> dict[str, Any]:
        """The thresholds as values for JSON."""
        return {"chosen_on": "dev", "criterion": self.criterion, "values": list(self.values)}

    @classmethod
    def of_header(cls, values: Mapping[str, Any], labels: int) -> Self:
        """What `as_header` wrote.

        Raises:
            ValueError: it is no threshold for each of so many labels.
        """
        found = tuple(float(value) for value in values["values"])
        if len(found) != labels or not all(0 < value < 1 for value in found):
            raise ValueError("it has no threshold between 0 and 1 for each label")
        return cls(found, "accuracy" if values["criterion"] == "accuracy" else "f1")


def criterion_of(metric: Metric) -> Criterion:
    """What suits a metric: for a mean over images, each label must be right as often as can be; for others its F1."""
    return "accuracy" if metric.interval == "mean" else "f1"


def halves_for(classes: tuple[str, ...], optimizing: MetricParams) -> Thresholds | None:
    """Thresholds for images of dev alone, which get those of the other groups; None where images have one class."""
    if not isinstance(classes, LabelNames):
        return None
    return Thresholds.halves(len(classes), criterion_of(metric_of(optimizing, classes)))


def best_threshold(truth: Flags, probabilities: Floats, criterion: Criterion) -> float:
    """The best threshold of one label, halfway between two probabilities; of equally good ones the nearest to a half.

    Args:
        truth, probabilities: shape (n,).
    """
    if min(int(truth.sum()), int((~truth).sum())) < MIN_IMAGES:
        return HALF
    order = np.argsort(-probabilities, kind="stable")
    values, hits = probabilities[order], np.cumsum(truth[order])
    # After the last of equal probabilities alone.
    last = np.flatnonzero(np.append(np.diff(values) != 0, True))
    named, right = last + 1, hits[last]
    positives = int(truth.sum())
    quality = 2 * right / (named + positives) if criterion == "f1" else 2 * right - named
    below = np.append(values[last[1:]], 0.0)
    cuts = (values[last] + below) / 2
    if criterion == "accuracy":  # to predict it never may be best
        quality, cuts = np.append(quality, 0), np.append(cuts, (1 + values[0]) / 2)
    best = np.flatnonzero(np.isclose(quality, quality.max(), rtol=0, atol=1e-12))
    chosen = float(cuts[best[np.argmin(np.abs(cuts[best] - HALF))]])
    return min(max(chosen, 1e-6), 1 - 1e-6)


def cross_fitted(
    texts: npt.NDArray[Any], groups: npt.NDArray[Any], probabilities: Floats, names: LabelNames, criterion: Criterion
) -> Flags:
    """The labels that are predicted for the images of dev, (n, k), each by thresholds of the other groups.

    Args:
        texts: the sets of labels (n,). groups: of the images, (n,).
    """
    truth = membership(texts, names)
    folds = np.floor(keyed_uniform(0, "thresholds", groups.astype(str)) * FOLDS).astype(np.intp)
    chosen = np.zeros(truth.shape, np.bool_)
    for fold in np.unique(folds):
        inside = folds == fold
        others = Thresholds.chosen(truth[~inside], probabilities[~inside], criterion)
        chosen[inside] = others.sets(probabilities[inside])
    return chosen
