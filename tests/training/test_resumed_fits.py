"""A fit that was stopped goes on to the same weights."""

import copy
import io
import itertools
import math
from typing import Any

import pytest
import torch

from pipeline.stages.train.params import TrainParams
from pipeline.training.training import Stopped
from tests.fits import (
    DEV,
    TRAIN,
    fitted,
    loader,
    train_params,
    weights,
)
from tests.training.members import OPTIMIZERS, named

# Going on after a stop


def resumable(**changes: Any) -> TrainParams:
    """All that draws, counts or remembers."""
    every = {
        "mixing": {"name": "mixup", "alpha": 0.5},
        "schedule": {"name": "cosine", "final": 0.0},
        "warmup_epochs": 1.5,
    }
    return train_params(**{**every, "epochs": 5, "patience": None, "l2": 0.001, **changes})


@pytest.mark.parametrize("optimizer", [{"name": name, **rest} for name, rest in OPTIMIZERS.items()], ids=named)
def test_training_that_goes_on_ends_with_the_weights_of_one_that_never_stopped(optimizer: dict[str, Any]) -> None:
    train = resumable(optimizer=optimizer)
    kept: list[bytes] = []

    def save(state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kept.append(buffer.getvalue())

    whole = fitted(train, save=save)
    assert len(kept) == len(whole.epochs) == 5
    for data in kept:
        resumed = fitted(train, state=torch.load(io.BytesIO(data), weights_only=True))
        assert weights(resumed.network) == weights(whole.network)
        assert (resumed.epochs, resumed.epoch) == (whole.epochs, whole.epoch)


@pytest.mark.parametrize("optimizing", ["accuracy", "log_loss"])
def test_training_that_goes_on_in_the_middle_of_an_epoch_does_so_too(optimizing: str) -> None:
    """With the same numbers of that epoch, of which a part was seen before the stop."""
    train = resumable(epochs=3)
    kept: list[bytes] = []

    def save(state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kept.append(buffer.getvalue())

    whole = fitted(train, optimizing=optimizing, save=save, due=lambda: True)
    states = [torch.load(io.BytesIO(data), weights_only=True) for data in kept]
    batches = math.ceil(len(TRAIN) / train.batch_size)
    # After each batch, and after each epoch once more.
    places = [(epoch, batch) for epoch in range(3) for batch in [*range(1, batches + 1), 0]]
    assert [(len(state["epochs"]) - (state["batches"] == 0), state["batches"]) for state in states] == places
    for state in states[: 2 * (batches + 1)]:
        resumed = fitted(train, optimizing=optimizing, state=state)
        assert weights(resumed.network) == weights(whole.network)
        assert (resumed.epochs, resumed.epoch) == (whole.epochs, whole.epoch)


def test_a_fit_that_is_stopped_between_any_two_batches_goes_on_to_the_same_weights() -> None:
    """Of train, of dev, or between two epochs; it saves its state, and nothing after that."""
    train = resumable(epochs=2)
    whole = fitted(train)
    places = 2 * (math.ceil(len(TRAIN) / train.batch_size) + len(loader(DEV)) + 1)
    for place in range(places):
        kept: list[bytes] = []

        def save(state: dict[str, Any], kept: list[bytes] = kept) -> None:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            kept.append(buffer.getvalue())

        asked = itertools.count()
        with pytest.raises(Stopped):
            fitted(train, save=save, stopping=lambda asked=asked, place=place: next(asked) == place)
        assert next(asked) == place + 1
        resumed = fitted(train, state=torch.load(io.BytesIO(kept[-1]), weights_only=True))
        assert weights(resumed.network) == weights(whole.network)
        assert resumed.epochs == whole.epochs
    asked = itertools.count()
    fitted(train, stopping=lambda: next(asked) < 0)
    assert next(asked) == places  # there are no others


def test_patience_counts_the_epochs_before_the_stop() -> None:
    still = {"learning_rate": 1e-12, "epochs": 20, "patience": 3, "model.batch_norm": False}
    states: list[dict[str, Any]] = []
    whole = fitted(train_params(**still), save=lambda state: states.append(copy.deepcopy(state)))
    assert [len(fitted(train_params(**still), state=state).epochs) for state in states] == [len(whole.epochs)] * 4
