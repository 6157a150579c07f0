"""Intervals and influences of metrics where an image may have several labels (label_measures.py).

Each label's value has the interval that it would have alone. A mean of them has these put together with the distances
of their limits added in squares, as intervals.py does with classes. Labels share images and so vary together: the
limits are wider by what the images show of that.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from pipeline.metrics.influence import clustered_variance, image_influence, ratio_influence
from pipeline.metrics.label_measures import f1_counts, one_label
from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Ends = tuple[float, float]
# The ends of the interval of one label's metric, at 1 - alpha.
EndsOf = Callable[[Metric, Predictions, Codes, float], Ends]


def label_values(metric: Metric, seen: Predictions) -> Iterator[tuple[float, Predictions]]:
    """The value of each label that has one, and the images told apart by it alone."""
    assert metric.of_one_label is not None  # noqa: S101
    for label in range(len(seen.classes)) if metric.label is None else [metric.label]:
        view = one_label(seen, label)
        # A label that no image has is measured by nothing: its exact limits are 0 and 1.
        if view.labels.any():
            yield metric.of_one_label.value(view), view


def label_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float, ends_of: EndsOf) -> Ends:
    """Of a metric that is put together from each label's."""
    assert metric.of_one_label is not None  # noqa: S101
    one, there = metric.of_one_label, list(label_values(metric, seen))
    values = np.array([value for value, _ in there])
    if metric.take == "worst":
        # As of the smallest recall in intervals.py: one of the upper limits may fail.
        low = [ends_of(one, view, codes, alpha)[0] for _, view in there]
        return min(low), min(ends_of(one, view, codes, alpha / len(there))[1] for _, view in there)
    ends = np.array([ends_of(one, view, codes, alpha) for _, view in there])
    count = len(there)
    influences = np.stack([image_influence(one, view) for _, view in there])
    apart = sum(clustered_variance(each, codes) for each in influences)
    whole = clustered_variance(np.asarray(influences.sum(axis=0)), codes)
    wider = math.sqrt(max(whole / apart, 1.0)) if apart > 0 else 1.0
    down, up = (math.sqrt(float(((values - ends[:, side]) ** 2).sum())) * wider / count for side in (0, 1))
    value = metric.value(seen)
    return max(value - down, 0.0), min(value + up, 1.0)


def ratio_ends(
    seen: Predictions, codes: Codes, alpha: float, share_ends: Callable[[float, float, float], Ends]
) -> Ends:
    """Of micro F1: a share of so many independent decisions as vary as much.

    Args:
        share_ends: (share, independent images, alpha) -> the interval of the share.
    """
    hits, named = f1_counts(seen)
    value = float(hits.sum() / named.sum())
    spread = clustered_variance(ratio_influence(hits, named), codes)
    # Where all is right, or nothing, groups show no spread: then a group counts as one image.
    groups = float(len(np.unique(codes[named > 0])))
    effective = value * (1 - value) / spread if spread > 0 else groups
    return share_ends(value, min(max(effective, 1.0), float(named.sum())), alpha)
