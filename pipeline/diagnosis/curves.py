"""What the curves of training say of why a model errs: too few epochs, too high a rate, over- and underfitting.

There is no chance to reckon with: a curve is one run. They are looked at only where a model errs more than is
worth work, and only what is far from noise counts.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from pipeline.diagnosis.findings import EPOCHS, OVERFIT, RATE, UNDERFIT, Finding

Epochs = Sequence[Mapping[str, float]]
# Fewer epochs have no course.
MIN_COUNT = 3
# A loss that moved by less stayed.
MOVED = 0.1
# A last loss so many times the lowest one has left it.
LEFT = 1.5
# Of a loss that knows nothing, the share that a model which learns anything gets below.
LEARNT = 0.95


def read_curves(epochs: Epochs, asked: int, classes: int) -> list[Finding]:
    """What the losses of train and dev per epoch show.

    Args:
        epochs: of each epoch train/loss and dev/loss, means of -log(probability of the label).
        asked: the epochs that params asked for; fewer were run where patience ended training.
        classes: how many there are; guessing has the loss log(classes).
    """
    if len(epochs) < MIN_COUNT:
        return [_few(epochs, asked)] if len(epochs) == asked else []
    train, dev = ([epoch[f"{name}/loss"] for epoch in epochs] for name in ("train", "dev"))
    if (finding := _too_fast(train, classes)) is not None:
        return [finding]
    found = []
    if len(epochs) == asked and (falling := _still_falling(train, dev)) is not None:
        found.append(falling)
    elif _fall(train, max(2, len(train) // 3)) < MOVED:
        figures = {"train_loss": train[-1], "epochs": len(epochs)}
        words = f"train's loss has stayed at {train[-1]:.3g}: the model has learnt what it can hold"
        found.append(Finding(UNDERFIT, words, figures))
    best = min(range(len(dev)), key=dev.__getitem__)
    if dev[-1] > (1 + MOVED) * dev[best] and train[-1] < train[best]:
        words = (
            f"dev's loss was lowest after epoch {best + 1} of {len(dev)} and has risen by "
            f"{dev[-1] / dev[best] - 1:.0%} since, while train's fell: the model learns train by heart"
        )
        found.append(Finding(OVERFIT, words, {"epoch": best + 1, "rise": dev[-1] / dev[best] - 1}))
    return found


def _few(epochs: Epochs, asked: int) -> Finding:
    return Finding(EPOCHS, f"training ended after {asked} epochs, too few for a curve", {"epochs": len(epochs)})


def _too_fast(train: Sequence[float], classes: int) -> Finding | None:
    lowest = min(train)
    rises = sum(later > (1 + MOVED) * earlier for earlier, later in itertools.pairwise(train))
    figures = {"train_loss": train[-1], "lowest": lowest, "rises": rises, "epochs": len(train)}
    if train[-1] > LEFT * lowest:
        return Finding(RATE, f"train's loss left its lowest value {lowest:.3g} and ended at {train[-1]:.3g}", figures)
    if 3 * rises >= len(train):
        return Finding(RATE, f"train's loss rose in {rises} of {len(train) - 1} epochs instead of falling", figures)
    if lowest > LEARNT * math.log(classes) and not _falls(train):
        return Finding(RATE, f"train's loss stayed at {lowest:.3g}, that of guessing: nothing was learnt", figures)
    return None


def _still_falling(train: Sequence[float], dev: Sequence[float]) -> Finding | None:
    """Whether both losses went down over the last third, dev's to its lowest."""
    last = max(2, len(train) // 3)
    falls = [_fall(losses, last) for losses in (train, dev)]
    lately = min(range(len(dev)), key=dev.__getitem__) >= len(dev) - last
    if not lately or min(falls) < MOVED:
        return None
    words = (
        f"dev's loss still fell by {falls[1]:.0%} over the last {last} of {len(train)} epochs: training ended too early"
    )
    return Finding(EPOCHS, words, {"epochs": len(train), "fall": falls[1]})


def _fall(losses: Sequence[float], last: int) -> float:
    """By what share a loss fell over its last values, the mean of two at each end because losses tremble."""
    before, after = sum(losses[-last - 1 : len(losses) - last + 1]), sum(losses[-2:])
    return 1 - after / max(before, 1e-12)


def _falls(train: Sequence[float]) -> bool:
    """Slowly, but without a break: a rate that is too low, not too high."""
    return all(later < earlier for earlier, later in itertools.pairwise(train))
