"""Confident learning on probabilities: planted wrong labels are found, and nothing where there are none."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.stages.label_issues.label_noise import label_noise
from pipeline.stages.label_issues.table import COLUMNS, Disagreements, label_issues_table, metrics_of

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
    assert 0.02 <= noise.wrong_share <= 0.08
    assert noise.quality[:60].mean() < noise.quality[60:].min() + 0.1


def test_clean_labels_raise_no_false_alarm() -> None:
    truth, _ = planted(400, 4, 0)
    noise = label_noise(truth, seen(truth, 4, sure=6.0))
    assert not noise.suspect.any()
    assert noise.wrong_share == 0


def weak(truth: Numbers, classes: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """What a model says that sees half of the images well and of the others next to nothing."""
    clear = np.random.default_rng(seed).random(len(truth)) < 0.5
    return np.where(clear[:, None], seen(truth, classes, seed, sure=7.0), seen(truth, classes, seed + 1, sure=0.5))


def test_a_weak_model_accuses_no_labels_of_its_own_mistakes() -> None:
    truth, labels = planted(2000, 4, 0)
    noise = label_noise(labels, weak(truth, 4))
    assert noise.accuracy < 0.75
    assert noise.suspect.mean() > 0.02
    assert noise.disagreeing < 0.005
    assert noise.wrong_share == noise.disagreeing


def test_a_weak_model_still_sees_how_many_labels_are_wrong() -> None:
    truth, labels = planted(2000, 4, 200)
    noise = label_noise(labels, weak(truth, 4))
    assert noise.wrong_share == pytest.approx(0.1, abs=0.03)
    assert noise.most_confident == pytest.approx(500, abs=4)


def test_a_class_that_is_hard_has_its_share_of_the_surest() -> None:
    truth = np.repeat([0, 1], 400)
    labels = truth.copy()
    labels[400:600] = 0
    # Of the second class the model is never as sure as of the first.
    probabilities = np.where(truth[:, None] == 0, [0.99, 0.01], [0.3, 0.7])
    assert label_noise(labels, probabilities).disagreeing == pytest.approx(0.25)


def stubborn(truth: Numbers, classes: int) -> npt.NDArray[np.float64]:
    """What a model says that takes every tenth image for another class, and is as sure of that as of the rest."""
    called = np.where(np.arange(len(truth)) // classes % 10 == 0, (truth + 1) % classes, truth)
    return seen(called, classes, seed=3, sure=6.0)


@pytest.mark.parametrize(("wrong", "alone"), [(0, 0.1), (100, 0.15)])
def test_a_second_model_does_not_share_the_mistakes_that_the_first_is_sure_of(wrong: int, alone: float) -> None:
    truth, labels = planted(2000, 4, wrong)
    rows = pd.DataFrame({"id": [str(number) for number in range(2000)]})
    first, second = stubborn(truth, 4), weak(truth, 4)
    assert Disagreements("train", rows, labels, first).noise.disagreeing == pytest.approx(alone, abs=0.04)
    both = Disagreements("train", rows, labels, first, [second]).noise
    other = Disagreements("train", rows, labels, second).noise
    assert (both.most_confident, both.disagreeing) == (other.most_confident, other.disagreeing)
    assert both.wrong_share == pytest.approx(wrong / 2000, abs=0.02)
    assert not (both.suspect & ~other.suspect).any()
    assert both.suspect[wrong:].mean() < 0.02


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


def test_the_table_has_the_worst_first_and_images_nobody_judged_are_counted() -> None:
    truth, labels = planted(90, 3, 5)
    ids = [f"web/{number:02}.png" for number in range(90)]
    manifest = pd.DataFrame({"id": ids, "source": "web", "role": "raw"})
    rows = pd.DataFrame({"id": ids, "label": np.array(["a", "b", "c"])[labels]})
    probabilities = seen(truth, 3, sure=5.0)
    # Of one image no model knew the class.
    probabilities[50, labels[50]] = np.nan
    doubts = [Disagreements("train", rows, labels, probabilities)]
    table = label_issues_table(doubts, manifest, ("a", "b", "c"))
    assert list(table.columns) == list(COLUMNS)
    assert set(ids[:5]) == set(table["id"])
    assert table["quality"].is_monotonic_increasing
    assert (table["label"] != table["suggested"]).all()
    found = metrics_of(doubts, table, manifest)["train"]
    assert (found["images"], found["label_issues"], found["not_checked"]) == (90, 5, 1)
    assert (found["accuracy"], found["most_confident"]) == (pytest.approx(84 / 89), pytest.approx(23, abs=2))
