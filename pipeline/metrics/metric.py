"""The metric that params name: how to compute it, and which of two values is better."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError
from pipeline.framing import Decide, likeliest
from pipeline.metrics.bootstrap import Values, Weights, resamples
from pipeline.metrics.confusion import Matrices, confusion_matrices
from pipeline.metrics.measures import METRICS, IntervalKind
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions

OfMatrices = Callable[[Matrices], Values]
OfRows = Callable[[Predictions, Weights], Values]
# Losses (n,), and the largest that an image can have.
OfImages = Callable[[Predictions], tuple[npt.NDArray[np.float64], float]]


@dataclass(frozen=True)
class Metric:
    """A number that judges a model; `key` names it in reports. Higher is better, unless it is minimised.

    Exactly one of `of_matrices`, from confusion matrices (m, k, k), and `of_rows`, from the images and how often each
    counts (m, n), computes m values. `interval` names how its interval is made; `of_images` are the losses of which a
    mean is made; `label` is the number of the one class that it is about; `costs` [actual, predicted] are its table.
    `decide`: what is predicted of probabilities, while an epoch is counted.
    """

    key: str
    maximise: bool = True
    of_matrices: OfMatrices | None = field(default=None, repr=False)
    of_rows: OfRows | None = field(default=None, repr=False)
    interval: IntervalKind = "matrix"
    of_images: OfImages | None = field(default=None, repr=False)
    label: int | None = None
    costs: Matrices | None = field(default=None, repr=False, compare=False)
    decide: Decide = field(default=likeliest, repr=False, compare=False)

    def counted(self, seen: Predictions) -> npt.NDArray[np.bool_]:
        """Whether each image tells about the metric, shape (n,): those of its class, if it is about one."""
        return np.ones(len(seen.labels), bool) if self.label is None else seen.labels == self.label

    def labels(self, seen: Predictions) -> list[int]:
        """The numbers of the classes that it is about, of those that have images."""
        present: list[int] = np.flatnonzero(np.bincount(seen.labels, minlength=len(seen.classes))).tolist()
        return present if self.label is None else [self.label]

    def losses(self, seen: Predictions) -> npt.NDArray[np.float64]:
        """Of a mean over images: what each lacks, or costs, shape (n,)."""
        assert self.of_images is not None  # noqa: S101
        return self.of_images(seen)[0]

    def largest_loss(self, seen: Predictions) -> float:
        """What an image can lack or cost, or about that where there is no bound."""
        assert self.of_images is not None  # noqa: S101
        return self.of_images(seen)[1]

    def values(self, checked_predictions: Predictions, weights: Weights) -> Values:
        """A value for each row of weights (m, n), shape (m,); NaN where it is not defined."""
        if self.of_matrices is not None:
            return self.of_matrices(confusion_matrices(checked_predictions, weights))
        assert self.of_rows is not None  # noqa: S101
        return self.of_rows(checked_predictions, weights)

    def value(self, checked_predictions: Predictions) -> float:
        """The value, each image counted once."""
        return float(self.values(checked_predictions, np.ones((1, len(checked_predictions.labels)), np.int64))[0])

    def resampled(
        self, checked_predictions: Predictions, groups: "pd.Series[Any]", count: int, seed: int, purpose: str
    ) -> Values:
        """Bootstrap values over groups (n,), shape (count,)."""
        return np.concatenate(
            [self.values(checked_predictions, part) for part in resamples(groups, count, seed, purpose)]
        )

    @property
    def needs_probabilities(self) -> bool:
        """Whether names of classes are not enough."""
        return self.of_rows is not None

    def better(self, new: float, old: float) -> bool:
        """Whether a value beats another."""
        return new > old if self.maximise else new < old


def key_of(choice: MetricParams) -> str:
    """The name of a metric in reports."""
    about = getattr(choice, "label", getattr(choice, "level", None))
    return choice.name if about is None else f"{choice.name}_{about}"


def metric_of(choice: MetricParams, classes: tuple[str, ...]) -> Metric:
    """The metric that params name, for a model with these classes.

    Raises:
        ParamsError: it names a class that the model lacks, or needs a different number of classes.
    """
    row = METRICS.of(choice)
    bound = row.bind(choice, classes)
    return Metric(
        key_of(choice),
        row.maximise,
        of_matrices=None if row.of_matrices is None else partial(row.of_matrices, **bound),
        of_rows=None if row.of_rows is None else partial(row.of_rows, **bound),
        interval=row.interval,
        of_images=None if row.of_images is None else partial(row.of_images, **bound),
        label=bound.get("label"),
        costs=bound.get("costs"),
    )


def check_defined(metric: Metric, labels: npt.NDArray[np.intp], classes: tuple[str, ...], split: str) -> None:
    """Raise DataError unless the metric is defined for images with these class numbers, (n,).

    Raises:
        DataError: it is not defined, because no image has the class that it is about.
    """
    perfect = Predictions(classes, labels, labels, np.eye(len(classes))[labels])
    if np.isnan(metric.value(perfect)):
        raise DataError(
            f"evaluate.optimizing {metric.key} is not defined on {split}, which has no images of that class: "
            "add some (split.min_per_class, split.train_dev), or choose another metric"
        )


def plain_metrics(classes: tuple[str, ...]) -> Iterator[Metric]:
    """All metrics without arguments that make sense for these classes."""
    for name, row in METRICS.items():
        if set(row.params.model_fields) == {"name"} and row.classes in {None, len(classes)}:
            yield metric_of(row.params(name=name), classes)


class Tally:
    """A metric over the batches of an epoch; of the images only what the metric needs is kept."""

    def __init__(self, metric: Metric, classes: int) -> None:
        self._metric = metric
        self._classes = tuple(map(str, range(classes)))
        self._matrix: Matrices = np.zeros((classes, classes))
        self._labels: list[npt.NDArray[np.intp]] = []
        self._probabilities: list[npt.NDArray[np.float64]] = []

    def add(self, labels: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> None:
        """Count a batch: class numbers (n,) and probabilities (n, k)."""
        if self._metric.of_matrices is None:
            self._labels.append(labels)
            self._probabilities.append(probabilities.astype(np.float64))
        else:
            batch = Predictions(self._classes, labels, self._metric.decide(probabilities), None)
            self._matrix += confusion_matrices(batch, np.ones((1, len(labels)), np.int64))[0]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the batches so far left behind, for `go_on`."""
        if self._metric.of_matrices is not None:
            return {"matrix": self._matrix.copy()}
        return {"labels": np.concatenate(self._labels), "probabilities": np.concatenate(self._probabilities)}

    def go_on(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Count on from there."""
        if self._metric.of_matrices is not None:
            self._matrix = state["matrix"]
        else:
            self._labels, self._probabilities = [state["labels"]], [state["probabilities"]]

    @property
    def value(self) -> float:
        """The metric over all batches so far."""
        if self._metric.of_matrices is not None:
            return float(self._metric.of_matrices(self._matrix))
        labels, probabilities = np.concatenate(self._labels), np.concatenate(self._probabilities)
        return self._metric.value(Predictions(self._classes, labels, self._metric.decide(probabilities), probabilities))
