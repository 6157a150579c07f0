"""Fit a network: its epochs, the choice of the best one, and the state from which a stopped fit continues.

Not here: the data, which comes as batches, and files.
"""

import copy
import math
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from pipeline.data.loader import Batch
from pipeline.errors import DataError, ParamsError
from pipeline.metrics.metric import Metric
from pipeline.stages.train.params import TrainParams
from pipeline.training.ensembles.table import ENSEMBLES
from pipeline.training.kept_weights import Weights, finished
from pipeline.training.loop import TrainBatches, TrainingLoop
from pipeline.training.loss_functions import losses_of
from pipeline.training.losses import near_zero
from pipeline.training.schedules import rate_factor
from pipeline.training.tally import EpochTally

# The number of an epoch that says of which share of images without a label it learnt.
USED = "train/unlabelled_used"


class FitState(TypedDict):
    """The state of a fit after some epochs and batches: tensors, numbers and texts in dicts and lists.

    batches: of the epoch that goes on, how many were seen; train: their tally, if any were; used: of each of them the
        share of images without a label that taught something.
    loop: the state of network, optimizer and precision. kept: of the weights that an ensemble keeps on the way.
    """

    epochs: list[dict[str, float]]
    batches: int
    train: dict[str, Any] | None
    used: list[float]
    best_epoch: int
    best_weights: dict[str, Tensor]
    loop: dict[str, Any]
    kept: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class Checkpoints:
    """Where a fit starts, and how it saves its state on the way.

    state: what a stopped fit saved last; the weights become those of a fit that was not stopped.
    save: called after each epoch, and after each batch at which `due` or `stopping` is true; it must write the state
        down at once, because the tensors change with the next batch.
    stopping: whether the fit is to end now, in Stopped, its state saved.
    """

    state: FitState | None = None
    save: Callable[[FitState], None] = lambda _: None
    due: Callable[[], bool] = lambda: False
    stopping: Callable[[], bool] = lambda: False

    @property
    def done(self) -> tuple[int, int]:
        """Epochs that were done before, and batches of the next one."""
        return (len(self.state["epochs"]), self.state["batches"]) if self.state else (0, 0)

    def batches_done(self, batches: int) -> int:
        """How many were seen before, in epochs of so many."""
        epochs, seen = self.done
        return epochs * batches + seen


class Stopped(BaseException):
    """A fit was asked to stop and ended early; its state is saved."""


@dataclass(frozen=True)
class Fit:
    """The network with the weights of the epoch that `train.keep` names (counted from 0), and numbers per epoch.

    done_before: epochs that a fit that was stopped had done, and batches of the next one. seconds: that it took on this
    machine, without stops. unlabelled: what became of images without a label; None: there are none. kept: weights that
    an ensemble keeps on the way, for the same network.
    """

    network: nn.Module
    epoch: int
    epochs: list[dict[str, float]] = field(repr=False)
    done_before: tuple[int, int] = (0, 0)
    seconds: float = field(default=0.0, compare=False)
    unlabelled: Mapping[str, Any] | None = None
    kept: list[Weights] = field(default_factory=list, repr=False, compare=False)


def fit(
    network: nn.Module,
    train: TrainBatches,
    dev: Iterable[Batch],
    params: TrainParams,
    optimizing: Metric,
    classes: int,
    advance: Callable[[int], None],
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """The network fitted to train, with the weights of the epoch that was best on dev, or of the last.

    Args:
        dev: batches, anew each time they are iterated over.
        advance: called with 1 after each training batch.

    Raises:
        DataError: the loss became NaN or infinite.
        ParamsError: memory ran out, the machine lacks the precision, or the loss needs costs that the metric lacks.
        Stopped: `checkpoints` asked for it.
    """
    checkpoints = checkpoints or Checkpoints()
    with _out_of_memory_explained(params.batch_size):
        run = _Run(network, params, optimizing, classes, checkpoints)
        while not run.ended:
            run.epoch(train, dev, advance)
        kept = [] if run.kept is None else finished(run.kept, network, train.epoch(len(run.epochs) - 1))
    if params.keep == "best":
        network.load_state_dict(run.best_weights)
    epoch = run.best_epoch if params.keep == "best" else len(run.epochs) - 1
    return Fit(network.cpu().eval(), epoch, run.epochs, checkpoints.done, kept=kept)


class _Run:
    """A fit under way."""

    def __init__(
        self, network: nn.Module, params: TrainParams, optimizing: Metric, classes: int, checkpoints: Checkpoints
    ) -> None:
        self._loop = TrainingLoop(network, params, losses_of(params.loss, params.label_smoothing, optimizing))
        self._params = params
        self._optimizing = optimizing
        self._classes = classes
        self._checkpoints = checkpoints
        self.kept = ENSEMBLES.of(params.ensemble).kept(params.ensemble, params)
        self.epochs: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        # Batches of the epoch that goes on, and what they add up to.
        self._seen = 0
        self._train = self._tally()
        self._used: list[float] = []
        if checkpoints.state is not None:
            self._go_on(checkpoints.state)

    @property
    def ended(self) -> bool:
        """Whether the last epoch was reached, or patience is over."""
        without_better = len(self.epochs) - 1 - self.best_epoch
        patience = self._params.patience
        return len(self.epochs) >= self._params.epochs or (patience is not None and without_better >= patience)

    def epoch(self, train: TrainBatches, dev: Iterable[Batch], advance: Callable[[int], None]) -> None:
        """Train for an epoch, or for the rest of one, and measure the network on dev."""
        number, batches = len(self.epochs), len(train)
        left = train.epoch(number, self._seen) if self._seen < batches else ()
        for step in self._loop.epoch(number, left, lambda batch: self._rate(number, batch, batches), self._seen):
            self._check("the loss", float(step.objective), f"in epoch {number}, batch {step.batch}")
            if self.kept is not None:
                self.kept.after_step(self._loop.network)
            self._train.add(step.loss, step.logits, step.labels)
            self._used += [] if step.used is None else [float(step.used)]
            self._seen = step.batch + 1
            advance(1)
            self._save(due=self._checkpoints.due())
        checked_predictions = self._tally()
        for loss, logits, labels in self._loop.evaluate(dev):
            checked_predictions.add(loss, logits, labels)
            self._save(due=False)
        self._check("dev's loss", checked_predictions.loss, f"after epoch {number}")
        self._enter(checked_predictions)

    def _enter(self, dev: EpochTally) -> None:
        """Note the numbers of a finished epoch, and its weights if they are the best so far."""
        values = {
            "train/loss": self._train.loss,
            "train/optimizing": self._train.metric,
            "dev/loss": dev.loss,
            "dev/optimizing": dev.metric,
        }
        if self._params.l1:
            values["train/near_zero"] = near_zero(self._loop.network)
        if self._used:
            values[USED] = sum(self._used) / len(self._used)
        best = self.epochs[self.best_epoch]["dev/optimizing"] if self.epochs else None
        if best is None or self._optimizing.better(values["dev/optimizing"], best):
            self.best_epoch = len(self.epochs)
            self.best_weights = copy.deepcopy(self._loop.network.state_dict())
        self.epochs.append(values)
        if self.kept is not None:
            self.kept.after_epoch(len(self.epochs), self._loop.network)
        self._seen, self._train, self._used = 0, self._tally(), []
        self._save(due=True)

    def _save(self, due: bool) -> None:
        if self._loop.stop_asked and not self._checkpoints.stopping():
            # As if it had been sent to this process: it says what it does then.
            signal.raise_signal(signal.SIGTERM)
        stopping = self._checkpoints.stopping()
        if due or stopping:
            state: FitState = {
                "epochs": self.epochs,
                "batches": self._seen,
                "train": self._train.state() if self._seen else None,
                "used": self._used,
                "best_epoch": self.best_epoch,
                "best_weights": self.best_weights,
                "loop": self._loop.state(),
            }
            self._checkpoints.save(state if self.kept is None else {**state, "kept": self.kept.state()})
        if stopping:
            raise Stopped

    def _go_on(self, state: FitState) -> None:
        self.epochs = list(state["epochs"])
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]
        self._seen, self._used = state["batches"], list(state["used"])
        if state["train"] is not None:
            self._train.go_on(state["train"])
        self._loop.go_on(state["loop"])
        if self.kept is not None:
            self.kept.go_on(state["kept"])

    def _tally(self) -> EpochTally:
        return EpochTally(self._optimizing, self._classes)

    def _rate(self, epoch: int, batch: int, batches: int) -> float:
        """A function of the place in training alone, so that one that goes on after a stop has the same rates."""
        params = self._params
        factor = rate_factor(params.schedule, params.warmup_epochs, params.epochs, epoch, batch, batches)
        return params.learning_rate * factor

    def _check(self, what: str, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise DataError(f"{what} is {loss} {where}: {_remedies(self._params)}")


def _remedies(params: TrainParams) -> str:
    """What to change when the loss is no number."""
    found = [f"lower train.learning_rate (it is {params.learning_rate:g})"]
    if params.clip_norm is None:
        found.append("clip gradients with train.clip_norm, for example 1.0")
    if params.precision != "float32":
        found.append(f"set train.precision to float32 (it is {params.precision})")
    return ", or ".join(found)


def _smaller_batch(batch_size: int) -> str:
    return f"train.batch_size (it is {batch_size}), " if batch_size > 1 else ""


@contextmanager
def _out_of_memory_explained(batch_size: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise ParamsError(
            f"memory ran out in a training step: lower {_smaller_batch(batch_size)}the model's width, or ingest.size"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    # Of the CPU's memory torch says so in words only.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
