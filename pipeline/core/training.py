"""Fits a network with Lightning: the training step, what an epoch reports, and when to stop.

Lightning runs the loop, moves data to the device and counts patience. Not here: the data, which
comes as a loader, and files.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import assert_never

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn

from pipeline.core.optimizing import Metric, Tally
from pipeline.core.randomness import keyed_seed
from pipeline.errors import DataError
from pipeline.params import AdamW, Sgd, TrainParams

Batch = tuple[Tensor, Tensor]
# Pixels, class numbers, and what each row weighs in the loss.
WeightedBatch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Fit:
    """The network with the weights of its best epoch (counted from 0), and numbers per epoch."""

    network: nn.Module
    best_epoch: int
    epochs: list[dict[str, float]] = field(repr=False)


def fit(
    network: nn.Module,
    train: Iterable[WeightedBatch],
    dev: Iterable[Batch],
    params: TrainParams,
    optimizing: Metric,
    classes: int,
    advance: Callable[[int], None],
) -> Fit:
    """The network fitted to train, with the weights of the epoch that was best on dev.

    Args:
        train, dev: batches, anew each time they are iterated over. The sampler of train is told the epoch.
        advance: called with 1 after each training batch.

    Raises:
        DataError: the loss became NaN or infinite.
    """
    # Sums are split by threads, so that their number is part of the result and stands in params.
    torch.set_num_threads(params.threads)
    module = _Classifier(network, params, optimizing, classes, advance)
    mode = "max" if optimizing.maximise else "min"
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=params.epochs,
        callbacks=[EarlyStopping("dev/optimizing", mode=mode, patience=params.patience, check_finite=False)],
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, train, dev)
    network.load_state_dict(module.best_weights)
    return Fit(network.cpu().eval(), module.best_epoch, module.epochs)


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy, each row times its weight, over the number of rows.

    Not over the sum of weights, as torch's own class weights are: a batch without the rare classes
    would then count as much as one full of them.
    """
    return (nn.functional.cross_entropy(logits, labels, reduction="none") * weights).mean()


class _Classifier(lightning.LightningModule):
    def __init__(
        self, network: nn.Module, params: TrainParams, optimizing: Metric, classes: int, advance: Callable[[int], None]
    ) -> None:
        super().__init__()
        self.network = network
        self.params = params
        self.optimizing = optimizing
        self.classes = classes
        self.advance = advance
        self.epochs: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self._train = _Tally(optimizing, classes)
        self._dev = _Tally(optimizing, classes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rate = self.params.learning_rate
        match self.params.optimizer:
            case AdamW(weight_decay=decay):
                return torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=decay)
            case Sgd(momentum=momentum, weight_decay=decay):
                return torch.optim.SGD(self.network.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
            case unknown:
                assert_never(unknown)

    def on_train_epoch_start(self) -> None:
        # Dropout is keyed by epoch, so that an epoch does not depend on how the earlier ones ran.
        torch.manual_seed(keyed_seed(self.params.seed, "dropout", self.current_epoch))
        self._train = _Tally(self.optimizing, self.classes)

    def training_step(self, batch: WeightedBatch, batch_idx: int) -> Tensor:
        pixels, labels, weights = batch
        logits = self.network(pixels)
        loss = weighted_loss(logits, labels, weights)
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss is {float(loss.detach())} in epoch {self.current_epoch}, batch {batch_idx}: "
                f"lower train.learning_rate (it is {self.params.learning_rate})"
            )
        self._train.add(loss, logits, labels)
        self.advance(1)
        return loss

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
        if not self.epochs or self.optimizing.better(
            epoch["dev/optimizing"], self.epochs[self.best_epoch]["dev/optimizing"]
        ):
            self.best_epoch = self.current_epoch
            self.best_weights = copy.deepcopy(self.network.state_dict())
        self.epochs.append(epoch)
        self.log("dev/optimizing", epoch["dev/optimizing"])


class _Tally:
    """Mean loss and optimizing metric of the batches so far."""

    def __init__(self, metric: Metric, classes: int) -> None:
        self._images = 0
        self._loss = 0.0
        self._tally = Tally(metric, classes)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._images += len(labels)
        self._loss += float(loss.detach()) * len(labels)
        self._tally.add(labels.cpu().numpy(), logits.detach().softmax(dim=1).cpu().numpy())

    @property
    def loss(self) -> float:
        return self._loss / self._images

    @property
    def metric(self) -> float:
        return self._tally.value
