"""Tables of a model's results where images have numbers: by parts of the range, as there are no classes."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import metric_of
from pipeline.metrics.number_measures import numbers_of
from pipeline.metrics.predictions import Predictions, predictions_of_numbers
from pipeline.problem.quantities import Quantity, binned, quantile_edges

# Parts of the range, with about equally many images each.
BINS = 5
COLUMNS = ("label", "images", "mean_error", "mean_absolute_error", "low", "high")
RELIABILITY = ("confidence", "accuracy", "perfect", "images")


def per_bin(seen: Predictions, groups: "pd.Series[str]") -> pd.DataFrame:
    """A row for each fifth of the numbers: images, mean error (prediction minus number), mean absolute error.

    `low` and `high` are the ends of the 95 % interval of the latter; empty where fewer than 15 groups tell about it.
    """
    numbers, bins = numbers_of(seen), bins_of_truth(seen)
    metric = metric_of(METRICS["mean_absolute_error"].params(name="mean_absolute_error"), seen.classes)
    rows = []
    for name in np.unique(bins).tolist():
        inside = bins == name
        truth, predicted = numbers.truth[inside], numbers.predicted[inside]
        part = predictions_of_numbers(Quantity(seen.classes), truth, predicted)
        ends = metric_interval(metric, part, groups[inside])
        mean = float((predicted - truth).mean())
        rows.append((name, int(inside.sum()), mean, metric.value(part), *(ends or (np.nan, np.nan))))
    return pd.DataFrame(rows, columns=[*COLUMNS])


def bin_confusion(seen: Predictions) -> pd.DataFrame:
    """One row per image, `actual` and `predicted`: the fifths of the numbers in which both lie."""
    numbers = numbers_of(seen)
    edges = quantile_edges(numbers.truth, BINS)
    rows = pd.DataFrame({"actual": binned(numbers.truth, edges), "predicted": binned(numbers.predicted, edges)})
    return rows.sort_values(["actual", "predicted"], ignore_index=True)


def bins_of_truth(seen: Predictions) -> npt.NDArray[np.object_]:
    """The fifth of the numbers in which each image's lies, shape (n,)."""
    numbers = numbers_of(seen)
    return binned(numbers.truth, quantile_edges(numbers.truth, BINS))


def no_reliability() -> pd.DataFrame:
    """As calibration.reliability, without rows: a model of numbers says no confidence."""
    return pd.DataFrame({name: pd.Series(dtype=np.float64) for name in RELIABILITY})
