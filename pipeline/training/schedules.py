"""How the learning rate goes over the epochs.

A function of the place in training alone, so that a run that goes on after a stop has the same rates.
"""

import math
from typing import assert_never

from pipeline.training.params import AnySchedule, Constant, Cosine, Sgdr, Step


def rate_factor(
    schedule: AnySchedule, warmup_epochs: float, epochs: int, epoch: int, batch: int, batches: int
) -> float:
    """What the learning rate is multiplied by at a batch, in [0, 1].

    Args:
        epochs: of the whole training.
        epoch, batch: where it is, counted from 0.
        batches: of an epoch.
    """
    done = epoch + batch / batches
    if done < warmup_epochs:
        # At the end of the batch, so that the first one is not thrown away at a rate of 0.
        return min(1.0, (done + 1 / batches) / warmup_epochs)
    return _after_warmup(schedule, done - warmup_epochs, epochs - warmup_epochs)


def _after_warmup(schedule: AnySchedule, done: float, epochs: float) -> float:
    match schedule:
        case Constant():
            return 1.0
        case Step(every=every, factor=factor):
            # A warm-up of 0.1 epochs leaves 2.9999... of 3.
            return float(factor ** math.floor(done / every + 1e-9))
        case Cosine(final=final):
            return _cosine(done / epochs, final)
        case Sgdr(first=first, factor=factor, final=final):
            length = float(first)
            while done >= length - 1e-9:
                done, length = done - length, length * factor
            return _cosine(max(done, 0.0) / length, final)
        case unknown:
            assert_never(unknown)


def _cosine(share: float, final: float) -> float:
    """From 1 at share 0 to `final` at share 1 (Loshchilov and Hutter, 2017, equation 5)."""
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
