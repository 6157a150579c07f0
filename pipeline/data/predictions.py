"""Predictions of manifest rows: by this machine, or spread over a cluster; and the table that they make."""

from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import batches
from pipeline.manifest import DEV
from pipeline.metrics.predictions import probability_columns
from pipeline.models.files import TrainedModel
from pipeline.models.prediction import predict
from pipeline.models.thresholds import Thresholds, cross_fitted
from pipeline.problem.framing import UNRELATED, Framing, decision
from pipeline.problem.label_sets import LabelNames, texts_of
from pipeline.problem.quantities import Quantity
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine
from pipeline.workers.libraries import keep_freed_tensors
from pipeline.workers.progress import progress

# Fixed, because the size of a batch shows in the last digits of a prediction.
PREDICTION_BATCH = 256
# Digits of a predicted number in texts; its own column has all.
SHOWN_DIGITS = 6
# Of predictions of numbers, which have none.
NO_CONFIDENCE = 0.0


# Rows that a machine of a cluster takes at once: whole batches, so that each holds the same rows as on one machine.
PART_ROWS = 4 * PREDICTION_BATCH


def predict_rows(
    model: TrainedModel, manifest: pd.DataFrame, images: ShardReader, threads: int, engine: Engine, title: str
) -> pd.DataFrame:
    """The model's prediction for each row: the columns of manifest.PREDICTIONS and each class's probability, in order.

    Raises:
        DataError: a row's class is unknown to the model, or its pixels cannot be read.
    """
    keep_freed_tensors()
    if engine.distributed and len(manifest) > PART_ROWS:
        parts = [manifest.iloc[start : start + PART_ROWS] for start in range(0, len(manifest), PART_ROWS)]
        work = partial(_probabilities, model=model, images=images, threads=threads)
        probabilities = np.concatenate(engine.map(work, parts, title, size=len))
    else:
        dataset = RowDataset(manifest, images, model.classes, model.size)
        with progress(title, len(dataset)) as advance, batches(dataset, PREDICTION_BATCH, engine) as loader:
            probabilities = predict(model.network, loader, threads, advance, engine.workers, model.outputs)
    return prediction_table(manifest, model.classes, probabilities, model.framing, model.thresholds)


def _probabilities(
    manifest: pd.DataFrame, model: TrainedModel, images: ShardReader, threads: int
) -> npt.NDArray[np.float32]:
    """Of some rows, by a machine of a cluster."""
    keep_freed_tensors()
    with batches(RowDataset(manifest, images, model.classes, model.size), PREDICTION_BATCH, Engine(1)) as loader:
        return predict(model.network, loader, threads, lambda _: None, 1, model.outputs)


def prediction_table(
    manifest: pd.DataFrame,
    classes: tuple[str, ...],
    probabilities: npt.NDArray[np.float32],
    framing: Framing = UNRELATED,
    thresholds: Thresholds | None = None,
) -> pd.DataFrame:
    """The same table for rows whose probabilities (n, k), or numbers (n, 1), are known.

    Args:
        thresholds: of labels, where an image may have several. They were chosen on dev: its own rows get others, that
            were chosen without their group.
    """
    if isinstance(classes, Quantity):
        return _table_of_numbers(manifest, classes, probabilities[:, 0])
    if isinstance(classes, LabelNames):
        return _table_of_sets(manifest, classes, probabilities, thresholds or Thresholds.halves(len(classes), "f1"))
    predicted = decision(framing, len(classes))(probabilities)
    return manifest[["id", "group", "split", "label"]].assign(
        predicted=np.array(classes)[predicted],
        confidence=probabilities[np.arange(len(predicted)), predicted],
        **dict(zip(probability_columns(classes), probabilities.T, strict=True)),
    )


def _table_of_numbers(manifest: pd.DataFrame, quantity: Quantity, predicted: npt.NDArray[np.float32]) -> pd.DataFrame:
    """Each row's number as its label, and the predicted one; nothing says how confident a model of numbers is."""
    numbers, places = np.unique(predicted, return_inverse=True)
    texts = np.array([f"{number:.{SHOWN_DIGITS}g}" for number in numbers.tolist()], object)
    return manifest[["id", "group", "split", "label"]].assign(
        predicted=texts[places.reshape(-1)],
        confidence=np.full(len(predicted), NO_CONFIDENCE, np.float32),
        **dict.fromkeys(probability_columns(quantity), predicted),
    )


def _table_of_sets(
    manifest: pd.DataFrame, names: LabelNames, probabilities: npt.NDArray[np.float32], thresholds: Thresholds
) -> pd.DataFrame:
    """Each row's set of labels and the predicted one; its confidence is the probability of that set, labels apart."""
    chosen = thresholds.sets(probabilities.astype(np.float64))
    dev = (manifest["split"] == DEV).to_numpy(bool) if "split" in manifest else np.zeros(len(manifest), bool)
    if dev.any():
        rows = manifest[dev]
        texts, groups = (rows[name].astype(str).to_numpy() for name in ("label", "group"))
        chosen[dev] = cross_fitted(texts, groups, probabilities[dev].astype(np.float64), names, thresholds.criterion)
    agreeing = np.where(chosen, probabilities, 1 - probabilities).astype(np.float64)
    return manifest[["id", "group", "split", "label"]].assign(
        predicted=texts_of(chosen, names),
        confidence=agreeing.prod(axis=1).astype(np.float32),
        **dict(zip(probability_columns(names), probabilities.T, strict=True)),
    )
