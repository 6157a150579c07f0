"""The learning-rate range test: train while the rate rises, and find where the loss falls fastest.

L. N. Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3; the rate rises
exponentially and the loss is smoothed as in fastai's `lr_find`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from pipeline.errors import DataError
from pipeline.metrics.metric import Metric
from pipeline.stages.train.params import TrainParams
from pipeline.training.loop import Step, TrainBatches, TrainingLoop
from pipeline.training.loss_functions import losses_of

# Weight of the past in the smoothed loss.
MEMORY = 0.9
# Batches that the smoothed loss remembers: before so many its slope says nothing.
SETTLED = round(1 / (1 - MEMORY))
# The test ends where the smoothed loss is so many times its best.
RUNAWAY = 4.0
RULE = "the rate at which the smoothed loss falls steepest over the logarithm of the rate"


@dataclass(frozen=True)
class RateRange:
    """The result of the test: columns rate, loss (of the batch) and smoothed; and the suggested rate."""

    curve: pd.DataFrame
    suggested: float
    rule: str = RULE


def rate_range(
    network: nn.Module,
    train: TrainBatches,
    params: TrainParams,
    optimizing: Metric,
    low: float,
    high: float,
    steps: int,
    advance: Callable[[int], None],
) -> RateRange:
    """The loss at rates from low to high, one optimizer step each; the network's weights change.

    Args:
        optimizing: the metric whose costs a cost-sensitive loss takes.
        steps: how many rates; the test ends early if the loss diverges.

    Raises:
        DataError: the loss never fell, or diverged at once.
        ParamsError: the machine does not support the precision, or the loss needs costs that the metric lacks.
    """
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    loop = TrainingLoop(network, params, losses_of(params.loss, params.label_smoothing, optimizing))
    for step in _steps(loop, train, rates):
        value = float(step.loss)
        advance(1)
        if not np.isfinite(value):
            break
        losses.append(value)
        smoothed.append(_smooth(losses))
        if smoothed[-1] > RUNAWAY * min(smoothed):
            break
    return RateRange(
        pd.DataFrame({"rate": rates[: len(losses)], "loss": losses, "smoothed": smoothed}),
        suggest(rates[: len(losses)], np.array(smoothed)),
    )


def suggest(rates: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]) -> float:
    """The rate where the smoothed loss falls steepest, before its minimum.

    Raises:
        DataError: it never falls.
    """
    lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
    if lowest < 2:
        raise DataError(
            "the loss did not fall at any rate: start lower (--low), use more steps (--steps), "
            "or check the data and the model first"
        )
    # The smoothed loss is a mean of few batches at first, and its slope there is theirs.
    start = min(SETTLED, lowest - 2)
    reach = max(1, len(rates) // 20)
    slopes = [_slope(rates, smoothed, place, reach, lowest) for place in range(start, lowest + 1)]
    return float(rates[start + int(np.argmin(slopes))])


def _slope(
    rates: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64], place: int, reach: int, last: int
) -> float:
    """Of the smoothed loss over the logarithm of the rate, across so many steps on both sides."""
    before, after = max(0, place - reach), min(last, place + reach)
    return float((smoothed[after] - smoothed[before]) / np.log(rates[after] / rates[before]))


def _smooth(losses: list[float]) -> float:
    """Exponentially weighted mean, corrected for its start (Kingma and Ba, 2015, section 3)."""
    weights = MEMORY ** np.arange(len(losses))[::-1]
    return float((weights * losses).sum() / weights.sum())


def _steps(loop: TrainingLoop, train: TrainBatches, rates: npt.NDArray[np.float64]) -> Iterator[Step]:
    """A step a rate, over as many epochs as they take."""
    batches = len(train)
    for epoch, first in enumerate(range(0, len(rates), batches)):
        of_epoch = rates[first : first + batches]
        yield from loop.epoch(epoch, islice(train.epoch(epoch), len(of_epoch)), of_epoch.tolist().__getitem__)
