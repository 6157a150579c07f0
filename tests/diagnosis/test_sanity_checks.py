"""Leaks, confidences and the size of dev."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.error_levels import Level
from pipeline.diagnosis.findings import BEYOND_PEOPLE, CALIBRATION, LEAK, SCENES, SMALL_DEV
from pipeline.diagnosis.sanity_checks import (
    better_than_dev,
    beyond_people,
    miscalibrated,
    shared_pictures,
    shared_scenes,
    too_good,
    too_small,
)
from pipeline.manifest import DEV, TEST
from tests.diagnosis.cases import evaluate, levels, predictions


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


def split_errors(**wrong: tuple[int, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and manifest; dev and half of train are of production, and errors are those of the first images."""
    called = predictions(**wrong)
    number = called["id"].str.rpartition("/")[2].astype(int)
    role = np.where((called["split"] == "dev") | (number % 2 == 0), "production", "raw")
    return called, called[["id", "split"]].assign(role=role)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"train": (1000, 200), "train_dev": (200, 0), "dev": (400, 80)}, ["train_dev"], id="train_dev"),
        pytest.param({"train": (1000, 200), "train_dev": (200, 40), "dev": (400, 0)}, ["dev"], id="dev"),
        pytest.param({"train": (1000, 200), "train_dev": (200, 38), "dev": (400, 78)}, [], id="as much"),
        # p = 0.02 of train_dev: a grave charge needs more than what is seen once in fifty healthy runs.
        pytest.param({"train": (1000, 100), "train_dev": (100, 3), "dev": (400, 40)}, [], id="perhaps by chance"),
    ],
)
def test_a_split_that_errs_less_than_what_was_learnt_is_a_leak(wrong: Any, told: list[str]) -> None:
    made, tests = too_good(*split_errors(**wrong), relevant=0.05)
    assert ([each.subject for each in made], tests) == (told, 2)
    for each in made:
        assert each.name == LEAK
        assert each.gain == pytest.approx(0.2)
        assert each.words == (
            f"{each.subject}'s error is 20.0 points below that of the same kind of images in train, which the model "
            f"has seen: perhaps train has wrong labels, or copies of {each.subject} images"
        )
        assert each.figures == {"below": pytest.approx(0.2)}


def test_dev_is_held_against_production_s_images_alone() -> None:
    called, manifest = split_errors(train=(1000, 200), train_dev=(200, 40), dev=(400, 0))
    raw_alone = manifest.assign(role=np.where(manifest["split"] == "dev", "production", "raw"))
    made, tests = too_good(called, raw_alone, relevant=0.05)
    assert (made, tests) == ([], 1)


@pytest.mark.parametrize(
    ("test", "told", "tests"),
    [((400, 0), True, 1), ((400, 78), False, 1), ((60, 4), False, 1), (None, False, 0)],
    ids=["far below", "as dev", "perhaps by chance", "not looked at"],
)
def test_a_test_that_errs_far_less_than_dev_is_a_leak(test: tuple[int, int] | None, told: bool, tests: int) -> None:
    found = dict(levels(train=(400, 4), train_dev=(100, 1), dev=(400, 80)))
    if test is not None:
        found[TEST] = levels(train=(400, 4), train_dev=(100, 1), dev=test)[DEV]
    made, count = better_than_dev(found, 0.05)
    assert ([each.subject for each in made], count) == ([TEST] * told, tests)
    if told:
        assert made[0].words.startswith("test's error is 20.0 points below dev's")
        assert made[0].p is not None
        assert made[0].p < 0.001


def seen_scenes(pairs: int, images: int = 100) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predictions of dev, of which the first ten are wrong; manifest; and so many scenes that train and dev share."""
    called = predictions(train=(50, 0), dev=(images, 10))
    ids = [(f"{split}/{number:05}", str(number)) for number in range(pairs) for split in ("train", "dev")]
    alone = [("dev/00098", "dev alone"), ("dev/00099", "dev alone"), ("train/00049", "train alone")]
    return called, called[["id", "split"]], pd.DataFrame([*ids, *alone], columns=["id", "family"])


def test_scenes_of_train_in_dev_are_told_with_both_errors() -> None:
    (found,) = shared_scenes(*seen_scenes(20), relevant=0.02)
    assert (found.name, found.subject, found.gain) == (SCENES, "dev", 0.2)
    assert found.words == (
        "20 of 100 dev images show a scene of train, and their error is 50.0%; that of the 80 others is 0.0%. Dev's "
        "error of 10.0% does not show how good the model is on new scenes"
    )
    assert found.figures == {"images": 20, "error_of_these": 0.5, "error_of_others": 0.0}


@pytest.mark.parametrize(("pairs", "told"), [(0, False), (1, False), (2, True)])
def test_scenes_too_few_to_change_the_error_are_not_told(pairs: int, told: bool) -> None:
    assert bool(shared_scenes(*seen_scenes(pairs), relevant=0.02)) == told


def test_a_dev_of_scenes_of_train_alone_has_no_others() -> None:
    (found,) = shared_scenes(*seen_scenes(40, images=40), relevant=0.02)
    assert "others" not in found.words
    assert "error_of_others" not in found.figures


def test_calibration_errors_are_means_over_bins_of_what_is_missing() -> None:
    confidence = np.repeat([0.9, 0.6], 100)
    right = np.r_[np.arange(100) < 70, np.arange(100) < 60]
    frame = pd.DataFrame({"label": "a", "predicted": np.where(right, "a", "b"), "confidence": confidence})
    (found,), _ = miscalibrated(frame.assign(group=[str(number) for number in range(200)]), evaluate(), 0.02)
    assert found.figures["calibration_error"] == pytest.approx(0.1)
    assert found.figures["bold"] == pytest.approx(0.1)
    # By chance: in each bin of 100 the mean of |z| times the deviation of a share, and half of all images.
    chance = np.sqrt(2 / np.pi) * (np.sqrt(0.9 * 0.1 / 100) + np.sqrt(0.6 * 0.4 / 100)) / 2
    assert found.figures["by_chance"] == pytest.approx(chance, rel=0.1)
    assert "confidences are off by 10.0 points" in found.words


def test_groups_that_err_together_are_off_by_more_by_chance() -> None:
    """A draw decides a group's images together, so the same deviation is less of a surprise."""
    frame = dev(0.9, 0.85, 400)
    apart, together = (
        miscalibrated(frame.assign(group=[str(number // size) for number in range(400)]), evaluate(), 0.0)[0]
        for size in (1, 20)
    )
    assert apart
    assert not together or float(together[0].figures["by_chance"]) > 3 * float(apart[0].figures["by_chance"])


def test_what_dev_can_show_is_the_test_of_two_proportions() -> None:
    (found,) = too_small(dev_level(400, 40), 0.02)
    effective = dev_level(400, 40).effective
    share = (0.1 * effective + 2) / (effective + 4)
    assert found.figures["visible"] == pytest.approx(1.959964 * np.sqrt(2 * share * (1 - share) / effective), rel=1e-5)
    assert found.words.startswith("with 400 images, dev can show a difference between two models only if it is at")


def test_train_dev_is_held_against_images_of_its_own_roles() -> None:
    """Of raw images alone, of which train's are right; train's production images are wrong, and say nothing of it."""
    called, manifest = split_errors(train=(1000, 0), train_dev=(200, 0), dev=(400, 80))
    role = np.where((called["split"] == "train_dev"), "raw", manifest["role"])
    of_production = (called["split"] == "train") & (manifest["role"] == "production")
    called = called.assign(predicted=np.where(of_production, "pear", called["predicted"]))
    made, _ = too_good(called, manifest.assign(role=role), relevant=0.05)
    assert [each.subject for each in made] == ["dev"]


def test_confidences_that_are_off_by_no_more_than_chance_are_no_finding() -> None:
    """Of 30 images a calibration error of some points is usual."""
    frame = dev(0.9, 0.9, 30)
    assert miscalibrated(frame, evaluate(), 0.05) == ([], 1)


def test_what_is_asked_for_grows_with_the_square_of_what_is_lacking() -> None:
    (found,) = too_small(dev_level(1000, 100), 0.02)
    power = 1 + 0.841621 / 1.959964
    more = 1000 * ((power * float(found.figures["visible"]) / 0.02) ** 2 - 1)
    assert float(found.figures["needs"]) == pytest.approx(more, rel=0.05)
