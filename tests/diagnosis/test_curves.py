"""What curves say: from losses as people draw them on a board."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.diagnosis.curves import Training, _fall, _falls, _still_falls, read_curves
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

FALLING = [2.0 * 0.8**epoch for epoch in range(12)]
FLAT = [2.0, 1.0, 0.7, 0.62, 0.6, 0.6, 0.59, 0.6, 0.59, 0.59, 0.59, 0.59]
SETTLED = [2.0, 1.0, 0.5, 0.3, 0.2, 0.15, 0.13, 0.12, 0.115, 0.113, 0.112, 0.112]
CREEPS = [1.40 - 0.0075 * epoch for epoch in range(12)]
SLOW = [2.2 - 0.04 * epoch for epoch in range(8)]
# Six epochs that patience ended on 114 dev images, whose accuracy hardly moved: the same model learns on.
STOPPED = [1.66, 1.58, 1.53, 1.48, 1.44, 1.40]
RISING_DEV = [1.5, 0.9, 0.6, 0.5, 0.48, 0.5, 0.53, 0.57, 0.62, 0.68, 0.73, 0.8]


def findings(train: list[float], dev: list[float], **changes: Any) -> list[Finding]:
    epochs = [{"train/loss": one, "dev/loss": other} for one, other in zip(train, dev, strict=True)]
    usual = Training(
        asked=len(train), steps=50, classes=10, kept=len(train) - 1, chosen=True, dev_images=500, steady=True
    )
    return read_curves(epochs, replace(usual, **changes))


def names(train: list[float], dev: list[float], **changes: Any) -> list[str]:
    return [finding.name for finding in findings(train, dev, **changes)]


@pytest.mark.parametrize(
    ("train", "dev", "expected"),
    [
        pytest.param(FALLING, FALLING, [EPOCHS], id="both still fall"),
        pytest.param(FLAT, FLAT, [UNDERFIT], id="both stay high"),
        pytest.param(SETTLED, SETTLED, [UNDERFIT], id="settled"),
        pytest.param(FALLING, RISING_DEV, [OVERFIT], id="dev rises while train falls"),
        pytest.param([2.3] * 12, [2.3] * 12, [NOTHING_LEARNT], id="nothing is learnt"),
        pytest.param(
            [2.0, 1.0, 0.8, 1.5, 2.5, 3.0], [2.0, 1.0, 0.9, 1.6, 2.6, 3.0], [RATE], id="the loss leaves its lowest"
        ),
        pytest.param([2.0, 1.2, 1.5, 1.1, 1.4, 1.0, 1.3, 1.2], [2.0] * 8, [RATE], id="the loss swings"),
        pytest.param(
            [2.30, 2.29, 2.28, 2.27], [2.3, 2.29, 2.28, 2.27], [RATE_LOW], id="slow, and no sign of too high a rate"
        ),
        pytest.param(SLOW, SLOW, [EPOCHS], id="falls slowly and evenly"),
        pytest.param(CREEPS, CREEPS, [UNDERFIT], id="falls so slowly that as many epochs again hardly help"),
        pytest.param([2.31, 2.309, 2.308, 2.307], [2.31] * 4, [NOTHING_LEARNT], id="falls by nothing"),
        pytest.param([2.0, 1.5, float("nan")], [2.0, 1.6, 1.6], [RATE], id="no number"),
        pytest.param([2.0], [2.0], [EPOCHS], id="one epoch"),
        pytest.param([2.0, 0.5], [2.0, 0.5], [EPOCHS], id="two epochs"),
    ],
)
def test_curves_are_read(train: list[float], dev: list[float], expected: list[str]) -> None:
    assert names(train, dev) == expected


def test_patience_that_ended_training_while_train_still_learnt_is_no_lack_of_capacity() -> None:
    (found,) = findings(STOPPED, [1.7, 1.6, 1.58, 1.55, 1.5, 1.48], asked=30, classes=5, dev_images=114)
    assert found.name == EARLY_STOP
    assert found.words.startswith(
        "training stopped early (patience) after 6 of 30 epochs, while train's loss was still falling"
    )
    assert "114 images are too few" in found.words
    assert names(FALLING, FALLING, asked=50) == [EARLY_STOP]


def test_patience_that_ended_training_in_time_is_no_finding() -> None:
    assert names(FALLING, RISING_DEV, asked=50) == [OVERFIT]
    assert names(SETTLED, SETTLED, asked=50) == [UNDERFIT]
    assert names([2.0, 1.0], [2.0, 2.1], asked=50) == []


def test_a_loss_that_stays_because_its_rate_fell_to_nothing_is_no_lack_of_capacity() -> None:
    assert names(SETTLED, SETTLED, steady=False) == []


def test_few_steps_are_named_before_a_low_rate() -> None:
    slow = [2.30, 2.29, 2.28, 2.27]
    (found,) = findings(slow, slow, steps=2)
    assert (found.name, found.figures["steps"]) == (EPOCHS, 8)
    assert found.words.startswith("training took only about 8 steps")


def test_an_early_epoch_that_few_dev_images_chose_is_told() -> None:
    level = [0.5] * len(FALLING)
    (found,) = findings(FALLING, level, kept=1, dev_images=59)
    assert found.name == COARSE_CHOICE
    assert found.words.startswith(
        "epoch 2 of 12 was kept because it was best on dev. But dev has only 59 images, 1.7 points each"
    )
    assert names(FALLING, level, kept=1, chosen=False) == []
    assert names(FALLING, level, kept=11) == []
    # The early epoch was right where dev's loss rose after it.
    assert COARSE_CHOICE not in names(FALLING, RISING_DEV, kept=4)


def test_small_swings_are_no_finding() -> None:
    """Batches come in another order each epoch, and dropout takes others: a loss trembles."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        trembling = [loss * float(generator.normal(1, 0.02)) for loss in SETTLED]
        assert RATE not in names(trembling, trembling)
        assert EPOCHS not in names(trembling, trembling)


def test_figures_in_sentences_are_those_of_the_curve() -> None:
    (stopped,) = findings(STOPPED, [1.7, 1.6, 1.58, 1.55, 1.5, 1.48], asked=30, classes=5, dev_images=114)
    assert "still falling (1.48 to 1.4 in the last 2)" in stopped.words
    assert stopped.figures == {"train_loss": 1.40, "before": 1.48, "epochs": 6, "asked": 30}
    (swings,) = findings([2.0, 1.2, 1.5, 1.1, 1.4, 1.0, 1.3, 1.2], [2.0] * 8)
    assert "train's loss rose in 3 of 7 epochs" in swings.words
    (one,) = findings([2.0], [2.0])
    assert one.words.startswith("training ran for only 1 epoch, about 50 steps")
    (two,) = findings([2.0, 0.5], [2.0, 0.5])
    assert two.words.startswith("training ran for only 2 epochs, about 100 steps")
    (ended,) = findings(FALLING, FALLING)
    assert f"from {FALLING[-5]:.3g} to {FALLING[-1]:.3g} in the last 4 of 12 epochs" in ended.words


def test_a_loss_that_fell_in_the_first_epoch_alone_moved_all_the_same() -> None:
    slow = [2.30, 2.289, 2.2885, 2.288]
    assert names(slow, slow) == [RATE_LOW]


def line(first: float, slope: float, epochs: int = 12) -> list[float]:
    """A loss that falls by so much an epoch."""
    return [first - slope * epoch for epoch in range(epochs)]


def kinked(whole: float, recent: float = 0.02) -> list[float]:
    """Twelve epochs that end at 1, with such slopes over the whole and over the last four."""
    first, bend = 1 + 11 * whole, 1 + 4 * recent
    return [*np.linspace(first, bend, 8), *np.linspace(bend, 1, 5)[1:]]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        # As many epochs again lower it by a tenth: 12 d is a tenth of 1 - 11 d.
        pytest.param(line(1, 0.0077), True, id="a tenth ahead"),
        pytest.param(line(1, 0.0075), False, id="less than a tenth ahead"),
        # A third of the pace over the whole.
        pytest.param(kinked(0.059), True, id="at a third of its pace"),
        pytest.param(kinked(0.061), False, id="at less than a third of its pace"),
        # Over the whole it did not fall.
        pytest.param([1.0, *[1.1] * 7, 1.08, 1.05, 1.02, 1.0], False, id="back to where it began"),
        # By a tenth lately: 0.9 of what two epochs had, at no pace at all over the whole.
        pytest.param([1.0, *[1.12] * 7, 1.12, 1.0, 1.0, 1.0], True, id="a tenth lately"),
        # Of few epochs the last two.
        pytest.param([1.0, 1.0, 0.8], True, id="of three epochs the last two"),
        pytest.param([1.0, 0.85, 0.85, 0.85], False, id="of four epochs not the first step"),
    ],
)
def test_a_loss_still_falls_at_its_thresholds(losses: list[float], expected: bool) -> None:
    assert _still_falls(losses) == expected


def test_a_fall_is_told_from_the_means_of_two_losses_at_each_end() -> None:
    assert _fall([9, 9, 9, 4, 2, 1], 2) == pytest.approx(1 - 3 / 6)
    assert _fall([9, 9, 6, 4, 2, 1], 3) == pytest.approx(1 - 3 / 10)


@pytest.mark.parametrize(
    ("losses", "expected"), [([1.0, 0.997, 0.995], True), ([1.0, 0.997, 0.9951], False), ([1.0, 0.8, 0.8], False)]
)
def test_a_loss_that_falls_moves_by_half_a_hundredth_and_never_stays(losses: list[float], expected: bool) -> None:
    assert _falls(losses) == expected


FAST = [2.0, 1.5, 1.2, 1.1, 1.0, 1.05]
TWO_RISES = [1.0, 0.8, 0.9, 0.8, 0.9, 0.85]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        pytest.param([*FAST, 1.5], False, id="one and a half times the lowest"),
        pytest.param([*FAST, 1.51], True, id="more than that"),
        pytest.param(TWO_RISES, True, id="a third of the epochs rose"),
        pytest.param([*TWO_RISES, 0.84], False, id="fewer rose"),
        pytest.param([1.0, 1.1, 0.9, 0.99, 0.8, 0.7], False, id="rose by a tenth at most"),
        pytest.param([1.0, 1.11, 0.9, 1.0, 0.8, 0.7], True, id="rose by more than a tenth"),
    ],
)
def test_steps_are_too_large_at_their_thresholds(train: list[float], expected: bool) -> None:
    assert (RATE in names(train, train)) == expected


@pytest.mark.parametrize(
    ("train", "steps", "expected"),
    [
        pytest.param([2.3] * 3, 50, NOTHING_LEARNT, id="three epochs have a course"),
        pytest.param([2.3] * 4, 25, NOTHING_LEARNT, id="a hundred steps have a result"),
        pytest.param([2.3] * 4, 24, EPOCHS, id="fewer have none"),
        pytest.param([*[2.3] * 3, 0.951 * np.log(10)], 50, RATE_LOW, id="hardly below guessing"),
        pytest.param([*[2.3] * 3, 0.949 * np.log(10)], 50, None, id="below guessing"),
    ],
)
def test_what_is_learnt_is_told_at_its_thresholds(train: list[float], steps: int, expected: str | None) -> None:
    falling = [loss - 1e-6 * epoch for epoch, loss in enumerate(train)]
    found = findings(falling, [2.3] * len(train), steps=steps)
    assert [each.name for each in found] == [expected] * (expected is not None)
    for each in found:
        figures = {"train_loss": falling[-1], "guessing": np.log(10), "epochs": len(train), "steps": len(train) * steps}
        assert each.figures == figures


def test_a_loss_that_stays_over_few_steps_is_no_lack_of_capacity() -> None:
    assert names(FLAT, FLAT, steps=8) == []
    assert names(FLAT, FLAT, steps=9) == [UNDERFIT]


@pytest.mark.parametrize(("lowest", "expected"), [(8, [EPOCHS]), (7, [])])
def test_training_ended_too_early_where_dev_was_best_in_its_last_third(lowest: int, expected: list[str]) -> None:
    """Of twelve epochs the last four; dev falls lately, but for one epoch below all others."""
    dev = line(1.0, 0.05)
    dev[lowest] = 0.44
    assert names(FALLING, dev) == expected


@pytest.mark.parametrize(("last", "told"), [(0.55, True), (0.56, False)])
def test_patience_ended_training_too_early_unless_dev_had_turned_by_more_than_a_tenth(last: float, told: bool) -> None:
    dev = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, last]
    assert (EARLY_STOP in names(FALLING, dev, asked=50)) == told
    assert (OVERFIT in names(FALLING, dev, asked=50)) != told


def test_dev_that_rises_together_with_train_is_not_learnt_by_heart() -> None:
    train, dev = [2.0, 1.0, 0.5, 0.4, 0.4, *[0.41] * 7], [2.0, 1.0, 0.5, 0.4, 0.4, 0.4, *[0.5] * 6]
    assert OVERFIT not in names(train, dev)
    (found,) = (each for each in findings([*train[:5], *[0.2] * 7], dev) if each.name == OVERFIT)
    assert found.figures == {"epoch": 4, "rise": pytest.approx(0.25)}
    assert "lowest after epoch 4 of 12 and rose by 25% after it" in found.words


@pytest.mark.parametrize(
    ("train", "dev", "told"), [(0.8, 1.1, True), (0.81, 1.1, False), (0.8, 1.11, False)], ids=["both", "train", "dev"]
)
def test_an_epoch_was_chosen_too_early_at_its_thresholds(train: float, dev: float, told: bool) -> None:
    losses = [1.2, 1.0, *np.linspace(1.0, train, 11)[1:]]
    of_dev = [1.3, 1.0, *np.linspace(1.0, dev, 11)[1:]]
    found = [each for each in findings(losses, of_dev, kept=1, dev_images=50) if each.name == COARSE_CHOICE]
    assert bool(found) == told
    if told:
        assert found[0].figures == {"epoch": 2, "epochs": 12, "point": pytest.approx(1 / 50)}
    # Errors of numbers are not counted in images.
    assert COARSE_CHOICE not in names(losses, of_dev, kept=1, guessing=5.0)


def test_a_loss_that_stays_is_told_with_its_figures() -> None:
    train = [*FLAT[:-1], 0.588]
    (found,) = findings(train, train)
    assert found.figures == {"train_loss": 0.588, "epochs": 12}
    assert found.words.startswith("train's loss stayed at 0.588 over the last third of training")
