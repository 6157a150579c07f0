"""What Lightning runs: the training step, what an epoch reports, and which epoch was best.

All that is random here is keyed by epoch and batch, and the learning rate is a function of both: so an
epoch is the same whatever ran before it, also after a stop.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.metrics.metric import Metric, Tally
from pipeline.randomness import keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.training.losses import penalty, weighted_loss
from pipeline.training.mixing import mix
from pipeline.training.optimizers import build_optimizer
from pipeline.training.schedules import rate_factor

Batch = tuple[Tensor, Tensor]
# Pixels, class numbers, and what each row weighs in the loss.
WeightedBatch = tuple[Tensor, Tensor, Tensor]
# All that epochs and batches leave behind: tensors, numbers and texts in dicts and lists.
State = dict[str, Any]


class Classifier(lightning.LightningModule):
    """A network while it is trained.

    Args:
        batches: of an epoch of training.
        state: what a stopped training left behind, where this one goes on.
        advance: called with 1 after each training batch.
        keep: called after each epoch, and after batches where `due` says so, with what they leave behind; the
            tensors change with the next batch.
        due: whether so much was done since the last time that it is worth keeping.
    """

    def __init__(
        self,
        network: nn.Module,
        params: TrainParams,
        optimizing: Metric,
        classes: int,
        batches: int,
        state: State | None,
        advance: Callable[[int], None],
        keep: Callable[[State], None],
        due: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.network = network
        self.params = params
        self.optimizing = optimizing
        self.classes = classes
        self.batches = batches
        self.advance = advance
        self.keep = keep
        self.due = due
        self._resumed = state
        self.epochs: list[dict[str, float]] = list(state["epochs"]) if state else []
        self.first = len(self.epochs)
        self.seen: int = state["batches"] if state else 0
        self._counted: State | None = state["train"] if state else None
        self.best_epoch: int = state["best_epoch"] if state else 0
        self.best_weights: dict[str, Tensor] = state["best"] if state else {}
        if state:
            network.load_state_dict(state["network"])
        self._train = _Tally(optimizing, classes)
        self._dev = _Tally(optimizing, classes)

    @property
    def epoch(self) -> int:
        """Counted from 0, the epochs before a stop among them."""
        return self.first + self.current_epoch

    @property
    def ended(self) -> bool:
        """Whether the last epoch was reached, or patience is over."""
        without_better = len(self.epochs) - 1 - self.best_epoch
        patience = self.params.patience
        return len(self.epochs) >= self.params.epochs or (patience is not None and without_better >= patience)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return build_optimizer(self.network, self.params.optimizer, self.params.learning_rate)

    def on_fit_start(self) -> None:
        if self._resumed:
            # Only here do the weights lie on the device of the training.
            self.trainer.optimizers[0].load_state_dict(self._resumed["optimizer"])
            self.trainer.precision_plugin.load_state_dict(self._resumed["precision"])
            self._resumed = None

    def on_train_epoch_start(self) -> None:
        self._train = _Tally(self.optimizing, self.classes)
        if self._counted is not None:
            self._train.go_on(self._counted)
            self._counted = None

    def on_train_batch_start(self, batch: WeightedBatch, batch_idx: int) -> None:
        params = self.params
        factor = rate_factor(params.schedule, params.warmup_epochs, params.epochs, self.epoch, batch_idx, self.batches)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = params.learning_rate * factor
        torch.manual_seed(keyed_seed(params.seed, "dropout", self.epoch, batch_idx))

    def training_step(self, batch: WeightedBatch, batch_idx: int) -> Tensor:
        params = self.params
        loss, objective, logits, labels = objective_of(self.network, batch, params, self.epoch, batch_idx)
        if not torch.isfinite(objective):
            where = f"in epoch {self.epoch}, batch {batch_idx}"
            raise DataError(f"the loss is {float(objective.detach())} {where}: {_remedies(params)}")
        self._train.add(loss, logits, labels)
        self.advance(1)
        return objective

    def on_train_batch_end(self, outputs: Any, batch: WeightedBatch | None, batch_idx: int) -> None:
        if batch is not None and self.due():
            self.keep(self._left(batch_idx + 1, self._train.state()))

    def on_validation_epoch_start(self) -> None:
        self._dev = _Tally(self.optimizing, self.classes)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pixels, labels = batch
        logits = self.network(pixels)
        self._dev.add(nn.functional.cross_entropy(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        epoch = {
            "train/loss": self._train.loss,
            "train/optimizing": self._train.metric,
            "dev/loss": self._dev.loss,
            "dev/optimizing": self._dev.metric,
        }
        if not math.isfinite(self._dev.loss):
            raise DataError(f"dev's loss is {self._dev.loss} after epoch {self.epoch}: {_remedies(self.params)}")
        if not self.epochs or self.optimizing.better(
            epoch["dev/optimizing"], self.epochs[self.best_epoch]["dev/optimizing"]
        ):
            self.best_epoch = self.epoch
            self.best_weights = copy.deepcopy(self.network.state_dict())
        self.epochs.append(epoch)
        self.trainer.should_stop = self.ended
        self.keep(self._left(0, None))

    def _left(self, batches: int, train: State | None) -> State:
        """What finished epochs, and so many batches of the one that goes on, leave behind."""
        return {
            "epochs": self.epochs,
            "batches": batches,
            "train": train,
            "best_epoch": self.best_epoch,
            "best": self.best_weights,
            "network": self.network.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "precision": self.trainer.precision_plugin.state_dict(),
        }


def objective_of(
    network: nn.Module, batch: WeightedBatch, params: TrainParams, epoch: int, number: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What training reports of a batch, and what it makes small: loss, objective, logits, and the labels that lead.

    The loss is without smoothing and penalties, so that it can be held against dev's. Of mixed rows the label with
    the larger share leads.

    Args:
        epoch, number: of the batch, from 0; mixing is keyed by them.
    """
    pixels, labels, weights = batch
    mixed = mix(pixels, params.mixing, params.seed, epoch, number)
    logits = network(pixels if mixed is None else mixed.pixels)
    pairs = [(1.0, labels, weights)]
    if mixed is not None:
        partners = mixed.partners
        pairs = [(mixed.share, labels, weights), (1 - mixed.share, labels[partners], weights[partners])]
    objective = _shared_loss(logits, pairs, params.label_smoothing) + penalty(network, params.l1, params.l2)
    leading = max(pairs, key=lambda pair: pair[0])[1]
    return _shared_loss(logits, pairs), objective, logits, leading


def _shared_loss(logits: Tensor, pairs: Sequence[tuple[float, Tensor, Tensor]], smoothing: float = 0.0) -> Tensor:
    """The loss of labels that share the rows, each with its share and the weights of its rows."""
    return torch.stack([share * weighted_loss(logits, labels, rows, smoothing) for share, labels, rows in pairs]).sum()


def _remedies(params: TrainParams) -> str:
    """What to change when the loss is no number."""
    found = [f"lower train.learning_rate (it is {params.learning_rate:g})"]
    if params.clip_norm is None:
        found.append("shorten gradients with train.clip_norm, 1.0 say")
    if params.precision != "float32":
        found.append(f"set train.precision to float32 (it is {params.precision})")
    return ", or ".join(found)


class _Tally:
    """Mean loss and optimizing metric of the batches so far."""

    def __init__(self, metric: Metric, classes: int) -> None:
        self._images = 0
        self._loss = 0.0
        self._tally = Tally(metric, classes)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._images += len(labels)
        self._loss += float(loss.detach()) * len(labels)
        self._tally.add(labels.cpu().numpy(), logits.detach().float().softmax(dim=1).cpu().numpy())

    def state(self) -> State:
        tally = {name: torch.from_numpy(values) for name, values in self._tally.state().items()}
        return {"images": self._images, "loss": self._loss, "tally": tally}

    def go_on(self, state: State) -> None:
        self._images, self._loss = state["images"], state["loss"]
        self._tally.go_on({name: values.numpy() for name, values in state["tally"].items()})

    @property
    def loss(self) -> float:
        return self._loss / self._images

    @property
    def metric(self) -> float:
        return self._tally.value
