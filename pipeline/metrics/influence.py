"""What each image adds to a metric's error (influence functions), and variances from it over groups.

A metric's variance is that of the sum of its influences, group by group (linearization: Binder, 1983; Efron and
Tibshirani, 1993, ch. 22). No resamples, so no seed.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.metrics.bootstrap import Values
from pipeline.metrics.confusion import Matrices, confusion_matrices
from pipeline.metrics.label_measures import f1_counts, one_label
from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions

Floats = npt.NDArray[np.float64]
# Share of the images by which a cell of the matrix is moved.
STEP = 1e-6
# Cells of matrices that are in memory at one time.
MAX_CELLS = 4_000_000


def clustered_variance(influence: Floats, codes: npt.NDArray[np.intp]) -> float:
    """Of the mean of influences (n,) with mean 0, where whole groups are drawn (codes from 0, shape (n,))."""
    sums = np.bincount(codes, weights=influence)
    groups = len(np.unique(codes))
    return float((sums**2).sum()) * groups / max(groups - 1, 1) / len(influence) ** 2


def image_influence(metric: Metric, seen: Predictions) -> Floats:
    """The influence of each image on a metric, shape (n,), mean 0."""
    if metric.log_influence is not None:
        value = metric.value(seen)
        # Of R2, what it lacks of 1: the more of that, the less of R2.
        return metric.log_influence(seen) * (value - 1 if metric.maximise else value)
    if metric.interval == "labels":
        return _label_influence(metric, seen)
    if metric.interval == "ratio":
        return ratio_influence(*f1_counts(seen))
    if metric.interval == "ranking":
        labels = metric.labels(seen)
        return np.asarray(sum(ranking_influence(seen, label)[1] for label in labels) / len(labels))
    if metric.interval == "mean":
        counted, losses = metric.counted(seen), metric.losses(seen)
        centred = np.where(counted, losses - losses[counted].mean(), 0.0) * (len(losses) / counted.sum())
        return np.asarray(-centred if metric.maximise else centred)
    assert metric.of_matrices is not None  # noqa: S101
    matrix = confusion_matrices(seen, np.ones((1, len(seen.labels)), np.int64))[0]
    return np.asarray(cell_influence(metric.of_matrices, matrix)[seen.labels, seen.predicted])


def _label_influence(metric: Metric, seen: Predictions) -> Floats:
    """Of a metric that is put together from those of labels; of the smallest value, that of its label."""
    assert metric.of_one_label is not None  # noqa: S101
    views = [one_label(seen, label) for label in (range(len(seen.classes)) if metric.label is None else [metric.label])]
    values = [metric.of_one_label.value(view) for view in views]
    known = [(value, view) for value, view in zip(values, views, strict=True) if np.isfinite(value)]
    if metric.take == "worst":
        return image_influence(metric.of_one_label, min(known, key=lambda pair: pair[0])[1])
    return np.asarray(sum(image_influence(metric.of_one_label, view) for _, view in known) / len(known))


def ratio_influence(parts: Floats, wholes: Floats) -> Floats:
    """The influence of each image on the sum of parts over that of wholes, shape (n,), mean 0 (Cochran, 1977, 6.3)."""
    return np.asarray((parts - parts.sum() / wholes.sum() * wholes) / wholes.mean())


def cell_influence(of_matrices: Callable[..., Values], matrix: Matrices) -> Matrices:
    """The influence of an image in each cell that has images, shape (k, k), by differences; 0 in the others."""
    count, images = len(matrix), float(matrix.sum())
    cells = np.flatnonzero(matrix.ravel())
    value = float(of_matrices(matrix))
    found = np.zeros(count**2)
    size = max(1, MAX_CELLS // count**2)
    for start in range(0, len(cells), size):
        part = cells[start : start + size]
        moved = np.repeat(matrix.reshape(1, -1), len(part), axis=0)
        moved[np.arange(len(part)), part] += STEP * images
        found[part] = (of_matrices(moved.reshape(-1, count, count)) - value) / STEP
    return found.reshape(count, count)


def jackknife_bias(of_matrices: Callable[..., Values], seen: Predictions, codes: npt.NDArray[np.intp]) -> float:
    """How far a metric lies from the truth on average, from leaving out each group (Efron, Tibshirani, 1993, ch. 11).

    Groups that are all that there is of a class stay. 0 where groups and classes are many: it is small there.
    """
    count, names = len(seen.classes), np.unique(codes)
    if len(names) * count**2 > MAX_CELLS:
        return 0.0
    place = np.searchsorted(names, codes)
    cells = (place * count + seen.labels) * count + seen.predicted
    of_groups = np.bincount(cells, minlength=len(names) * count**2).reshape(-1, count, count).astype(np.float64)
    whole = of_groups.sum(axis=0)
    left = whole - of_groups
    usable = left[((left.sum(axis=2) > 0) | (whole.sum(axis=1) == 0)).all(axis=1)]
    if not len(usable):
        return 0.0
    return float((of_matrices(usable) - of_matrices(whole)).sum()) * (len(names) - 1) / len(names)


def ranking_influence(seen: Predictions, label: int) -> tuple[float, Floats]:
    """The average precision of one class, and the influence of each image on it, shape (n,).

    An image of the class brings its own precision; each image changes that of all images of the class that stand
    below it or beside it.
    """
    assert seen.probabilities is not None  # noqa: S101
    scores = seen.probabilities[:, label]
    positive = (seen.labels == label).astype(np.float64)
    thresholds, place = np.unique(-scores, return_inverse=True)
    hits = np.bincount(place, weights=positive, minlength=len(thresholds))
    named = np.cumsum(np.bincount(place, minlength=len(thresholds)))
    precision = np.cumsum(hits) / named
    images, total = len(scores), hits.sum()
    area = float((hits * precision).sum() / total)
    # From each threshold downwards: what one image more, of the class or not, changes.
    below = np.cumsum((hits / named)[::-1])[::-1]
    lost = np.cumsum((hits * precision / named)[::-1])[::-1]
    change = positive * (precision[place] - area) + positive * below[place] - lost[place]
    return area, change * images / total
