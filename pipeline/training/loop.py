"""The training loop: one optimizer step per batch, on the device and in the precision of devices.py.

Training and the learning-rate range test share it. All that is random here is keyed by epoch and batch: so an epoch
is the same whatever ran before it, also after a stop.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from pipeline.data.loader import Batch, WeightedBatch
from pipeline.randomness import keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.training.data_parallel.group import Counted, Member, Order, Told
from pipeline.training.devices import be_deterministic, check_precision, fabric_of
from pipeline.training.loss_functions import Losses
from pipeline.training.losses import penalty, weighted_mean
from pipeline.training.mixing import mix
from pipeline.training.optimizers import FACTOR, build_optimizer
from pipeline.training.unlabelled import UNLABELLED, JoinedForward

# A weighted batch with pictures of images without a label, as train.unlabelled makes them.
JoinedBatch = tuple[Tensor, Tensor, Tensor, Tensor]


class TrainBatches(Protocol):
    """The batches of training, epoch by epoch; its length is that of an epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, first: int = 0) -> Iterable[WeightedBatch | JoinedBatch]:
        """Those of an epoch, counted from 0, from a batch on."""


@dataclass(frozen=True)
class Step:
    """What came of a batch, apart from the graph that led to it.

    loss: cross entropy without smoothing and penalties, as dev's is; of numbers the loss without penalties.
    objective: what the step made smaller. labels: (n,), or (n, k) where rows may have several; of mixed rows the label
    with the larger share. used: the share of a batch's images without a label that taught something; None: it has none.
    """

    batch: int
    loss: Tensor
    objective: Tensor
    logits: Tensor
    labels: Tensor
    used: Tensor | None = None


class TrainingLoop:
    """A network and its optimizer, on the device of the training.

    Args:
        losses: what the steps make smaller, beside the penalties, and what is reported of training and dev.

    Raises:
        ParamsError: the machine does not support the precision.
    """

    def __init__(self, network: nn.Module, params: TrainParams, losses: Losses) -> None:
        check_precision(params.precision)
        # Sums are split by threads, so that their number is part of the result and stands in params.
        torch.set_num_threads(params.threads)
        be_deterministic()
        self._params = params
        self._losses = losses
        self._member = Member.here()
        self._fabric = fabric_of(params.precision, self._member)
        # Again, because Fabric shares out the cores among processes.
        torch.set_num_threads(params.threads)
        # Whether another process of the training was asked to end.
        self.stop_asked = False
        optimizer = build_optimizer(network, params.optimizer, params.learning_rate)
        self.network, self._optimizer = self._fabric.setup(network, optimizer)

    def epoch(
        self, number: int, batches: Iterable[WeightedBatch | JoinedBatch], rate: Callable[[int], float], first: int = 0
    ) -> Iterator[Step]:
        """A step for each batch, as it is done.

        Args:
            number: of the epoch, from 0.
            rate: the learning rate of a batch, by its number in the epoch.
            first: the number of the first of the batches.
        """
        self.network.train()
        for batch, content in enumerate(batches, first):
            self._member.tell(Told(Order.STEP, number, batch, rate(batch)), self._fabric.device)
            yield self._step(number, batch, content, rate(batch))

    def follow(self, batches: TrainBatches, stopping: Callable[[], bool]) -> None:
        """In another process than the first: make the steps that the first one says, until it says that it is done.

        Args:
            batches: of the rows of each batch that are this process's.
            stopping: whether it was asked to end, which the first process hears of with the next step.
        """
        self.network.train()
        coming = _Coming(batches)
        while (told := self._member.hear(self._fabric.device)).order != Order.END:
            if told.order == Order.GO_ON:
                self._take_over(self._member.same(None))
                continue
            self._step(told.epoch, told.batch, coming.batch(told.epoch, told.batch), told.rate, stopping())

    def evaluate(self, batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Mean cross entropy, or loss of numbers, logits (n, k) and labels (n,) of each batch."""
        self.network.eval()
        for batch in batches:
            with torch.inference_mode():
                pixels, labels = self._fabric.to_device(batch)
                logits = self.network(pixels)
                loss = self._losses.plain(logits, labels).mean()
            yield loss, logits, labels

    def state(self) -> dict[str, Any]:
        """The state after the steps so far; its tensors change with the next step."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._member.tell(Told(Order.GO_ON), self._fabric.device)
        self._take_over(self._member.same(state))

    def _take_over(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])

    def _step(
        self, epoch: int, number: int, batch: WeightedBatch | JoinedBatch, rate: float, stopping: bool = False
    ) -> Step:
        params, member = self._params, self._member
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]
        # Two processes must not drop the same numbers of their rows.
        own = [member.rank] if member.rank else []
        torch.manual_seed(keyed_seed(params.seed, "dropout", epoch, number, *own))
        rows = member.total(len(batch[1]), self._fabric.device)
        # Gradients are averaged over the processes: so each divides by its part of the rows, whatever it has.
        share = None if member.count == 1 else rows / member.count
        where = _Where(epoch, number, share)
        objective, step = _forward(self.network, self._fabric.to_device(batch), params, self._losses, where)
        self._optimizer.zero_grad()
        self._fabric.backward(objective)
        if params.clip_norm is not None:
            self._fabric.clip_gradients(
                self.network, self._optimizer, max_norm=params.clip_norm, error_if_nonfinite=False
            )
        self._optimizer.step()
        return step if member.count == 1 else self._whole(step, rows, stopping)

    def _whole(self, step: Step, rows: int, stopping: bool) -> Step:
        """What came of a batch whose rows several processes shared."""
        found = self._member.together(Counted(step.loss, step.objective, step.logits, step.labels, stopping), rows)
        self.stop_asked |= found.stop
        return replace(step, loss=found.loss, objective=found.objective, logits=found.logits, labels=found.labels)


class _Coming:
    """The batches that a process is told of, which come in the order of epochs but for a first one that went on."""

    def __init__(self, batches: TrainBatches) -> None:
        self._batches = batches
        self._epoch = -1
        self._left: Iterator[WeightedBatch | JoinedBatch] = iter(())
        self._last: WeightedBatch | JoinedBatch | None = None

    def batch(self, epoch: int, number: int) -> WeightedBatch | JoinedBatch:
        """The rows of a batch; none, where there are fewer rows than processes."""
        if epoch != self._epoch:
            self._epoch, self._left = epoch, iter(self._batches.epoch(epoch, number))
        found = next(self._left, None)
        if found is None:
            template = self._last or next(iter(self._batches.epoch(epoch, 0)))
            return cast(WeightedBatch, tuple(part[:0] for part in template))
        self._last = found
        return found


@dataclass(frozen=True)
class _Where:
    """Which batch of which epoch, and what its losses are divided by; None: by its rows."""

    epoch: int
    number: int
    rows: float | None


def _forward(
    network: nn.Module,
    batch: WeightedBatch | JoinedBatch,
    params: TrainParams,
    losses: Losses,
    where: _Where,
) -> tuple[Tensor, Step]:
    """The objective, which has a gradient, and what came of the batch."""
    epoch, number, of_all = where.epoch, where.number, where.rows
    pixels, labels, weights = batch[:3]
    mixed = mix(pixels, params.mixing, params.seed, epoch, number)
    joined = UNLABELLED.of(params.unlabelled).joined if len(batch) > 3 else None
    forward = network if joined is None else joined(network, batch[-1], params.unlabelled)
    logits = forward(pixels if mixed is None else mixed.pixels)
    pairs = [(1.0, labels, weights)]
    if mixed is not None and labels.ndim == 1 and labels.is_floating_point():
        # Numbers are mixed as pixels are; classes cannot be.
        labels, weights = (mixed.share * of + (1 - mixed.share) * of[mixed.partners] for of in (labels, weights))
        pairs = [(1.0, labels, weights)]
    elif mixed is not None:
        partners = mixed.partners
        pairs = [(mixed.share, labels, weights), (1 - mixed.share, labels[partners], weights[partners])]
    # The loss of labels that share the rows, each with its share and the weights of its rows.
    minimised = torch.stack(
        [share * weighted_mean(losses.minimised(logits, of), rows, of_all) for share, of, rows in pairs]
    ).sum()
    objective = minimised + penalty(network, params.l1, params.l2)
    used = None
    if isinstance(forward, JoinedForward):
        objective, used = objective + forward.loss, forward.used.detach()
    leading = max(pairs, key=lambda pair: pair[0])[1]
    with torch.no_grad():
        loss = torch.stack(
            [share * weighted_mean(losses.plain(logits, of), rows, of_all) for share, of, rows in pairs]
        ).sum()
    return objective, Step(number, loss, objective.detach(), logits.detach(), leading, used)
