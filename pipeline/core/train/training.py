"""Fits a network with Lightning, which runs the loop and moves data to the device.

Not here: the data, which comes as a loader, and files.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import lightning.pytorch as lightning
import torch
from torch import nn

from pipeline.core.evaluate.optimizing import Metric
from pipeline.core.train.classifier import Batch, Classifier, State, WeightedBatch
from pipeline.errors import DataError, ParamsError, listing
from pipeline.params import TrainParams

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}


@dataclass(frozen=True)
class Fit:
    """The network with the weights of the epoch that `train.keep` names (counted from 0), and numbers per epoch."""

    network: nn.Module
    epoch: int
    epochs: list[dict[str, float]] = field(repr=False)


def fit(
    network: nn.Module,
    train: Iterable[WeightedBatch],
    dev: Iterable[Batch],
    params: TrainParams,
    optimizing: Metric,
    classes: int,
    advance: Callable[[int], None],
    state: State | None = None,
    keep: Callable[[State], None] = lambda _: None,
    due: Callable[[], bool] = lambda: False,
) -> Fit:
    """The network fitted to train, with the weights of the epoch that was best on dev, or of the last.

    Args:
        train, dev: batches, anew each time they are iterated over. The sampler of train is told the epoch,
            counted from the first that is left; of that one it leaves out the batches that were seen.
        advance: called with 1 after each training batch.
        state: what a stopped training gave to `keep` last; the weights become those of a training that was
            not stopped.
        keep: called with what it takes to go on from there, after each epoch and after each batch at which
            `due` is true; it must write it down at once.

    Raises:
        DataError: the loss became NaN or infinite.
        ParamsError: memory ran out, or the machine lacks the precision.
    """
    # Sums are split by threads, so that their number is part of the result and stands in params.
    torch.set_num_threads(params.threads)
    _check_precision(params.precision)
    batches = len(train)  # type: ignore[arg-type]
    module = Classifier(network, params, optimizing, classes, batches, state, advance, keep, due)
    if not module.ended:
        network.train()
        trainer = lightning.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=params.epochs - module.first,
            precision=PRECISIONS[params.precision],
            gradient_clip_val=params.clip_norm,
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        try:
            trainer.fit(module, _AfterStop(train, module.seen) if module.seen else train, dev)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise ParamsError(
                f"memory ran out in a training step: lower {_smaller_batch(params.batch_size)}"
                "the model's width, or ingest.size"
            ) from error
    if params.keep == "best":
        network.load_state_dict(module.best_weights)
    kept = module.best_epoch if params.keep == "best" else len(module.epochs) - 1
    return Fit(network.cpu().eval(), kept, module.epochs)


def _smaller_batch(batch_size: int) -> str:
    return f"train.batch_size (it is {batch_size}), " if batch_size > 1 else ""


def check_rows(train: Mapping[str, int], dev: Mapping[str, int], batch_size: int) -> None:
    """Say at once what training would fail on later.

    Args:
        train, dev: rows of each class.

    Raises:
        DataError: train has one class, or lacks one that dev has, or dev is empty.
        ParamsError: a batch would be larger than train.
    """
    rows = sum(train.values())
    if not dev:
        raise DataError("dev has no images, so no epoch could be called the best: run `dvc repro split`")
    missing = sorted(set(dev) - set(train))
    if missing:
        named = listing(f"{name} ({dev[name]} images in dev)" for name in missing)
        raise DataError(
            f"train has no rows of {named}: no model can learn them. Add images of them, give train a larger share "
            "in split.production, or drop the classes with split.one_sided_classes"
        )
    if len(train) < 2:
        raise DataError(f"train has one class, {listing(train)}: a classifier needs two at least")
    if batch_size > rows:
        raise ParamsError(f"train.batch_size is {batch_size}, and train has {rows} rows: lower it to at most {rows}")


def check_last_batch(network: nn.Module, rows: int, size: int, batch_size: int) -> None:
    """Say before the first epoch that its last batch has one row, where batch norm needs two.

    Raises:
        ParamsError: it does.
    """
    if rows % batch_size != 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(network).train()(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except ValueError as error:
        raise ParamsError(
            f"train.batch_size {batch_size} leaves one of {rows} rows to the last batch, of which batch norm "
            "cannot tell a spread: change it by one, or set train.model.batch_norm to false"
        ) from error


class _AfterStop:
    """Batches of which the first pass lacks those that were seen: None each, which Lightning passes over and counts."""

    def __init__(self, batches: Iterable[WeightedBatch], seen: int) -> None:
        self._batches = batches
        self._seen = seen
        # Where Lightning looks for what it tells the epoch.
        self.sampler = getattr(batches, "sampler", None)
        self.batch_sampler = getattr(batches, "batch_sampler", None)

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[WeightedBatch | None]:
        seen, self._seen = self._seen, 0
        yield from itertools.repeat(None, seen)
        yield from self._batches


def _check_precision(precision: str) -> None:
    cuda = torch.cuda.is_available()
    if precision == "float16" and not cuda:
        raise ParamsError(
            "train.precision float16 needs a GPU, and this machine has none that torch can use: "
            "set it to float32, or to bfloat16"
        )
    if precision == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ParamsError("train.precision bfloat16 is not known to this GPU: set it to float32, or to float16")


def _is_out_of_memory(error: Exception) -> bool:
    # Of the CPU's memory torch says so in words only.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
