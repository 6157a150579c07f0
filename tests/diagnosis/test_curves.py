"""What curves say: from losses as people draw them on a board."""

import numpy as np
import pytest

from pipeline.diagnosis.curves import read_curves
from pipeline.diagnosis.findings import EPOCHS, OVERFIT, RATE, UNDERFIT

FALLING = [2.0 * 0.8**epoch for epoch in range(12)]
FLAT = [2.0, 1.0, 0.7, 0.62, 0.6, 0.6, 0.59, 0.6, 0.59, 0.59, 0.59, 0.59]
SETTLED = [2.0, 1.0, 0.5, 0.3, 0.2, 0.15, 0.13, 0.12, 0.115, 0.113, 0.112, 0.112]
RISING_DEV = [1.5, 0.9, 0.6, 0.5, 0.48, 0.5, 0.53, 0.57, 0.62, 0.68, 0.73, 0.8]


def names(train: list[float], dev: list[float], asked: int | None = None, classes: int = 10) -> list[str]:
    epochs = [{"train/loss": one, "dev/loss": other} for one, other in zip(train, dev, strict=True)]
    return [finding.name for finding in read_curves(epochs, asked or len(train), classes)]


@pytest.mark.parametrize(
    ("train", "dev", "expected"),
    [
        pytest.param(FALLING, FALLING, [EPOCHS], id="both still fall"),
        pytest.param(FLAT, FLAT, [UNDERFIT], id="both stay high"),
        pytest.param(SETTLED, SETTLED, [UNDERFIT], id="settled"),
        pytest.param(FALLING, RISING_DEV, [OVERFIT], id="dev rises while train falls"),
        pytest.param([2.3] * 12, [2.3] * 12, [RATE], id="nothing is learnt"),
        pytest.param(
            [2.0, 1.0, 0.8, 1.5, 2.5, 3.0], [2.0, 1.0, 0.9, 1.6, 2.6, 3.0], [RATE], id="the loss leaves its lowest"
        ),
        pytest.param([2.0, 1.2, 1.5, 1.1, 1.4, 1.0, 1.3, 1.2], [2.0] * 8, [RATE], id="the loss swings"),
        pytest.param(
            [2.30, 2.29, 2.28, 2.27], [2.3, 2.29, 2.28, 2.27], [UNDERFIT], id="slow, and no sign of too high a rate"
        ),
        pytest.param([2.0], [2.0], [EPOCHS], id="one epoch"),
        pytest.param([2.0, 0.5], [2.0, 0.5], [EPOCHS], id="two epochs"),
    ],
)
def test_curves_are_read(train: list[float], dev: list[float], expected: list[str]) -> None:
    assert names(train, dev) == expected


def test_training_that_patience_ended_had_epochs_enough() -> None:
    assert names(FALLING, FALLING, asked=50) == []
    assert names([2.0, 1.0], [2.0, 2.1], asked=50) == []


def test_small_swings_are_no_finding() -> None:
    """Batches come in another order each epoch, and dropout takes others: a loss trembles."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        trembling = [loss * float(generator.normal(1, 0.02)) for loss in SETTLED]
        assert RATE not in names(trembling, trembling)
        assert EPOCHS not in names(trembling, trembling)
