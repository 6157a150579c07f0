"""Confident learning on probabilities: planted wrong labels are found, and nothing where there are none."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.stages.label_issues.label_noise import label_noise

Numbers = npt.NDArray[np.intp]


def seen(truth: Numbers, classes: int, seed: int = 0, sure: float = 4.0) -> npt.NDArray[np.float64]:
    """What a good model says of images whose true classes these are."""
    logits = np.random.default_rng(seed).normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += sure
    shares: npt.NDArray[np.float64] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares


def planted(count: int, classes: int, wrong: int) -> tuple[Numbers, Numbers]:
    """True classes, and labels of which the first ones are wrong."""
    truth = np.arange(count) % classes
    labels = truth.copy()
    labels[:wrong] = (labels[:wrong] + 1) % classes
    return truth, labels


@pytest.mark.parametrize("classes", [2, 5])
def test_planted_labels_are_found(classes: int) -> None:
    truth, labels = planted(1200, classes, 60)
    noise = label_noise(labels, seen(truth, classes))
    assert noise.suspect[:60].mean() >= 0.75
    assert noise.suspect[60:].mean() <= 0.01
    assert (noise.preferred == truth)[noise.suspect].mean() >= 0.9
    assert noise.quality[:60].mean() < noise.quality[60:].min() + 0.1


def test_clean_labels_raise_no_false_alarm() -> None:
    truth, _ = planted(400, 4, 0)
    noise = label_noise(truth, seen(truth, 4, sure=6.0))
    assert not noise.suspect.any()


@pytest.mark.parametrize("labels", [[0] * 6, [0, 0, 0, 2, 2, 2], [1]])
def test_few_images_and_missing_classes_are_no_error(labels: list[int]) -> None:
    noise = label_noise(np.array(labels), seen(np.array(labels), 3))
    assert noise.suspect.shape == (len(labels),)
    assert not noise.suspect.all()


def test_certainty_of_another_class_is_the_worst_quality() -> None:
    truth, labels = planted(60, 3, 1)
    probabilities = np.eye(3)[truth]
    noise = label_noise(labels, probabilities)
    assert noise.suspect.tolist() == [True] + [False] * 59
    assert noise.quality[0] == 0
