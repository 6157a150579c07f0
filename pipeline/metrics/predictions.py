"""A model's predictions as checked numbers: class codes and probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing

# Columns of predictions that hold a class's probability start so.
PROBABILITY = "probability_"


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of images, in row order.

    labels, predicted: class numbers, shape (n,). probabilities: shape (n, k), or None where nobody wrote them down.
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.intp]
    predicted: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float64] | None


def checked_predictions(predictions: pd.DataFrame, classes: tuple[str, ...]) -> Predictions:
    """The same of a table of predictions.

    Raises:
        DataError: a label is none of the classes, or a probability is no number.
    """
    columns = [f"{PROBABILITY}{name}" for name in classes]
    found = predictions[columns].to_numpy(np.float64) if set(columns) <= set(predictions.columns) else None
    if found is not None:
        _check_finite(predictions, found)
    labels, predicted = (class_codes(predictions[name].to_numpy(), classes) for name in ("label", "predicted"))
    return Predictions(classes, labels, predicted, found)


def classes_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """All classes that have a probability or occur as label or prediction, sorted unless the model has an order."""
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
