"""Two processes that share each batch fit the network that one fits to whole batches; whatever ends one, ends all.

Measured on these pictures: losses differ by 2e-7 at most, of 1.1. Tests allow a hundred times as much.
"""

import multiprocessing
import os
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.order import KeyedOrder
from pipeline.errors import ParamsError, WorkerError
from pipeline.metrics.metric import metric_of
from pipeline.store.shards import ShardReader
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data_parallel.group import Member, SharedOrder
from pipeline.training.data_parallel.other_processes import NAME, Share, helped
from pipeline.training.fit_data import FitParams, TrainingData, training_data
from pipeline.training.fitting import fit_model
from pipeline.training.loss_functions import SquaredError
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.fits import SGD, weights
from tests.stored import SIZE, stored, with_copies

TOLERANCE = 2e-5
# Batches of 16 and a last one of a row, of which the second process has none. Nothing is drawn in a batch.
ROWS = 49
CNN = {"depth": 2, "width": 4, "batch_norm": True, "dropout": {"blocks": 0.0, "head": 0.0}}


def settings(**changes: Any) -> Any:
    model = {f"model.{name}": value for name, value in CNN.items()}
    values = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "optimizer": SGD, "l2": 0.001, "patience": None}
    return params(
        **{f"train.{name}": value for name, value in {**model, **values, "threads": 1, **changes}.items()}
    ).train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("stored")
    manifest = stored(folder, [striped(number % 3, seed=number) for number in range(80)])
    chosen = params(**{"ingest.size": SIZE})
    rows = with_copies(manifest, 0)
    rows = rows.head(ROWS).assign(weight=np.linspace(0.5, 1.5, ROWS).astype(np.float32))
    shaping = FitParams(settings(), chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing, chosen.problem)
    return training_data(rows, manifest, ShardReader(folder), shaping)


class Touched(Checkpoint):
    """A checkpoint that does something to another process of the training, once, when so many epochs are done."""

    def __init__(self, path: Path, epochs: int, number: int) -> None:
        super().__init__(path)
        self._epochs, self._number = epochs, number

    def save(self, key: str, state: Any) -> None:
        super().save(key, state)
        if len(state["epochs"]) == self._epochs and not state["batches"]:
            (other,) = others()
            os.kill(other.pid, self._number)


def fitted(data: TrainingData, checkpoint: Checkpoint | None = None, **changes: Any) -> Fit:
    metric = metric_of(params().evaluate.optimizing, data.classes)
    progress = None if checkpoint is None else checkpoint.under("key")
    return fit_model(data, settings(**changes), metric, Engine(2), progress)[1]


class Ended(BaseException):
    """What SIGTERM does in these tests."""


def others() -> list[Any]:
    return [process for process in multiprocessing.active_children() if process.name.startswith(NAME)]


def test_two_processes_fit_what_one_fits_and_whatever_ends_one_ends_both(data: TrainingData, tmp_path: Path) -> None:
    """A fit whose second process is killed, then asked to end; in one test, because each start takes two seconds."""
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(WorkerError, match=r"^a process of the training ended by SIGKILL, .* run the command again"):
        fitted(data, Touched(path, 1, signal.SIGKILL), devices=2)
    assert not others()

    def end(number: int, _: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(Ended):
            fitted(data, Touched(path, 2, signal.SIGTERM), devices=2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not others()
    saved = Checkpoint(path).load("key")
    assert saved is not None
    # The batch after the second epoch was the first with which it could tell of it.
    assert (len(saved["epochs"]), saved["batches"]) == (2, 1)

    shared, alone = fitted(data, Checkpoint(path), devices=2), fitted(data)
    assert shared.done_before == (2, 1)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    for one, two in zip(alone.epochs, shared.epochs, strict=True):
        assert two == pytest.approx(one, rel=TOLERANCE)
    assert alone.epoch == shared.epoch
    for name, tensor in alone.network.state_dict().items():
        torch.testing.assert_close(shared.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    # Not by one process that does all: sums in two parts differ in their last digits.
    assert weights(alone.network) != weights(shared.network)


def test_what_another_process_cannot_do_is_said_and_not_that_it_died() -> None:
    of_classes = metric_of(params().evaluate.optimizing, ("a", "b"))
    chosen = settings(devices=2).model_copy(update={"loss": SquaredError(name="squared_error")})
    with (
        pytest.raises(ParamsError, match="squared_error is about numbers"),
        helped(
            Share(torch.nn.Linear(1, 2), chosen, nullcontext, of_classes)  # type: ignore[arg-type]  # never opened
        ),
    ):
        pass
    assert others() == []


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [5, 16, 49, 50])
def test_each_row_of_a_batch_is_one_process_s(rows: int, count: int) -> None:
    batch = 5
    whole = KeyedOrder(rows, 1)
    for epoch, seen in ((0, 0), (3, rows // batch // 2)):
        whole.set_epoch(epoch, seen * batch)
        parts = []
        for rank in range(count):
            order = SharedOrder(rows, 1, batch, Member(rank, count))
            order.set_epoch(epoch)
            assert len([*order]) == len(order)
            order.set_epoch(epoch, seen * order.batch)
            parts.append(iter(order))
        expected = [*whole]
        for start in range(0, len(expected), batch):
            size = len(expected[start : start + batch])
            mine = [[next(part) for _ in range(Member(rank, count).share_of(size))] for rank, part in enumerate(parts)]
            assert [row for some in mine for row in some] == expected[start : start + batch]


PSEUDO = {"neighbours": 10, "threshold": 0.0, "quota": 1.0, "weight": 1.0, "rounds": 1, "max_images": 1000}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, r"batch_size is 1, less than a row for each"),
        ({"unlabelled": {"name": "pseudo_labels", **PSEUDO}}, r"unlabelled is pseudo_labels, which"),
        ({"ensemble": {"name": "average_weights", "method": {"name": "ema", "decay": 0.9}}},
         r"ensemble is average_weights, whose models are fitted side by side already"),
        ({"model": {"name": "majority_class"}}, r"model is majority_class, which one process fits"),
    ],
    ids=["rows", "unlabelled", "ensemble", "baseline"],
)  # fmt: skip
def test_what_one_process_has_to_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=rf"train: devices is 2, but .*{message}.*: set devices to 1, or change this"):
        params(**{f"train.{name}": value for name, value in {**changes, "devices": 2}.items()})
