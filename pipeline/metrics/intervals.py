"""Intervals of metrics that hold near 1 as well, and where images come in groups.

Shares and means are in mean_intervals.py. Other metrics are put together from shares, with the distances of their
limits added in squares (MOVER: Zou and Donner, 2008; for differences Newcombe, 1998, and Zou, 2007).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.confusion import Matrices, confusion_matrices, recalls
from pipeline.metrics.influence import cell_influence, clustered_variance, jackknife_bias, ranking_influence
from pipeline.metrics.label_intervals import label_ends, ratio_ends
from pipeline.metrics.mean_intervals import (
    UNSEEN,
    Codes,
    Ends,
    Floats,
    effective_images,
    exact_limits,
    mean_interval,
    share_interval,
    student_factor,
)
from pipeline.metrics.metric import Metric
from pipeline.metrics.number_intervals import number_ends
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.upper_tails import chi_square_quantile, normal_quantile, student_quantile

# Of fewer independent groups no interval is told: nothing measures the design effect.
MIN_GROUPS = 15
# Degrees of freedom, at least: exact limits of each class know already that few images err.
LEAST_FREEDOM = 5.0
# Ends are rounded to so many digits, which no order of additions changes.
DIGITS = 9


def metric_interval(
    metric: Metric, seen: Predictions, groups: "pd.Series[Any]", alpha: float = 0.05
) -> tuple[float, float] | None:
    """Ends of the interval of a metric at 1 - alpha; None where fewer than 15 groups tell about it.

    Args:
        groups: shape (n,), the group of each image: near copies, a patient, a session.
    """
    codes: Codes = pd.factorize(groups, sort=True)[0]
    counted = metric.counted(seen)
    if len(np.unique(codes[counted])) < MIN_GROUPS:
        return None
    low, high = _ends(metric, seen, codes, alpha)
    if metric.judges_numbers:  # rounded already, in the unit that they have
        return low, high
    return round(float(low), DIGITS), round(float(high), DIGITS)


def _mean_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    """Of a mean over images: accuracy, one class's recall, costs, the log loss."""
    counted = metric.counted(seen)
    low, high = mean_interval(metric.losses(seen)[counted], codes[counted], metric.largest_loss(seen), alpha)
    return (1 - high, 1 - low) if metric.maximise else (low, high)


def _class_ends(matrix: Matrices, seen: Predictions, codes: Codes, alpha: float) -> tuple[Codes, Floats]:
    """The classes that have images, and how many independent images each has.

    The correlation in groups is measured over all classes together, because one has few images.
    """
    present = np.flatnonzero(matrix.sum(axis=1) > 0)
    recall = np.nan_to_num(recalls(matrix))
    rest = (seen.labels == seen.predicted) - recall[seen.labels]
    cells, sizes = np.unique(codes * len(seen.classes) + seen.labels, return_inverse=True, return_counts=True)[1:]
    label = np.zeros(len(sizes), np.intp)
    label[cells] = seen.labels

    def by_class(weights: Floats) -> Floats:
        return np.bincount(label, weights=weights, minlength=len(seen.classes))[present].astype(np.float64)

    images = matrix.sum(axis=1)[present]
    if sizes.max() <= 1:
        return present, images
    squared, groups = by_class(sizes.astype(np.float64) ** 2), by_class(np.ones(len(sizes)))
    # Of groups around their own mean: too near to it by what the mean varies itself.
    between = by_class(np.bincount(cells, weights=rest).astype(np.float64) ** 2) * groups / np.maximum(groups - 1, 1)
    tells = groups > 1
    variances = (recall * (1 - recall))[present] + between / images**2
    pairs = float(((squared - images) * variances)[tells].sum())
    together = float((between - images * variances)[tells].sum())
    size = float(squared.sum() / images.sum())
    right = float((images * recall[present]).sum() / images.sum())
    together += UNSEEN * size * (size - 1) * right**2
    correlation = min(max(together / pairs, 0.0), 1.0) if pairs > 0 and together > -pairs else 1.0
    factor = student_factor(sizes.astype(np.float64), correlation, alpha, len(present)) if pairs > 0 else 1.0
    return present, np.clip(images / (1 + (squared / images - 1) * correlation) * factor, 1.0, images)


def _worst_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    """Of the smallest recall: no class's lower limit is below the smallest one, and one of the upper limits may fail.

    So the lower end is the smallest lower limit (the test of a minimum; Berger, 1982), and the upper end the smallest
    of limits that hold for all classes together (Bonferroni).
    """
    matrix = confusion_matrices(seen, np.ones((1, len(seen.labels)), np.int64))[0]
    present, images = _class_ends(matrix, seen, codes, alpha)
    wrong = (seen.labels != seen.predicted).astype(np.float64)
    for place, label in enumerate(present):
        inside = seen.labels == label
        if len(np.unique(codes[inside])) >= MIN_GROUPS:
            images[place] = min(images[place], effective_images(wrong[inside], codes[inside], alpha))
    recall = recalls(matrix)[present]
    low, high = exact_limits(recall, images, alpha)[0], exact_limits(recall, images, alpha / len(present))[1]
    return float(low.min()), float(high.min())


def _matrix_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    """Of any metric of the confusion matrix: each class's exact limits, carried to the metric one by one.

    What else varies (which classes there are, what is called what, groups that have several classes) widens them by
    the ratio of the linearized variance over groups (Binder, 1983) to that of the recalls alone. In few groups such
    metrics are too low on average: the jackknife's bias moves one end.
    """
    assert metric.of_matrices is not None  # noqa: S101
    matrix = confusion_matrices(seen, np.ones((1, len(seen.labels)), np.int64))[0]
    present, images = _class_ends(matrix, seen, codes, alpha)
    recall = recalls(matrix)[present]
    limits = exact_limits(recall, images, alpha)
    value = float(metric.of_matrices(matrix))
    down = up = slopes = 0.0
    gradient = cell_influence(metric.of_matrices, matrix) / matrix.sum()
    for place, label in enumerate(present):
        calls = _mistakes(matrix[label], label, present)
        row = matrix[label].sum()
        moved = np.repeat(matrix[None], 2, axis=0)
        for end, limit in enumerate((limits[0][place], limits[1][place])):
            moved[end, label] = row * (1 - limit) * calls
            moved[end, label, label] = row * limit
        found = metric.of_matrices(moved)
        down += max(value - float(found.min()), 0.0) ** 2
        up += max(float(found.max()) - value, 0.0) ** 2
        slope = row * (gradient[label, label] - float((calls * gradient[label]).sum()))
        slopes += slope**2 * recall[place] * (1 - recall[place]) / images[place]
    # A class that is called and has no image here counts as never right: what it is, nothing tells.
    known = float(metric.of_matrices(_without_absent(matrix, present)))
    groups = len(np.unique(codes))
    # Each class's own mean takes a degree of freedom.
    whole = clustered_variance(gradient[seen.labels, seen.predicted] * matrix.sum(), codes)
    whole *= (groups - 1) / max(groups - len(present), 1)
    wider = math.sqrt(max(whole / slopes, 1.0)) if slopes > 0 else 1.0
    least = -1.0 if metric.key == "matthews_correlation" else 0.0
    wider *= few_groups_widen(gradient[seen.labels, seen.predicted], codes, alpha)
    bias = jackknife_bias(metric.of_matrices, seen, codes)
    evened = float(metric.of_matrices(with_shares_evened(matrix, seen, codes, present)))
    centres = (value, known, value - bias, evened)
    lowest, highest = min(centres) - wider * math.sqrt(down), max(centres) + wider * math.sqrt(up)
    return max(lowest, least), min(highest, 1.0)


def few_groups_widen(influence: Floats, codes: Codes, alpha: float) -> float:
    """Student's quantile over the normal one, where few of the groups bring most of the variance; 1 without groups.

    Degrees of freedom by Satterthwaite (1946) from the groups' own contributions: what one group in twenty does says as
    little of how much groups vary as one group alone.
    """
    squares = np.bincount(codes, weights=influence) ** 2
    if len(squares) == len(codes):
        return 1.0
    total = float((squares**2).sum())
    freedom = max(float(squares.sum()) ** 2 / total - 1, LEAST_FREEDOM) if total > 0 else math.inf
    return student_quantile(alpha / 2, freedom) / normal_quantile(alpha / 2)


def with_shares_evened(matrix: Matrices, seen: Predictions, codes: Codes, present: Codes) -> Matrices:
    """The same with the classes' shares drawn together, as far as they may differ by chance alone (James, Stein, 1961).

    A class of few groups may have half the images here that it has in truth: its precision, and so its F1, is then too
    low, and what others gain is less. A class that is called and has no image here is taken to be right as often as all
    classes together. Sums to 1.
    """
    called = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1) > 0)
    cells = np.unique(codes * len(matrix) + seen.labels)
    groups = np.bincount(cells % len(matrix), minlength=len(matrix))[called].astype(np.float64)
    shares = matrix[called].sum(axis=1) / matrix.sum()
    equal = 1 / len(called)
    apart = float(((groups / groups.sum() - equal) ** 2).sum())
    # What a draw of so many groups from equal classes stays below in 95 % (Pearson's statistic).
    chance = equal / groups.sum() * chi_square_quantile(0.05, max(len(called) - 1, 1))
    kept = max(1 - chance / apart, 0.0) if apart > 0 else 0.0
    found = np.zeros(matrix.shape)
    right = float(np.nanmean(recalls(matrix)[present]))
    for label, share in zip(called, equal + kept * (shares - equal), strict=True):
        row = matrix[label]
        if row.sum() > 0:
            found[label] = share * row / row.sum()
        else:
            found[label, called] = share * (1 - right) / max(len(called) - 1, 1)
            found[label, label] = share * right
    return found


def _without_absent(matrix: Matrices, present: Codes) -> Matrices:
    """The same with mistakes for classes that have no images called others of the classes that have, if any has."""
    if len(present) == 1:
        return matrix
    absent = np.setdiff1d(np.arange(len(matrix)), present)
    moved = matrix.copy()
    moved[:, absent] = 0.0
    for label in present:
        others = np.setdiff1d(present, [label])
        moved[label, others] += matrix[label, absent].sum() / len(others)
    return moved


def _mistakes(row: Floats, label: int, present: Codes) -> Floats:
    """What a class's mistakes are called, shares; one more is spread over the classes that have images, if any has."""
    others = np.setdiff1d(present if len(present) > 1 else np.arange(len(row)), [label])
    calls = row.copy()
    calls[others] += 1 / len(others)
    calls[label] = 0.0
    return np.asarray(calls / calls.sum())


def _ranking_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    """Of the area under precision-recall curves: a share of the class's images (Boyd, Eng and Page, 2013), by class."""
    labels = metric.labels(seen)
    down = up = value = apart = 0.0
    influences = np.zeros(len(seen.labels))
    for label in labels:
        area, influence = ranking_influence(seen, label)
        inside = seen.labels == label
        most = effective_images(np.ones(inside.sum()), codes[inside], alpha)
        spread = clustered_variance(influence, codes)
        effective = area * (1 - area) / spread if spread > 0 else most
        sizes = np.unique(codes[inside], return_counts=True)[1].astype(np.float64)
        effective = min(effective * student_factor(sizes, 1.0, alpha), float(inside.sum()))
        low, high = share_interval(area, max(effective, 1.0), alpha)
        value += area / len(labels)
        down += ((area - low) / len(labels)) ** 2
        up += ((high - area) / len(labels)) ** 2
        apart += spread / len(labels) ** 2
        influences += influence / len(labels)
    # Classes that take each other's places vary together: of two classes wholly.
    together = clustered_variance(influences, codes) / apart if apart > 0 else 2.0
    wider = math.sqrt(max(together, 1.0)) if len(labels) > 1 else 1.0
    return max(value - wider * math.sqrt(down), 0.0), min(value + wider * math.sqrt(up), 1.0)


def _ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    """Of any metric, by its kind."""
    return _ENDS[metric.interval](metric, seen, codes, alpha)


def _label_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    return label_ends(metric, seen, codes, alpha, _ends)


def _ratio_ends(metric: Metric, seen: Predictions, codes: Codes, alpha: float) -> Ends:
    return ratio_ends(seen, codes, alpha, share_interval)


_ENDS: dict[str, Callable[[Metric, Predictions, Codes, float], Ends]] = {
    "mean": _mean_ends,
    "worst": _worst_ends,
    "matrix": _matrix_ends,
    "ranking": _ranking_ends,
    "labels": _label_ends,
    "ratio": _ratio_ends,
    "numbers": number_ends,
}
