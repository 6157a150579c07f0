"""Leaks, confidences and the size of dev."""

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.error_levels import Level
from pipeline.diagnosis.findings import BEYOND_PEOPLE, CALIBRATION, LEAK, SMALL_DEV
from pipeline.diagnosis.sanity_checks import beyond_people, miscalibrated, shared_pictures, too_small
from tests.diagnosis.cases import evaluate, levels


def manifest(**columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"split": ["train", "train", "train_dev", "dev", "dev"]})
    own = [f"p{number}" for number in range(5)]
    return frame.assign(**{"pixels": own, "group": own, **columns})


def test_pictures_of_dev_in_train_are_counted() -> None:
    assert shared_pictures(manifest()) == []
    (same,) = shared_pictures(manifest(pixels=["a", "b", "c", "a", "e"]))
    assert (same.name, same.subject, same.figures, same.p) == (LEAK, "dev", {"images": 1}, None)
    assert same.words == "1 of 2 dev images are also in train: dev's error is too low"
    assert {each.subject for each in shared_pictures(manifest(group=["a", "b", "a", "b", "b"]))} == {"train_dev", "dev"}


def dev(confidence: float, right: float, images: int = 500, seed: int = 1) -> pd.DataFrame:
    called = np.where(np.random.default_rng(seed).random(images) < right, "a", "b")
    groups = [str(number) for number in range(images)]
    return pd.DataFrame({"label": "a", "predicted": called, "confidence": np.float32(confidence), "group": groups})


@pytest.mark.parametrize(
    ("confidence", "right", "words"), [(0.99, 0.8, "model is overconfident"), (0.7, 0.95, "model is underconfident")]
)
def test_confidences_that_lie_are_found(confidence: float, right: float, words: str) -> None:
    (found,), tests = miscalibrated(dev(confidence, right), evaluate(), 0.02)
    assert (found.name, tests) == (CALIBRATION, 1)
    assert words in found.words
    assert found.p is not None
    assert found.p < 1e-6


def test_confidences_of_few_images_are_off_by_chance() -> None:
    surprises = [miscalibrated(dev(0.9, 0.9, 30, seed), evaluate(), 0.02)[0] for seed in range(40)]
    assert sum(each.p is not None and each.p < 0.005 for found in surprises for each in found) <= 1


def dev_level(images: int, wrong: int) -> Level:
    return levels(train=(10, 1), train_dev=(10, 1), dev=(images, wrong))["dev"]


def test_a_small_dev_says_how_many_images_it_lacks_and_these_do_what_it_says() -> None:
    (found,) = too_small(dev_level(1000, 100), 0.02)
    assert found.name == SMALL_DEV
    needs = int(found.figures["needs"])
    assert f"about {needs:,} more images would show 2 points in 80 % of comparisons" in found.words
    # Simulated: the test of the difference of two proportions, of models that are 2 points apart.
    draws = np.random.default_rng(1).binomial(1000 + needs, [[0.09], [0.11]], (2, 4000)) / (1000 + needs)
    mean = draws.mean(axis=0)
    told = np.abs(draws[0] - draws[1]) > 1.96 * np.sqrt(2 * mean * (1 - mean) / (1000 + needs))
    assert 0.77 < told.mean() < 0.85
    assert too_small(dev_level(1000 + needs, 100 + needs // 10), 0.02) == []


def test_a_dev_that_is_about_large_enough_is_no_finding() -> None:
    """441 images with 9 errors show 2.0 points: 23 more would change nothing."""
    assert too_small(dev_level(441, 9), 0.02) == []


def test_images_that_nobody_collects_are_not_asked_for() -> None:
    (found,) = too_small(dev_level(60, 20), 0.005)
    assert "needs" not in found.figures
    assert "more" not in found.words


@pytest.mark.parametrize(
    ("wrong", "human", "told"), [(2, 0.05, True), (40, 0.05, False), (0, 0.005, False), (0, 0.0, False)]
)
def test_a_model_that_surely_beats_people_needs_another_baseline(wrong: int, human: float, told: bool) -> None:
    found = beyond_people(levels(human, train=(400, 1), train_dev=(100, 1), dev=(400, wrong)))
    assert [each.name for each in found] == [BEYOND_PEOPLE] * told
    if told:
        assert found[0].words == (
            "dev's error of 0.5% (0.1 to 1.8) is below people's 5.0%: human error no longer shows what is possible"
        )
