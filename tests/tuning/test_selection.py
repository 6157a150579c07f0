"""What choosing the best of many models does to its number, and what is left without the choice."""

import numpy as np
import pandas as pd

from pipeline.metrics.predictions import Predictions
from pipeline.tuning.selection import after_selection
from tests.fits import metric_named

IMAGES = 300


def models(accuracies: list[float], generator: np.random.Generator) -> list[Predictions]:
    labels = generator.integers(0, 2, IMAGES)
    found = []
    for accuracy in accuracies:
        wrong = generator.random(IMAGES) >= accuracy
        found.append(Predictions(("a", "b"), labels, np.where(wrong, 1 - labels, labels), None))
    return found


def test_the_best_of_many_equal_models_is_worth_what_they_all_are() -> None:
    """40 models that are right on 80 %: the best shows about 85 %; corrected, the truth lies in most intervals."""
    metric, groups = metric_named("accuracy"), pd.Series([str(number) for number in range(IMAGES)])
    shown, corrected, held = [], [], 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        found = after_selection(metric, models([0.8] * 40, generator), groups, 200, 1)
        assert found is not None
        shown.append(found.value)
        corrected.append(found.corrected)
        held += found.low <= 0.8 <= found.high
    assert np.mean(shown) > 0.84
    assert abs(np.mean(corrected) - 0.8) < 0.015
    assert held >= 18


def test_a_model_that_is_better_for_certain_loses_nothing() -> None:
    groups = pd.Series([str(number) for number in range(IMAGES)])
    found = after_selection(metric_named("accuracy"), models([0.95, 0.6], np.random.default_rng(0)), groups, 200, 1)
    assert found is not None
    assert found.value - found.corrected < 0.005


def test_few_groups_tell_nothing() -> None:
    groups = pd.Series(["one", "two"] * (IMAGES // 2))
    assert after_selection(metric_named("accuracy"), models([0.9], np.random.default_rng(0)), groups, 50, 1) is None
