"""What the training curves say about why a model errs: stopped too early, too slow, too fast, or memorised.

There is no chance to reckon with: a curve is one run. They are looked at only where a model errs more than is
worth work, and only what is far from noise counts.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.diagnosis.findings import (
    COARSE_CHOICE,
    EARLY_STOP,
    EPOCHS,
    NOTHING_LEARNT,
    OVERFIT,
    RATE,
    RATE_LOW,
    UNDERFIT,
    Finding,
)

Epochs = Sequence[Mapping[str, float]]
# Fewer epochs have no course, and fewer steps no result.
MIN_COUNT, MIN_STEPS = 3, 100
# A loss that moved by less stayed.
MOVED = 0.1
# A loss still falls, too, at such a share of the pace that it had over the whole of training: a slow one that goes on.
PACE = 1 / 3
# A last loss so many times the lowest one has left it.
LEFT = 1.5
# Of a loss that knows nothing, the share that a model which learns anything gets below.
LEARNT = 0.95
# A loss that fell by less did not learn slowly: it learnt nothing.
STIRRED = 0.995
# An epoch that was kept is too early if train's loss later fell below this share of what it was then.
EARLIER = 0.8


@dataclass(frozen=True)
class Training:
    """How training went, beside its losses.

    asked: the epochs that params asked for; fewer were run where patience ended training. steps: batches in an epoch.
    classes: how many there are; guessing has the loss log(classes). kept: the epoch (from 0) whose weights
    were kept. chosen: kept because it was best on dev. dev_images: by how many images it was chosen.
    steady: the learning rate did not fall towards the end. guessing: the loss of always the same number, where images
    have numbers; None where they have classes.
    """

    asked: int
    steps: int
    classes: int
    kept: int
    chosen: bool
    dev_images: int
    steady: bool = True
    guessing: float | None = None


def read_curves(epochs: Epochs, training: Training) -> list[Finding]:
    """What the losses of train and dev per epoch show.

    Args:
        epochs: of each epoch train/loss and dev/loss, means of -log(probability of the label).
    """
    train, dev = ([epoch[f"{name}/loss"] for epoch in epochs] for name in ("train", "dev"))
    steps = len(epochs) * training.steps
    if not all(map(math.isfinite, [*train, *dev])):
        return [
            Finding(RATE, "the loss is not a finite number: the learning rate is too high", {"epochs": len(epochs)})
        ]
    if len(epochs) < MIN_COUNT:
        return [_few(len(epochs), steps)] if len(epochs) == training.asked else []
    if (fast := _too_fast(train, training.classes)) is not None:
        return [fast]
    if (slow := _too_slow(train, training, steps)) is not None:
        return [slow]
    found = _ended(train, dev, training) or _settled(train, training, steps)
    best = min(range(len(dev)), key=dev.__getitem__)
    if dev[-1] > (1 + MOVED) * dev[best] and train[-1] < train[best]:
        words = (
            f"dev's loss was lowest after epoch {best + 1} of {len(dev)} and rose by "
            f"{dev[-1] / dev[best] - 1:.0%} after it, while train's loss kept falling: the model memorises "
            "train"
        )
        found.append(Finding(OVERFIT, words, {"epoch": best + 1, "rise": dev[-1] / dev[best] - 1}))
    return [*found, *_chosen_early(train, dev, training)]


def _few(epochs: int, steps: int) -> Finding:
    ran = f"{epochs} epoch{'s' * (epochs != 1)}, about {steps:,} step{'s' * (steps != 1)}"
    return Finding(EPOCHS, f"training ran for only {ran}", {"epochs": epochs, "steps": steps})


def _too_fast(train: Sequence[float], classes: int) -> Finding | None:
    lowest = min(train)
    rises = sum(later > (1 + MOVED) * earlier for earlier, later in itertools.pairwise(train))
    figures = {"train_loss": train[-1], "lowest": lowest, "rises": rises, "epochs": len(train)}
    if train[-1] > LEFT * lowest:
        return Finding(
            RATE,
            f"train's loss fell to {lowest:.3g} and then rose to {train[-1]:.3g}: the steps are too large",
            figures,
        )
    if 3 * rises >= len(train):
        return Finding(
            RATE, f"train's loss rose in {rises} of {len(train) - 1} epochs: the steps are too large", figures
        )
    return None


def _too_slow(train: Sequence[float], training: Training, steps: int) -> Finding | None:
    """Whether the loss is still about that of guessing: after few steps, or because each step is too small."""
    guessing = math.log(training.classes) if training.guessing is None else training.guessing
    if min(train) <= LEARNT * guessing:
        return None
    figures = {"train_loss": train[-1], "guessing": guessing, "epochs": len(train), "steps": steps}
    words = f"train's loss is {train[-1]:.3g}, and guessing gives {guessing:.3g}"
    if steps < MIN_STEPS:
        return Finding(EPOCHS, f"training took only about {steps:,} steps: {words}", figures)
    if _falls(train):
        return Finding(RATE_LOW, f"{words}: it fell in each epoch, but in too small steps", figures)
    return Finding(NOTHING_LEARNT, f"{words}: the model learnt nothing in {len(train)} epochs", figures)


def _ended(train: Sequence[float], dev: Sequence[float], training: Training) -> list[Finding]:
    """Whether training ended while there was more to learn: of train, as bias is an error on train.

    After the last epoch asked for, dev's loss must have come along, or more epochs learn train by heart. Patience,
    which counts a metric of dev, ends training also where that metric is too coarse to show what is learnt.
    """
    last = max(2, len(train) // 3)
    lately = min(range(len(dev)), key=dev.__getitem__) >= len(dev) - last
    figures = {"train_loss": train[-1], "before": train[-1 - last], "epochs": len(train), "asked": training.asked}
    if len(train) < training.asked:
        # What train goes on learning by heart is no loss: dev's must not have turned.
        if not _still_falls(train) or dev[-1] > (1 + MOVED) * min(dev):
            return []
        words = (
            f"training stopped early (patience) after {len(train)} of {training.asked} epochs, while train's loss was "
            f"still falling ({train[-1 - last]:.3g} to {train[-1]:.3g} in the last {last}): dev's "
            f"{training.dev_images:,} images are too few to show the progress of each epoch"
        )
        return [Finding(EARLY_STOP, words, figures)]
    if not lately or not _still_falls(train) or not _still_falls(dev):
        return []
    words = (
        f"training ended too early: dev's loss was still falling, from {dev[-1 - last]:.3g} to {dev[-1]:.3g} in the "
        f"last {last} of {len(train)} epochs"
    )
    return [Finding(EPOCHS, words, figures)]


def _settled(train: Sequence[float], training: Training, steps: int) -> list[Finding]:
    """Whether the loss stayed where it was: no more epochs of the same help. Of a rate that fell nothing follows."""
    if _still_falls(train) or not training.steady or steps < MIN_STEPS:
        return []
    words = (
        f"train's loss stayed at {train[-1]:.3g} over the last third of training: more epochs alone will not lower it"
    )
    return [Finding(UNDERFIT, words, {"train_loss": train[-1], "epochs": len(train)})]


def _chosen_early(train: Sequence[float], dev: Sequence[float], training: Training) -> list[Finding]:
    """Whether dev chose an early epoch although later ones knew train much better, and dev's loss no worse."""
    kept = training.kept
    if training.guessing is not None:  # errors of numbers are not counted in images
        return []
    if not training.chosen or train[-1] > EARLIER * train[kept] or dev[-1] > (1 + MOVED) * dev[kept]:
        return []
    point = 100 / training.dev_images
    words = (
        f"epoch {kept + 1} of {len(train)} was kept because it was best on dev. But dev has only "
        f"{training.dev_images:,} images, {point:.2g} points each, and the last epoch is as good: its train loss is "
        f"{train[-1]:.3g} instead of {train[kept]:.3g}, and its dev loss is no higher"
    )
    return [Finding(COARSE_CHOICE, words, {"epoch": kept + 1, "epochs": len(train), "point": point / 100})]


def _still_falls(losses: Sequence[float]) -> bool:
    """Whether a loss fell over its last third: by a share that counts, or so that as many epochs again would do so."""
    last = max(2, len(losses) // 3)
    recent, whole = (losses[-1 - last] - losses[-1]) / last, (losses[0] - losses[-1]) / (len(losses) - 1)
    ahead = recent * len(losses) >= MOVED * losses[-1]
    return _fall(losses, last) >= MOVED or (whole > 0 and recent >= PACE * whole and ahead)


def _fall(losses: Sequence[float], last: int) -> float:
    """By what share a loss fell over its last values, the mean of two at each end because losses tremble."""
    before, after = sum(losses[-last - 1 : len(losses) - last + 1]), sum(losses[-2:])
    return 1 - after / max(before, 1e-12)


def _falls(train: Sequence[float]) -> bool:
    """Slowly, but without a break: a rate that is too low, not too high."""
    moved = train[-1] <= STIRRED * train[0]
    return moved and all(later < earlier for earlier, later in itertools.pairwise(train))
