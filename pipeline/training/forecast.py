"""Says how long a fit will take: rows before it begins, minutes as soon as a few batches were measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

# Batches that are measured, after the first one, which waits for workers; and seconds that are enough.
MEASURED, SECONDS = 8, 5.0
# What a batch of dev costs, in batches of train: it has no backward pass.
DEV_BATCH = 1 / 3


@dataclass(frozen=True)
class Length:
    """How much a fit has to do. batches, dev_batches: of an epoch. done: batches of train that were done before."""

    rows: int
    batches: int
    dev_batches: int
    epochs: int
    patience: int | None
    done: int = 0

    @property
    def left(self) -> int:
        """Batches of train that are left."""
        return max(0, self.batches * self.epochs - self.done)


def announced(
    length: Length,
    tell: Callable[[str], None],
    advance: Callable[[int], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Callable[[int], None]:
    """Tell the rows now; what comes back counts batches, as `advance` does, and tells the minutes once it knows."""
    before = f", {length.done:,} batches of them done before" if length.done else ""
    tell(f"train: {length.rows:,} rows per epoch, {length.batches:,} batches; at most {length.epochs:,} epochs{before}")
    begun: list[float] = []
    told = length.left <= 2

    def count(steps: int) -> None:
        nonlocal told
        advance(steps)
        if told:
            return
        begun.append(clock())
        measured, seconds = len(begun) - 1, begun[-1] - begun[0]
        if measured and (measured >= min(MEASURED, length.left - 1) or seconds >= SECONDS):
            told = True
            tell(f"train: {minutes_of(length, seconds / measured)}")

    return count


def minutes_of(length: Length, seconds: float) -> str:
    """How long the rest takes, in words.

    Args:
        seconds: that a batch of train takes.
    """
    all_batches = length.left * (1 + DEV_BATCH * length.dev_batches / max(length.batches, 1))
    minutes = all_batches * seconds / 60
    if minutes < 1:
        return "less than a minute in all"
    about = f"about {minutes:,.0f} minutes in all" if minutes < 90 else f"about {minutes / 60:,.1f} hours in all"
    early = f"; less if dev is no better for {length.patience} epochs" if length.patience is not None else ""
    return f"{about}{early}. Fewer rows: augment.copies, balance.strategy; fewer epochs: train.epochs"
