"""The metric that params name: how to compute it, and which of two values is better."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, ParamsError, listing
from pipeline.metrics.bootstrap import Values, Weights, resamples
from pipeline.metrics.confusion import Matrices, confusion_matrices
from pipeline.metrics.label_measures import BINARY, Take, one_label, taken_of_labels
from pipeline.metrics.measures import METRICS, IntervalKind
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.number_measures import LogInfluence
from pipeline.metrics.predictions import Predictions, predictions_of_numbers, predictions_of_sets
from pipeline.problem.framing import Decide, likeliest
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import VALUE, Quantity

OfMatrices = Callable[[Matrices], Values]
OfRows = Callable[[Predictions, Weights], Values]
# Losses (n,), and the largest that an image can have.
OfImages = Callable[[Predictions], tuple[npt.NDArray[np.float64], float]]
# The threshold of each label while training; the model's own are chosen once it is fitted.
HALF = 0.5


@dataclass(frozen=True)
class Metric:
    """A number that judges a model; `key` names it in reports. Higher is better, unless it is minimised.

    Exactly one of `of_matrices`, from confusion matrices (m, k, k), and `of_rows`, from the images and how often each
    counts (m, n), computes m values. `interval` names how its interval is made; `of_images` are the losses of which a
    mean is made; `label` is the number of the one class that it is about; `costs` [actual, predicted] are its table.
    Where images may have several labels, it may instead be put together from `of_one_label`, about the class "yes" of
    "no" and "yes", as `take` says.
    `decide`: what is predicted of probabilities, while an epoch is counted. Where images have numbers, `log_influence`
    is what its interval is made of, and `deviation` that of train's numbers, in which losses are counted.
    """

    key: str
    maximise: bool = True
    of_matrices: OfMatrices | None = field(default=None, repr=False)
    of_rows: OfRows | None = field(default=None, repr=False)
    interval: IntervalKind = "matrix"
    of_images: OfImages | None = field(default=None, repr=False)
    label: int | None = None
    costs: Matrices | None = field(default=None, repr=False, compare=False)
    of_one_label: "Metric | None" = field(default=None, repr=False)
    take: Take = "mean"
    decide: Decide = field(default=likeliest, repr=False, compare=False)
    log_influence: LogInfluence | None = field(default=None, repr=False)
    deviation: float = field(default=1.0, repr=False, compare=False)

    @property
    def judges_numbers(self) -> bool:
        """Whether it is about numbers, not about classes or labels."""
        return self.log_influence is not None

    def counted(self, seen: Predictions) -> npt.NDArray[np.bool_]:
        """Whether each image tells about the metric, shape (n,): those of its class, if it is about one."""
        if self.label is None:
            return np.ones(len(seen.labels), bool)
        return seen.labels == self.label if seen.sets is None else seen.sets.truth[:, self.label]

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
        if self.of_one_label is not None:
            return taken_of_labels(np.stack(list(self._by_label(checked_predictions, weights))), self.take)
        if self.of_matrices is not None:
            return self.of_matrices(confusion_matrices(checked_predictions, weights))
        assert self.of_rows is not None  # noqa: S101
        return self.of_rows(checked_predictions, weights)

    def _by_label(self, seen: Predictions, weights: Weights) -> Iterator[Values]:
        assert self.of_one_label is not None  # noqa: S101
        for label in range(len(seen.classes)) if self.label is None else [self.label]:
            yield self.of_one_label.values(one_label(seen, label), weights)

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
        return (self.of_rows is not None and not self.judges_numbers) or (
            self.of_one_label is not None and self.of_one_label.needs_probabilities
        )

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
    if isinstance(classes, LabelNames):
        return _metric_of_sets(choice, classes)
    if isinstance(classes, Quantity):
        return _metric_of_numbers(choice)
    if row.of_numbers is not None:
        raise ParamsError(of_numbers_alone(choice.name))
    if row.of_matrices is None and row.of_rows is None:
        raise ParamsError(
            f"the metric {choice.name} is for images with several labels (problem multi_label): take another one"
        )
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


def _metric_of_sets(choice: MetricParams, names: LabelNames) -> Metric:
    row = METRICS.of(choice)
    if row.of_numbers is not None:
        raise ParamsError(of_numbers_alone(choice.name))
    if row.of_sets is not None:
        kind: IntervalKind = "ratio" if row.of_images is None else "mean"
        return Metric(key_of(choice), of_rows=row.of_sets, interval=kind, of_images=row.of_images)
    if row.of_labels is None:
        raise ParamsError(without_meaning(choice.name))
    one = metric_of(METRICS[row.of_labels.metric].params(name=row.of_labels.metric, label="yes"), BINARY)
    label = row.bind(choice, names)["label"] if row.of_labels.take == "one" else None
    return Metric(key_of(choice), interval="labels", label=label, of_one_label=one, take=row.of_labels.take)


def _metric_of_numbers(choice: MetricParams) -> Metric:
    row = METRICS.of(choice)
    if row.of_numbers is None:
        raise ParamsError(not_of_numbers(choice.name))
    return Metric(
        key_of(choice), row.maximise, of_rows=row.of_numbers, interval=row.interval, log_influence=row.log_influence
    )


def not_of_numbers(name: str) -> str:
    """What to say of a metric of classes where images have a number each."""
    known = [row.name for row in METRICS.values() if row.of_numbers is not None]
    return f"the metric {name} is about classes, and with problem regression an image has a number: take one of " + (
        listing(known, 20)
    )


def of_numbers_alone(name: str) -> str:
    """What to say of a metric of numbers where images have classes or labels."""
    return f"the metric {name} is about numbers (problem regression): take another one"


def without_meaning(name: str) -> str:
    """What to say of a metric that has no meaning where images may have several labels."""
    known = [row.name for row in METRICS.values() if row.of_sets is not None or row.of_labels is not None]
    return (
        f"the metric {name} needs exactly one class per image, and with problem multi_label an image may have several "
        f"labels: take one of {listing(known, 20)}"
    )


def check_defined(metric: Metric, labels: npt.NDArray[Any], classes: tuple[str, ...], split: str) -> None:
    """Raise DataError unless the metric is defined for images with these class numbers (n,), labels (n, k) or numbers.

    Raises:
        DataError: it is not defined, because no image has the class that it is about, or all numbers are equal.
    """
    perfect = _perfect(labels, classes)
    if metric.judges_numbers and np.isnan(metric.value(perfect)):
        raise DataError(
            f"evaluate.optimizing {metric.key} is not defined on {split}, whose images all have the same number: add "
            "others, or choose mean_absolute_error"
        )
    if np.isnan(metric.value(perfect)):
        raise DataError(
            f"evaluate.optimizing {metric.key} is not defined on {split}, which has no images of that class: "
            "add some (split.min_per_class, split.train_dev), or choose another metric"
        )


def _perfect(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> Predictions:
    if isinstance(classes, LabelNames):
        truth = labels.astype(np.bool_)
        return predictions_of_sets(classes, truth, truth, truth.astype(np.float64))
    if isinstance(classes, Quantity):
        numbers = labels.astype(np.float64)
        return predictions_of_numbers(classes, numbers, numbers)
    return Predictions(classes, labels, labels, np.eye(len(classes))[labels])


def plain_metrics(classes: tuple[str, ...]) -> Iterator[Metric]:
    """All metrics without arguments that make sense for these classes."""
    for name, row in METRICS.items():
        if set(row.params.model_fields) == {"name"} and row.fits(classes):
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
        """Count a batch: class numbers (n,) and probabilities (n, k).

        Or whether each has each label (n, k); or numbers (n,) and the predicted ones (n, 1).
        """
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
        if self._metric.judges_numbers:
            numbers = labels.astype(np.float64)
            return self._metric.value(predictions_of_numbers(Quantity((VALUE,)), numbers, probabilities[:, 0]))
        if labels.ndim > 1:
            names, truth = LabelNames(self._classes), labels.astype(np.bool_)
            return self._metric.value(predictions_of_sets(names, truth, probabilities >= HALF, probabilities))
        return self._metric.value(Predictions(self._classes, labels, self._metric.decide(probabilities), probabilities))
