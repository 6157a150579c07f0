"""Weights that are kept on the way of a fit: what they average, what batch norm does, and what a stop changes."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.training.ensembles.one_training import last_snapshots
from pipeline.training.kept_weights import CycleEnds, EpochAverage, MovingAverage, finished
from pipeline.training.schedules import cycle_ends
from tests.fits import TRAIN, Epochs, fitted, network_for, train_params, weights
from tests.training.members import schedule

EMA = {"name": "average_weights", "method": {"name": "ema", "decay": 0.9}}
SWA = {"name": "average_weights", "method": {"name": "swa", "start": 0.5}}
SGDR = {"name": "sgdr", "first": 2, "factor": 1, "final": 0.0}
SNAPSHOTS = {"name": "snapshots", "count": 2}
KINDS: dict[str, dict[str, Any]] = {
    "ema": {"ensemble": EMA},
    "swa": {"ensemble": SWA},
    "snapshots": {"ensemble": SNAPSHOTS, "schedule": SGDR},
}


class OneWeight(nn.Module):
    """A network of one number, and a count as batch norm has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def set(self, value: float) -> "OneWeight":
        with torch.no_grad():
            self.weight.fill_(value)
        self.get_buffer("seen").fill_(int(value))
        return self


def test_a_moving_average_forgets_exponentially() -> None:
    network, kept = OneWeight(), MovingAverage(decay=0.5)
    values = [8.0, 4.0, 2.0, 6.0]
    for value in values:
        kept.after_step(network.set(value))
    # Its first steps forget faster: 1/11 and 2/11 of what was there stay, then 3/12 and 4/13.
    expected = values[0]
    for step, value in enumerate(values[1:], 1):
        stays = min(0.5, (1 + step) / (10 + step))
        expected = stays * expected + (1 - stays) * value
    [found] = kept.found()
    assert found["weight"].item() == pytest.approx(expected)
    assert found["seen"].item() == 6


def test_an_average_of_epochs_begins_where_it_is_told_to() -> None:
    network, kept = OneWeight(), EpochAverage(start=2)
    for epoch, value in enumerate([100.0, 100.0, 1.0, 2.0, 6.0], 1):
        kept.after_step(network.set(-50.0))
        kept.after_epoch(epoch, network.set(value))
    assert kept.found()[0]["weight"].item() == pytest.approx(3.0)
    assert EpochAverage(start=2).found() == []


def test_snapshots_are_the_last_ends_of_cycles() -> None:
    network, kept = OneWeight(), CycleEnds([2, 4, 6], count=2)
    for epoch in range(1, 8):
        kept.after_epoch(epoch, network.set(float(epoch)))
    assert [found["weight"].item() for found in kept.found()] == [4.0, 6.0]


@pytest.mark.parametrize(
    ("first", "factor", "warmup", "epochs", "ends"),
    [(3, 1, 0, 10, [3, 6, 9]), (2, 2, 1, 15, [3, 7, 15]), (2, 2, 1, 14, [3, 7]), (5, 1, 0, 4, [])],
)
def test_cycles_end_where_the_rate_starts_anew(
    first: int, factor: int, warmup: int, epochs: int, ends: list[int]
) -> None:
    chosen: Any = schedule("sgdr", first=first, factor=factor)
    assert cycle_ends(chosen, warmup, epochs) == ends


def test_as_many_of_the_last_snapshots_are_taken_as_help() -> None:
    """The first is of an untrained network; the others are unsure of other images each."""
    own = np.full((4, 90), 0.9)
    own[0] = 0.1
    for number in (1, 2, 3):
        own[number, number::3] = 0.3
    found = np.stack([own, 1 - own], axis=2)
    count, honest = last_snapshots(found, np.zeros(90, np.intp), np.arange(90) // 30)
    assert count == 3
    np.testing.assert_allclose(honest, found[1:].mean(axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_goes_on_keeps_the_same_weights(kind: str) -> None:
    train = train_params(**{"epochs": 4, "patience": None, **KINDS[kind]})
    saved: list[bytes] = []

    def save(state: Any) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        saved.append(buffer.getvalue())

    whole = fitted(train, save=save)
    assert len(whole.kept) == (2 if kind == "snapshots" else 1)
    resumed = fitted(train, state=torch.load(io.BytesIO(saved[1]), weights_only=True))
    assert [list(map(_bytes, kept.values())) for kept in resumed.kept] == [
        list(map(_bytes, kept.values())) for kept in whole.kept
    ]


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_changes_nothing_of_the_fit(kind: str) -> None:
    changes = {"epochs": 4, "patience": None, **KINDS[kind]}
    plain = train_params(**{**changes, "ensemble": {"name": "none"}})
    one, other = fitted(train_params(**changes)), fitted(plain)
    assert other.kept == []
    assert weights(one.network) == weights(other.network)
    assert one.epochs == other.epochs


def test_batch_norm_of_an_average_counts_what_the_average_makes_of_train() -> None:
    train = train_params(**{"model.dropout.blocks": 0.0})
    network, batches = network_for(train), Epochs(TRAIN, 30, seed=1)
    kept = EpochAverage(start=0)
    kept.after_epoch(1, network)
    before = weights(network)
    [found] = finished(kept, network, batches.epoch(0))
    assert weights(network) == before
    renewed = network_for(train)
    renewed.load_state_dict(found)
    [first, *_] = [name for name in found if name.endswith("running_mean")]
    layers = list(renewed.eval().children())
    place = int(first.partition(".")[0])
    pixels = TRAIN.tensors[0]
    maps = nn.Sequential(*layers[:place])(pixels).detach()
    np.testing.assert_allclose(found[first], maps.mean(dim=(0, 2, 3)), atol=1e-4)
