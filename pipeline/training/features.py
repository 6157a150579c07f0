"""Features of pictures by frozen layers, computed once: the epochs then train the layers behind them.

Frozen layers give a stored picture the same features in each epoch, and nearly all the time of an epoch is theirs.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import Batch, WeightedBatch, distinct_pictures
from pipeline.data.order import KeyedOrder
from pipeline.models.prediction import fast_forward
from pipeline.training.devices import be_deterministic, device_of_training
from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress

# Fixed, because the size of a batch shows in the last digits of a feature.
FEATURE_BATCH = 64
# The features of a dataset, and the digest of what made them.
_KEPT: "WeakKeyDictionary[RowDataset, tuple[str, RowFeatures]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class RowFeatures:
    """What frozen layers make of rows: features (p, …) of the distinct pictures, and which each row has, (n,)."""

    features: Tensor
    positions: Tensor

    def of(self, rows: list[int]) -> Tensor:
        """The features of some rows, shape (rows, …)."""
        return self.features[self.positions[rows]]

    def part(self, inside: npt.NDArray[np.bool_]) -> "RowFeatures":
        """Those of some rows, a mask of shape (n,); the pictures stay where they are."""
        return RowFeatures(self.features, self.positions[torch.from_numpy(inside)])


class TrainFeatures:
    """The batches of training with features for pixels, in the order of each epoch."""

    def __init__(
        self,
        found: RowFeatures,
        labels: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        batch_size: int,
        order: KeyedOrder,
    ) -> None:
        self._found = found
        self._labels, self._weights = torch.from_numpy(labels), torch.tensor(weights, dtype=torch.float32)
        self._batch_size = batch_size
        self._order = order

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch_size)

    def epoch(self, number: int, first: int = 0) -> Iterator[WeightedBatch]:
        """Those of an epoch, counted from 0, from a batch on."""
        self._order.set_epoch(number, first * self._batch_size)
        rows = iter(self._order)
        while batch := list(islice(rows, self._batch_size)):
            yield self._found.of(batch), self._labels[batch], self._weights[batch]


def feature_batches(found: RowFeatures, labels: npt.NDArray[np.int64], batch_size: int) -> list[Batch]:
    """Features and class numbers, in row order."""
    numbers = list(range(len(labels)))
    parts = [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]
    return [(found.of(part), torch.from_numpy(labels[part])) for part in parts]


def computed_features(frozen: nn.Module, dataset: RowDataset, threads: int, engine: Engine, title: str) -> RowFeatures:
    """The features of all rows of a dataset as they are stored, on the CPU; the layers end on the training's device.

    The same bytes for any number of workers. Those of a dataset are kept for as long as it is there: another fit on it,
    behind the same layers, takes them over.

    Raises:
        PipelineError: a row's pixels cannot be read; the message begins with its id.
    """
    torch.set_num_threads(threads)
    be_deterministic()
    device = device_of_training()
    key = _digest(frozen, threads)
    if dataset in _KEPT and _KEPT[dataset][0] == key:
        frozen.to(device).eval()
        return _KEPT[dataset][1]
    whole = fast_forward(frozen.to(device).eval(), device, threads, engine.workers)
    loader, positions = distinct_pictures(dataset, FEATURE_BATCH, engine)
    parts = []
    with progress(title, len(loader)) as advance, loader, torch.no_grad(), whole as forward:
        for pixels in loader:
            parts.append(forward(pixels.to(device)).cpu())
            advance(1)
    found = RowFeatures(torch.cat(parts), positions)
    _KEPT[dataset] = key, found
    return found


def _digest(frozen: nn.Module, threads: int) -> str:
    """A digest of all that shapes features beside the pictures."""
    digest = hashlib.sha256(f"{threads} {frozen}".encode())
    for name, tensor in frozen.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
