"""Batches of a dataset as tensors, for training and predictions, decoded ahead by worker processes where that pays.

torch's DataLoader runs the workers. Not here: which pixels a row has, which is the dataset's affair.
"""

import itertools
import math
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.data.dataset import RowDataset, worthwhile
from pipeline.data.order import KeyedOrder
from pipeline.errors import PipelineError, WorkerError
from pipeline.workers.engine import Engine
from pipeline.workers.pool import ignore_interrupts
from pipeline.workers.scheduler import WORKERS_VARIABLE
from pipeline.workers.serving import end_with_parent

# Batches that each worker makes ahead.
AHEAD = 2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108

Batch = tuple[Tensor, Tensor]
# Pixels, class numbers, and what each row weighs in the loss.
WeightedBatch = tuple[Tensor, Tensor, Tensor]
AnyBatch = TypeVar("AnyBatch")


class Loader(AbstractContextManager["Loader[AnyBatch]"], Generic[AnyBatch]):
    """The batches of one epoch after another: the same bytes for any number of workers.

    The workers stay from epoch to epoch and end with the `with` block. A worker that died is a
    WorkerError there; a row that cannot be read is a PipelineError that begins with its id.

    Args:
        workers: processes that decode; 0: this one does.
        order: of the rows; `epoch` tells it the epoch.
        batch: pixels (n, 3, size, size) uint8, channels last, and row numbers (n,) -> what a batch is.
    """

    def __init__(
        self,
        dataset: RowDataset,
        batch_size: int,
        workers: int,
        order: KeyedOrder | Sequence[int],
        batch: Callable[[Tensor, npt.NDArray[np.int64]], AnyBatch],
    ) -> None:
        self._dataset = dataset
        self._batch = batch
        self._shape = (min(batch_size, len(dataset)), dataset.size, dataset.size, 3)
        self.workers = min(workers, _room(math.prod(self._shape)))
        self._batch_sampler = _BatchSampler(order, batch_size, slots=AHEAD * self.workers + 1)
        self._slots: Tensor | None = None
        self._torch_loader: DataLoader[_Request | PipelineError] | None = None

    def __len__(self) -> int:
        return len(self._batch_sampler)

    def __iter__(self) -> Iterator[AnyBatch]:
        return self._made_here() if self.workers == 0 else self._made_by(*self._started())

    def epoch(self, number: int, first: int = 0) -> Iterator[AnyBatch]:
        """The batches of an epoch, counted from 0, from one on; the order must be keyed."""
        self._batch_sampler.set_epoch(number, first)
        return iter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._torch_loader is not None and self._torch_loader._iterator is not None:
            # It has no public name, and workers stay for as long as anybody holds a frame of their loader.
            self._torch_loader._iterator._shutdown_workers()  # type: ignore[attr-defined]
        self._torch_loader = self._slots = None
        # torch raises it from a signal handler: any line of the `with` block may be where it comes out.
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid"):
            raise WorkerError(
                f"a process that decodes images died, most often because memory or {SHARED_MEMORY} ran out: "
                f"run the command again with fewer workers (--workers or {WORKERS_VARIABLE})"
            ) from error

    def _made_here(self) -> Iterator[AnyBatch]:
        for request in self._batch_sampler:
            yield self._of(request, torch.from_numpy(self._dataset.batch(request.numbers, request.epoch)))

    def _made_by(self, workers: "Iterator[_Request | PipelineError]", slots: Tensor) -> Iterator[AnyBatch]:
        for answer in workers:
            if isinstance(answer, PipelineError):
                raise answer
            # A copy, because the slot is filled anew before the next batch is asked for.
            yield self._of(answer, slots[answer.slot, : len(answer.numbers)].clone())

    def _started(self) -> "tuple[Iterator[_Request | PipelineError], Tensor]":
        if self._torch_loader is not None and self._slots is not None:
            return iter(self._torch_loader), self._slots
        self._slots = torch.empty((self._batch_sampler.slots, *self._shape), dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        self._torch_loader = DataLoader(
            _Work(self._dataset, self._slots),
            batch_size=None,
            sampler=self._batch_sampler,
            num_workers=self.workers,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            multiprocessing_context="spawn",
            worker_init_fn=_start_worker,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # of its own: the global one is nobody's to move
        )
        with ignore_interrupts(), _deaf_to_sigterm():
            return iter(self._torch_loader), self._slots

    def _of(self, request: "_Request", pixels: Tensor) -> AnyBatch:
        return self._batch(pixels.permute(0, 3, 1, 2), np.array(request.numbers, np.int64))


def batches(dataset: RowDataset, batch_size: int, engine: Engine, epochs: int = 1) -> Loader[Batch]:
    """Pixels and class numbers (n,) int64, in row order.

    Args:
        epochs: how often the rows will be read; few readings are not worth the engine's workers.
    """
    labels = torch.from_numpy(dataset.labels)
    workers = _workers(dataset, engine, epochs)
    return Loader(dataset, batch_size, workers, range(len(dataset)), lambda pixels, numbers: (pixels, labels[numbers]))


def distinct_pictures(dataset: RowDataset, batch_size: int, engine: Engine) -> tuple[Loader[Tensor], Tensor]:
    """Pixels of each stored picture once, in the order of shards; and which of them each row has, (n,) int64."""
    _, first, positions = np.unique(dataset.places, return_index=True, return_inverse=True)
    workers = _workers(dataset, engine, epochs=1)
    loader = Loader(dataset, batch_size, workers, first.tolist(), lambda pixels, _: pixels)
    return loader, torch.from_numpy(positions.reshape(-1).astype(np.int64))


def pictures_in_order(
    dataset: RowDataset, batch_size: int, order: KeyedOrder, engine: Engine, epochs: int = 1
) -> Loader[Tensor]:
    """Pixels alone, in the order given."""
    return Loader(dataset, batch_size, _workers(dataset, engine, epochs), order, lambda pixels, _: pixels)


def weighted_batches(
    dataset: RowDataset,
    weights: npt.NDArray[np.float32],
    batch_size: int,
    order: KeyedOrder,
    engine: Engine,
    epochs: int = 1,
) -> Loader[WeightedBatch]:
    """The same with the weight of each row (n,) float32, in the order given."""
    labels, weight = torch.from_numpy(dataset.labels), torch.tensor(weights, dtype=torch.float32)
    workers = _workers(dataset, engine, epochs)
    return Loader(
        dataset, batch_size, workers, order, lambda pixels, numbers: (pixels, labels[numbers], weight[numbers])
    )


@dataclass(frozen=True)
class _Request:
    """Rows that make a batch, and the part of the shared memory that their pixels go to."""

    numbers: list[int]
    epoch: int
    slot: int


class _BatchSampler:
    """The batches of an epoch, in order."""

    def __init__(self, order: KeyedOrder | Sequence[int], batch_size: int, slots: int) -> None:
        self.order = order
        self.batch_size = batch_size
        self.slots = slots

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def set_epoch(self, epoch: int, first: int) -> None:
        if not isinstance(self.order, KeyedOrder):
            raise TypeError("a fixed order has no epochs")
        self.order.set_epoch(epoch, first * self.batch_size)

    def __iter__(self) -> Iterator[_Request]:
        rows = iter(self.order)
        epoch = self.order.epoch if isinstance(self.order, KeyedOrder) else 0
        for turn in itertools.count():
            numbers = list(itertools.islice(rows, self.batch_size))
            if not numbers:
                return
            yield _Request(numbers, epoch, turn % self.slots)


class _Work(Dataset["_Request | PipelineError"]):
    """In a worker: fills a slot of the shared memory.

    The slots are used again and again. torch would send each batch in memory of its own, and memory
    that is new costs a page fault for every 4 kB: up to a third of the time that decoding takes.
    """

    def __init__(self, dataset: RowDataset, slots: Tensor) -> None:
        self.dataset = dataset
        self.slots = slots

    def __getitem__(self, request: _Request) -> _Request | PipelineError:
        try:
            self.dataset.batch(
                request.numbers, request.epoch, out=self.slots[request.slot, : len(request.numbers)].numpy()
            )
        except PipelineError as error:
            return error  # raised, torch would put a traceback into its message
        return request


@contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    """Workers that start inside never get SIGTERM, which schedulers send to all processes at once.

    They end with the training, which may want another batch from them before it ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _workers(dataset: RowDataset, engine: Engine, epochs: int) -> int:
    worth = worthwhile(engine, dataset.work(epochs), dataset.size).workers
    return worth if worth > 1 else 0


def _room(batch_bytes: int) -> int:
    """Workers whose batches fit into half of the free shared memory; a container often has 64 MB in all."""
    if not SHARED_MEMORY.is_dir():
        return sys.maxsize
    return max(0, shutil.disk_usage(SHARED_MEMORY).free // 2 // max(batch_bytes, 1) - 1) // AHEAD


def _start_worker(_: int) -> None:
    end_with_parent()
    cv2.setNumThreads(1)  # else each worker has as many threads as there are cores


def _as_it_is(answer: AnyBatch) -> AnyBatch:
    return answer
