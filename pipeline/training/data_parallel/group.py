"""The processes of a training, as torch.distributed knows them: what each has of a batch, and what they tell others.

Outside of a data-parallel fit there is one process, and nothing here does anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from pipeline.data.order import KeyedOrder
from pipeline.randomness import keyed_generator
from pipeline.workers.libraries import on_loopback

HERE = "127.0.0.1"
# A process that waits for the first one while it measures a large dev set has no limit: the dead are noticed at once.
TIMEOUT = timedelta(days=7)


class Order(IntEnum):
    """What the first process tells the others to do next."""

    STEP = 0
    GO_ON = 1
    END = 2


@dataclass(frozen=True)
class Told:
    """An order; of a step, which batch it is for and at which learning rate."""

    order: Order
    epoch: int = 0
    batch: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Counted:
    """What came of a process's share of a batch.

    loss, objective: such that their means over the processes are those of the whole batch. logits (n, k) and labels
    (n,) or (n, k): of the share's rows. stop: whether the process was asked to end.
    """

    loss: Tensor
    objective: Tensor
    logits: Tensor
    labels: Tensor
    stop: bool = False


@dataclass(frozen=True)
class Member:
    """This process among those of its training: rank 0 is the one that was started by the user."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Member":
        """By torch's process group, if there is one."""
        grouped = dist.is_available() and dist.is_initialized()
        return cls(dist.get_rank(), dist.get_world_size()) if grouped else cls()

    def share_of(self, rows: int) -> int:
        """How many of so many rows it has: as many as the others, or one more."""
        return rows // self.count + (self.rank < rows % self.count)

    def first_of(self, rows: int) -> int:
        """The place of the first of them."""
        return self.rank * (rows // self.count) + min(self.rank, rows % self.count)

    def tell(self, told: Told, device: torch.device | str = "cpu") -> None:
        """Say what is next; for the first process alone."""
        if self.count > 1:
            dist.broadcast(_as_numbers(told).to(device), 0)

    def hear(self, device: torch.device | str = "cpu") -> Told:
        """Wait for what is next; for the others."""
        numbers = _as_numbers(Told(Order.END)).to(device)
        dist.broadcast(numbers, 0)
        order, epoch, batch, rate = numbers.tolist()
        return Told(Order(int(order)), int(epoch), int(batch), rate)

    def same(self, state: dict[str, Any] | None) -> dict[str, Any]:
        """The state that the first process has, in all of them."""
        if self.count > 1:
            held = [state]
            dist.broadcast_object_list(held, 0)
            state = held[0]
        assert state is not None  # noqa: S101
        return state

    def total(self, rows: int, device: torch.device | str = "cpu") -> int:
        """The sum of a number that each process has."""
        if self.count == 1:
            return rows
        number = torch.tensor(rows, dtype=torch.int64, device=device)
        dist.all_reduce(number)
        return int(number)

    def together(self, share: Counted, rows: int) -> Counted:
        """What came of a batch of so many rows, in the order of its rows, in every process."""
        if self.count == 1:
            return share
        device, classes = share.logits.device, share.logits.shape[1]
        sums = [float(share.loss), float(share.objective), float(share.stop)]
        heads = self._gathered(torch.tensor(sums, dtype=torch.float64, device=device))
        # Float32 holds every number of a class; of equal length, as torch wants it.
        labels = (share.labels[:, None] if share.labels.ndim == 1 else share.labels).float()
        longest = Member(0, self.count).share_of(rows)
        padded = torch.zeros((longest, classes + labels.shape[1]), device=device)
        padded[: len(labels)] = torch.cat([share.logits.float(), labels], dim=1)
        parts = self._gathered(padded)
        kept = [part[: Member(rank, self.count).share_of(rows)] for rank, part in enumerate(parts)]
        whole, head = torch.cat(kept), torch.stack(heads)
        return Counted(
            loss=head[:, 0].mean(),
            objective=head[:, 1].mean(),
            logits=whole[:, :classes],
            labels=whole[:, classes:].reshape(rows, *share.labels.shape[1:]).to(share.labels.dtype),
            stop=bool(head[:, 2].any()),
        )

    def _gathered(self, values: Tensor) -> list[Tensor]:
        found = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(found, values)
        return found


class SharedOrder(KeyedOrder):
    """Of each batch of an order the rows that a process has; of the rows of a whole batch it has `batch`."""

    def __init__(self, rows: int, seed: int, batch_size: int, member: Member) -> None:
        super().__init__(rows, seed)
        self._batch_size = batch_size
        self._member = member
        self.batch = member.share_of(batch_size)

    def __len__(self) -> int:
        """Rows of a whole epoch that the process has."""
        whole, rest = divmod(self.rows, self._batch_size)
        return whole * self.batch + self._member.share_of(rest)

    def __iter__(self) -> Iterator[int]:
        order = keyed_generator(self.seed, "order", self.epoch).permutation(self.rows)
        # Whole batches alone were seen before.
        for start in range(self._start // self.batch * self._batch_size, self.rows, self._batch_size):
            rows = order[start : start + self._batch_size]
            first = self._member.first_of(len(rows))
            yield from rows[first : first + self._member.share_of(len(rows))].tolist()


@contextmanager
def joined(member: Member, store: Any) -> Iterator[None]:
    """Inside, this process is in the group of its training; all of its processes must come."""
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    with on_loopback():
        dist.init_process_group(backend, store=store, rank=member.rank, world_size=member.count, timeout=TIMEOUT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _as_numbers(told: Told) -> Tensor:
    return torch.tensor([told.order, told.epoch, told.batch, told.rate], dtype=torch.float64)
