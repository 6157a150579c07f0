"""A model's predictions as checked numbers: class codes and probabilities, sets of labels, or what was measured."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.problem.label_sets import LabelNames, membership
from pipeline.problem.quantities import Quantity, numbers_in

# Columns of predictions that hold a class's probability start so.
PROBABILITY = "probability_"
# Those of a label's, where an image may have several: they do not add up to 1. Another word, so that what takes one
# for the other finds nothing.
LABEL_PROBABILITY = "label_probability_"
# The column of predictions that holds the predicted number of what its name goes on with starts so.
NUMBER = "number_"


@dataclass(frozen=True)
class Sets:
    """Which labels each image has, and which were predicted; shape (n, k) both."""

    truth: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Numbers:
    """The number of each image, and the predicted one; shape (n,) both."""

    truth: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """Prediction minus number, shape (n,)."""
        return self.predicted - self.truth


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of images, in row order.

    labels, predicted: class numbers, shape (n,). probabilities: shape (n, k), or None where nobody wrote them down.
    sets: where an image may have several labels; labels and predicted are then numbers of whole sets, which say no more
        than whether both are equal.
    numbers: where images have a number instead of a class; labels and predicted say as little then.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.intp]
    predicted: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float64] | None
    sets: Sets | None = None
    numbers: Numbers | None = None

    @property
    def truth(self) -> npt.NDArray[Any]:
        """Class numbers (n,), which labels each image has (n, k), or the numbers (n,)."""
        if self.numbers is not None:
            return self.numbers.truth
        return self.labels if self.sets is None else self.sets.truth


def probability_columns(classes: tuple[str, ...]) -> list[str]:
    """The columns of predictions that hold the probabilities of classes, or of labels, or the predicted number."""
    if isinstance(classes, Quantity):
        return [f"{NUMBER}{name}" for name in classes]
    prefix = LABEL_PROBABILITY if isinstance(classes, LabelNames) else PROBABILITY
    return [f"{prefix}{name}" for name in classes]


def predictions_of_sets(
    names: LabelNames,
    truth: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64] | None,
) -> Predictions:
    """The predictions of images that may have several labels; truth and chosen: shape (n, k)."""
    _, numbers = np.unique(np.concatenate([truth, chosen]), axis=0, return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.intp)
    return Predictions(names, numbers[: len(truth)], numbers[len(truth) :], probabilities, Sets(truth, chosen))


def predictions_of_numbers(
    quantity: Quantity, truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]
) -> Predictions:
    """The predictions of images that have a number each; truth, predicted: shape (n,)."""
    _, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    labels, called = np.split(codes.reshape(-1).astype(np.intp), [len(truth)])
    return Predictions(quantity, labels, called, None, numbers=Numbers(truth, predicted))


def checked_predictions(predictions: pd.DataFrame, classes: tuple[str, ...]) -> Predictions:
    """The same of a table of predictions.

    Raises:
        DataError: a label is none of the classes, or a probability is no number.
    """
    columns = probability_columns(classes)
    found = predictions[columns].to_numpy(np.float64) if set(columns) <= set(predictions.columns) else None
    if found is not None:
        _check_finite(predictions, found)
    if isinstance(classes, Quantity):
        if found is None:
            raise DataError(f"the predictions lack the column {columns[0]}: run `dvc repro evaluate`")
        return predictions_of_numbers(classes, numbers_in(predictions["label"].to_numpy()), found[:, 0])
    if isinstance(classes, LabelNames):
        truth, chosen = (membership(predictions[name].to_numpy(), classes) for name in ("label", "predicted"))
        return predictions_of_sets(classes, truth, chosen, found)
    labels, predicted = (class_codes(predictions[name].to_numpy(), classes) for name in ("label", "predicted"))
    return Predictions(classes, labels, predicted, found)


def classes_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """All classes that have a probability or occur as label or prediction, sorted unless the model has an order.

    Of predictions of labels, where an image may have several, all labels; of numbers what was measured.
    """
    if measured := [name for name in predictions.columns if name.startswith(NUMBER)]:
        return Quantity(name.removeprefix(NUMBER) for name in measured)
    if several := [name for name in predictions.columns if name.startswith(LABEL_PROBABILITY)]:
        return LabelNames(sorted(name.removeprefix(LABEL_PROBABILITY) for name in several))
    named = [name.removeprefix(PROBABILITY) for name in predictions.columns if name.startswith(PROBABILITY)]
    occurring = set(predictions["label"].astype(str)) | set(predictions["predicted"].astype(str))
    found = [*named, *sorted(occurring - set(named))]
    return tuple(sorted(found) if named == sorted(named) else found)


def class_codes(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Positions of labels among the classes, shape (n,).

    Raises:
        DataError: a label is none of the classes.
    """
    codes = pd.Index(classes).get_indexer(pd.Index(labels.astype(str)))
    if (codes < 0).any():
        unknown = sorted(set(labels[codes < 0].astype(str)))
        raise DataError(
            f"the model does not know the classes {listing(unknown)}: it was trained on {listing(classes, 20)}. "
            "Train it on images of all classes (`dvc repro train`), or remove those classes from the sources"
        )
    return codes


def _check_finite(predictions: pd.DataFrame, probabilities: npt.NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(bad):
        ids = predictions["id"].iloc[bad] if "id" in predictions else bad
        raise DataError(
            f"the model predicts NaN or infinity for {len(bad)} of {len(predictions)} images ({listing(ids, 3)}): "
            "its weights are damaged, or training diverged; run `dvc repro train` with a smaller train.learning_rate"
        )
