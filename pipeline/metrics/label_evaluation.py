"""Tables of a model's results where an image may have several labels: each label by itself."""

import numpy as np
import pandas as pd

from pipeline.metrics.calibration import reliability
from pipeline.metrics.class_measures import ClassF1, ClassRecall
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.label_measures import BINARY, one_label, sets_of
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.probability_measures import ClassPrAuc, probabilities_of

COLUMNS = (
    "label",
    "images",
    "recall",
    "precision",
    "f1",
    "f1_low",
    "f1_high",
    "average_precision",
    "ap_low",
    "ap_high",
)


def per_label(seen: Predictions, groups: "pd.Series[str]") -> pd.DataFrame:
    """A row for each label: images that have it, recall, precision, F1 and average precision with 95 % intervals.

    Cells are empty where a value is not defined, or fewer than 15 independent groups tell about it.
    """
    sets, rows = sets_of(seen), []
    f1, area, recall = (
        metric_of(params, BINARY)
        for params in (
            ClassF1(name="class_f1", label="yes"),
            ClassPrAuc(name="class_pr_auc", label="yes"),
            ClassRecall(name="class_recall", label="yes"),
        )
    )
    for number, name in enumerate(seen.classes):
        view = one_label(seen, number)
        named, images = int(sets.chosen[:, number].sum()), int(sets.truth[:, number].sum())
        right = int((sets.chosen & sets.truth)[:, number].sum())
        precision = right / named if named else np.nan
        rows.append(
            (
                *(name, images, recall.value(view), precision),
                *(*_with_ends(f1, view, groups), *_with_ends(area, view, groups)),
            )
        )
    return pd.DataFrame(rows, columns=[*COLUMNS])


def _with_ends(metric: Metric, view: Predictions, groups: "pd.Series[str]") -> tuple[float, float, float]:
    value = metric.value(view)
    ends = metric_interval(metric, view, groups) if view.labels.any() else None
    return value, *(ends or (np.nan, np.nan))


def label_confusion(seen: Predictions) -> pd.DataFrame:
    """One row per image and label, `actual` and `predicted`: the label, or `not` and the label."""
    sets = sets_of(seen)
    names = np.array([[f"not {name}", name] for name in seen.classes], object)
    numbers = np.arange(len(seen.classes))[None, :]
    columns = {"actual": sets.truth, "predicted": sets.chosen}
    rows = pd.DataFrame({name: names[numbers, flags.astype(np.intp)].ravel() for name, flags in columns.items()})
    return rows.sort_values(["actual", "predicted"], ignore_index=True)


def label_reliability(seen: Predictions, bins: int) -> pd.DataFrame:
    """As calibration.reliability, of all labels of all images: the probability of a label, and whether it is there."""
    return reliability(probabilities_of(seen).ravel(), sets_of(seen).truth.ravel(), bins)
