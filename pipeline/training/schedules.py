"""Learning-rate schedules over the epochs.

A function of the place in training alone, so that a run that goes on after a stop has the same rates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.registry import Choice, Registry
from pipeline.section import Count, Section

P = TypeVar("P", bound="Schedule")


class Schedule(Section):
    """Params of any schedule."""

    name: str


class Constant(Schedule):
    """The learning rate stays."""

    name: Literal["constant"]


class Step(Schedule):
    """The learning rate is multiplied by `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, lt=1)]


class Cosine(Schedule):
    """Half a cosine from the learning rate down to `final` times that rate, over all epochs."""

    name: Literal["cosine"]
    final: Annotated[float, Field(ge=0, lt=1)]


class Sgdr(Schedule):
    """Cosines that start anew (warm restarts; Loshchilov and Hutter, 2017).

    The first takes `first` epochs, each further one `factor` times as many as the one before.
    """

    name: Literal["sgdr"]
    first: Count
    factor: Annotated[int, Field(ge=1, le=10)]
    final: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class ScheduleRow(Choice[P]):
    """A schedule.

    factor: (params, epochs since the warm-up, epochs after it in all) -> what the rate is multiplied by, in [0, 1].
    needs_epochs: the param with the epochs before its first step, of which training must have more.
    """

    factor: Callable[[P, float, float], float]
    needs_epochs: str | None = None


def rate_factor(schedule: Schedule, warmup_epochs: float, epochs: int, epoch: int, batch: int, batches: int) -> float:
    """The factor on the learning rate at a batch, in [0, 1].

    Args:
        epochs: of the whole training.
        epoch, batch: where it is, counted from 0.
        batches: of an epoch.
    """
    done = epoch + batch / batches
    if done < warmup_epochs:
        # At the end of the batch, so that the first one is not thrown away at a rate of 0.
        return min(1.0, (done + 1 / batches) / warmup_epochs)
    return SCHEDULES.of(schedule).factor(schedule, done - warmup_epochs, epochs - warmup_epochs)


def _constant(params: Constant, done: float, epochs: float) -> float:
    return 1.0


def _step(params: Step, done: float, epochs: float) -> float:
    # A warm-up of 0.1 epochs leaves 2.9999... of 3.
    return float(params.factor ** math.floor(done / params.every + 1e-9))


def _cosine(params: Cosine, done: float, epochs: float) -> float:
    return _half_cosine(done / epochs, params.final)


def _sgdr(params: Sgdr, done: float, epochs: float) -> float:
    length = float(params.first)
    while done >= length - 1e-9:
        done, length = done - length, length * params.factor
    return _half_cosine(max(done, 0.0) / length, params.final)


def cycle_ends(schedule: Sgdr, warmup_epochs: float, epochs: int) -> list[int]:
    """How many epochs there were at the end of each whole cycle; warm-up takes whole epochs."""
    end, length, found = int(warmup_epochs) + schedule.first, schedule.first, []
    while end <= epochs:
        found.append(end)
        length *= schedule.factor
        end += length
    return found


def _half_cosine(share: float, final: float) -> float:
    """From 1 at share 0 to `final` at share 1 (Loshchilov and Hutter, 2017, equation 5)."""
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: Registry[ScheduleRow[Any]] = Registry(
    (
        ScheduleRow(Constant, _constant),
        ScheduleRow(Step, _step, needs_epochs="every"),
        ScheduleRow(Cosine, _cosine),
        ScheduleRow(Sgdr, _sgdr, needs_epochs="first"),
    )
)
