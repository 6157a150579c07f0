"""Rows of a manifest -> batches of tensors, read from shards through memory maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.core.imaging import decode
from pipeline.core.metrics import class_codes
from pipeline.core.models import TrainedModel, predict
from pipeline.engine import progress
from pipeline.shards import ShardReader

# Fixed, because the size of a batch shows in the last digits of a prediction.
PREDICTION_BATCH = 256

Batch = tuple[torch.Tensor, torch.Tensor]
WeightedBatch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class RowDataset(Dataset[tuple[np.ndarray[Any, Any], int]]):
    """Pixels (height, width, 3) uint8 and class number of each manifest row."""

    def __init__(self, manifest: pd.DataFrame, images: ShardReader, classes: tuple[str, ...]) -> None:
        self.shards = manifest["shard"].astype(str).to_list()
        self.rows = manifest["row"].to_list()
        self.labels = class_codes(manifest["label"].to_numpy(), classes)
        self.images = images

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[np.ndarray[Any, Any], int]:
        return decode(self.images.image(self.shards[number], self.rows[number])), int(self.labels[number])


def batches(dataset: RowDataset, batch_size: int) -> DataLoader[Batch]:
    """Batches of pixels (n, 3, height, width) uint8 and class numbers (n,) int64, in row order."""
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=batch_size, collate_fn=_collate)
    return loader


def weighted_batches(
    dataset: RowDataset, weights: npt.NDArray[np.float32], batch_size: int, order: Sampler[int]
) -> DataLoader[WeightedBatch]:
    """The same with the weight of each row (n,) float32, in the order given."""
    loader: DataLoader[Any] = DataLoader(
        _WeightedRows(dataset, weights), batch_size=batch_size, sampler=order, collate_fn=_collate_weighted
    )
    return loader


def predict_rows(
    model: TrainedModel, manifest: pd.DataFrame, images: ShardReader, threads: int, title: str
) -> pd.DataFrame:
    """What the model says of each row: the columns of manifest.PREDICTIONS, in row order.

    Raises:
        DataError: a row has a class that the model does not know.
    """
    dataset = RowDataset(manifest, images, model.classes)
    with progress(title, len(dataset)) as advance:
        probabilities = predict(model.network, batches(dataset, PREDICTION_BATCH), threads, advance)
    return manifest[["id", "group", "split", "label"]].assign(
        predicted=np.array(model.classes)[probabilities.argmax(axis=1)], confidence=probabilities.max(axis=1)
    )


def channel_statistics(dataset: RowDataset) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Mean and standard deviation of each channel, shape (3,), of pixels scaled to [0, 1]."""
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for number in range(len(dataset)):
        pixels = dataset[number][0].reshape(-1, 3).astype(np.float64) / 255
        total += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
        count += len(pixels)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


class _WeightedRows(Dataset[tuple[tuple[np.ndarray[Any, Any], int], float]]):
    def __init__(self, rows: RowDataset, weights: npt.NDArray[np.float32]) -> None:
        self.rows = rows
        self.weights = weights

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[tuple[np.ndarray[Any, Any], int], float]:
        return self.rows[number], float(self.weights[number])


def _collate_weighted(items: Sequence[tuple[tuple[np.ndarray[Any, Any], int], float]]) -> WeightedBatch:
    pixels, labels = _collate([row for row, _ in items])
    return pixels, labels, torch.tensor([weight for _, weight in items], dtype=torch.float32)


def _collate(items: Sequence[tuple[np.ndarray[Any, Any], int]]) -> Batch:
    pixels = torch.from_numpy(np.stack([pixels for pixels, _ in items])).permute(0, 3, 1, 2)
    return pixels, torch.tensor([label for _, label in items], dtype=torch.int64)
