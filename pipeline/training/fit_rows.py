"""The batches of train for a fit, or for one of several processes that share them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.stages.train.params import TrainParams
from pipeline.training.data_parallel.group import Member, SharedOrder
from pipeline.training.features import RowFeatures, TrainFeatures
from pipeline.training.loop import TrainBatches
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class FitRows:
    """What batches of train are made of; it can be sent to another process.

    weights: of each row in the loss, shape (n,). keeps: whether pictures are decoded once and kept. features: of all
    rows by frozen layers, in place of pixels.
    """

    dataset: RowDataset
    weights: npt.NDArray[np.float32]
    keeps: bool
    features: RowFeatures | None
    params: TrainParams

    @contextmanager
    def opened(self, engine: Engine) -> Iterator[TrainBatches]:
        """The batches, epoch by epoch; of each the rows that are this process's."""
        params, member = self.params, Member.here()
        order, batch_size = KeyedOrder(len(self.dataset), params.seed), params.batch_size
        if member.count > 1:
            order = shared = SharedOrder(len(self.dataset), params.seed, batch_size, member)
            batch_size = shared.batch
        if self.features is not None:
            yield TrainFeatures(self.features, self.dataset.labels, self.weights, batch_size, order)
            return
        if self.keeps:
            self.dataset.keep_pixels()
        with weighted_batches(self.dataset, self.weights, batch_size, order, engine, params.epochs) as rows:
            yield rows
