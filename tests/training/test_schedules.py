"""Schedules are those of torch, batch by batch, with warm-up before them."""

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.training.schedules import Schedule, rate_factor
from tests.fits import (
    fitted,
    train_params,
)
from tests.training.members import SCHEDULES, schedule

# Learning rate


def rates(chosen: Schedule, epochs: int, warmup: float = 0.0, batches: int = 1) -> list[float]:
    places = [(epoch, batch) for epoch in range(epochs) for batch in range(batches)]
    return [rate_factor(chosen, warmup, epochs, epoch, batch, batches) for epoch, batch in places]


def torchs(schedule_class: Any, epochs: int, **arguments: Any) -> list[float]:
    """The rates that torch's own schedule gives, by epoch, from 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = schedule_class(optimizer, **arguments), []
    for _ in range(epochs):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(schedule("constant"), [1.0] * 14, id="constant"),
        pytest.param(schedule("step"), torchs(torch.optim.lr_scheduler.StepLR, 14, step_size=4, gamma=0.5), id="step"),
        pytest.param(
            schedule("cosine"),
            torchs(torch.optim.lr_scheduler.CosineAnnealingLR, 14, T_max=14, eta_min=0.1),
            id="cosine",
        ),
        pytest.param(
            schedule("sgdr"),
            torchs(torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, 14, T_0=2, T_mult=2),
            id="warm restarts",
        ),
    ],
)
def test_schedules_are_those_of_torch(chosen: Schedule, expected: list[float]) -> None:
    assert rates(chosen, 14) == pytest.approx(expected)


def test_rates_of_batches_lie_between_those_of_epochs() -> None:
    fine = rates(schedule("cosine"), 5, batches=10)
    assert fine == sorted(fine, reverse=True)
    assert fine[::10] == pytest.approx(rates(schedule("cosine"), 5))


def test_warm_restarts_start_with_the_full_rate() -> None:
    found = rates(schedule("sgdr"), 14, batches=4)
    assert [place / 4 for place, rate in enumerate(found) if rate == pytest.approx(1)] == [0, 2, 6]


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_evenly_and_the_schedule_follows(name: str) -> None:
    found = rates(schedule(name), 12, warmup=2.0, batches=5)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    left = [_shifted(schedule(name), 10, place) for place in range(50)]
    assert found[10:] == pytest.approx(left)


def _shifted(chosen: Schedule, epochs: int, place: int) -> float:
    return rate_factor(chosen, 0.0, epochs, place // 5, place % 5, 5)


def test_the_rate_reaches_the_optimizer() -> None:
    seen: list[float] = []
    train = train_params(epochs=4, schedule={"name": "step", "every": 1, "factor": 0.1}, learning_rate=0.01)
    fitted(train, save=lambda state: seen.append(state["loop"]["optimizer"]["param_groups"][0]["lr"]))
    assert seen == pytest.approx([0.01, 0.001, 0.0001, 0.00001])
