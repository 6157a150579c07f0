"""Leaks, confidences and the size of dev."""

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.findings import CALIBRATION, LABEL_NOISE, LEAK, SMALL_DEV
from pipeline.diagnosis.sanity_checks import miscalibrated, shared_pictures, too_small, wrong_labels
from tests.diagnosis.cases import evaluate, levels


def manifest(**columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"split": ["train", "train", "train_dev", "dev", "dev"]})
    own = [f"p{number}" for number in range(5)]
    return frame.assign(**{"pixels": own, "group": own, **columns})


def test_pictures_of_dev_in_train_are_counted() -> None:
    assert shared_pictures(manifest()) == []
    (same,) = shared_pictures(manifest(pixels=["a", "b", "c", "a", "e"]))
    assert (same.name, same.subject, same.figures, same.p) == (LEAK, "dev", {"images": 1}, None)
    assert same.words == "1 of 2 dev images stand in train, too: dev's error is too low"
    assert {each.subject for each in shared_pictures(manifest(group=["a", "b", "a", "b", "b"]))} == {"train_dev", "dev"}


def dev(confidence: float, right: float, images: int = 500, seed: int = 1) -> pd.DataFrame:
    called = np.where(np.random.default_rng(seed).random(images) < right, "a", "b")
    groups = [str(number) for number in range(images)]
    return pd.DataFrame({"label": "a", "predicted": called, "confidence": np.float32(confidence), "group": groups})


@pytest.mark.parametrize(("confidence", "right", "words"), [(0.99, 0.8, "too sure"), (0.7, 0.95, "too unsure")])
def test_confidences_that_lie_are_found(confidence: float, right: float, words: str) -> None:
    (found,), tests = miscalibrated(dev(confidence, right), evaluate(), 0.02)
    assert (found.name, tests) == (CALIBRATION, 1)
    assert words in found.words
    assert found.p is not None
    assert found.p < 1e-6


def test_confidences_of_few_images_are_off_by_chance() -> None:
    surprises = [miscalibrated(dev(0.9, 0.9, 30, seed), evaluate(), 0.02)[0] for seed in range(40)]
    assert sum(each.p is not None and each.p < 0.005 for found in surprises for each in found) <= 1


def test_a_small_dev_says_how_many_images_it_lacks() -> None:
    (found,) = too_small(levels(train=(10, 1), train_dev=(10, 1), dev=(300, 30))["dev"], 0.02)
    assert found.name == SMALL_DEV
    needs = int(found.figures["needs"])
    # 2 p (1 - p) (1.96 / 0.02)^2 = 1,779 images at an error of 10.3 %, of which 300 are there.
    assert 1400 < needs <= 1600
    assert f"about {needs:,} more would show 2 points" in found.words
    enough = levels(train=(10, 1), train_dev=(10, 1), dev=(300 + needs, 30 + needs // 10))["dev"]
    assert too_small(enough, 0.02) == []


def doubts(wrong_share: float, most_confident: int, disagreeing: float) -> dict[str, dict[str, float]]:
    return {
        "train": {
            "wrong_share": wrong_share,
            "label_issues": 40,
            "most_confident": most_confident,
            "disagreeing": disagreeing,
        }
    }


def test_wrong_labels_are_named() -> None:
    (found,) = wrong_labels(doubts(0.032, 832, 0.044), 0.02)
    assert (found.name, found.subject) == (LABEL_NOISE, "train")
    assert found.words == "about 3.2% of train's labels seem wrong, 40 images by name"


@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param(doubts(0.012, 891, 0.022), id="too few to be worth work"),
        pytest.param(doubts(0.021, 208, 0.021), id="too few images to be sure of it"),
        pytest.param(doubts(0.4, 29, 0.4), id="too few images for any verdict"),
        pytest.param(doubts(0.0, 0, 0.0), id="nothing to judge by"),
        pytest.param({}, id="train is not looked at"),
    ],
)
def test_what_a_model_that_doubts_may_owe_to_its_own_mistakes_is_not_named(
    metrics: dict[str, dict[str, float]],
) -> None:
    assert wrong_labels(metrics, 0.02) == []
