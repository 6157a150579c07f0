"""How far a rule gives classes away, by hand, and from what on people are told."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from pipeline.metrics.giving_away import Strength, balanced_accuracy, strength_of

TOLD = Strength("source", "all", 0.6, 0.5, 0.7, 0.8, 0.4, (), 100, 3)


@pytest.mark.parametrize(
    ("fact", "share", "low", "whole"),
    [
        ("source", 0.5, 0.26, True), ("source", 0.49, 0.26, False), ("source", 0.5, 0.25, False),
        ("brightness", 0.7, 0.26, True), ("brightness", 0.69, 0.26, False), ("meta_shop", 0.5, 0.26, True),
    ],
)  # fmt: skip
def test_a_fact_is_named_from_half_of_the_classes_on_and_what_pictures_show_from_more(
    fact: str, share: float, low: float, whole: bool
) -> None:
    found = replace(TOLD, fact=fact, share=share, low=low)
    assert (found.whole, found.named) == (whole, whole)
    assert replace(found, classes=("fig",)).named


def test_what_is_given_away_is_said_in_words() -> None:
    away = "tells the class of 73% of images (classes counted alike; by chance 33%)"
    assert (TOLD.gives_away, replace(TOLD, classes=("fig",)).gives_away) == (away, away)
    few = replace(TOLD, share=0.3)
    assert replace(few, classes=("fig",)).gives_away == "tells class fig from all others"
    assert replace(few, classes=("fig", "pear")).gives_away == "tells classes fig, pear from all others"
    assert balanced_accuracy(0, 4) == 0.25
    assert balanced_accuracy(1, 4) == 1


def told(*right: int, of: int = 20, size: int = 1) -> Strength:
    """Of each class so many images, of which so many are told right and the others to be of the next class."""
    labels = np.repeat(np.arange(len(right)), of)
    inside = np.tile(np.arange(of), len(right)) < np.repeat(right, of)
    rule: npt.NDArray[np.intp] = np.where(inside, labels, (labels + 1) % len(right)).astype(np.intp)
    groups = (np.arange(len(labels)) // size).astype(np.intp)
    return strength_of(rule, labels.astype(np.intp), groups, tuple("abcd"[: len(right)]), ("source", "raw"))


def test_the_share_that_is_given_away_is_what_recalls_have_above_chance() -> None:
    found = told(18, 10, 14)
    recall = (0.9 + 0.5 + 0.7) / 3
    assert found.share == pytest.approx((recall - 1 / 3) / (1 - 1 / 3))
    assert found.balanced == pytest.approx(recall)
    # Agresti and Coull's shares, with an image more on each side.
    shares = np.array([19, 11, 15]) / 22
    spread = np.sqrt((shares * (1 - shares) / 20).sum()) / 2
    z = stats.norm.isf(0.025)
    assert (found.low, found.high) == pytest.approx((found.share - z * spread, found.share + z * spread))
    assert (found.accuracy, found.majority) == pytest.approx((0.7, 1 / 3))
    assert (found.images, found.count) == (60, 3)
    assert (found.fact, found.part, found.classes) == ("source", "raw", ())
    # Groups of two that err together tell as much as half of the images.
    doubled = told(36, 20, 28, of=40, size=2)
    assert doubled.high - doubled.share == pytest.approx(found.high - found.share, rel=0.1)


@pytest.mark.parametrize(
    ("right", "of", "classes"),
    [
        # Of the third class a fifth gets the name of the first: a tenth of others on average.
        pytest.param((180, 100, 160), 200, ("a",), id="recall less false alarms at the limit"),
        pytest.param((180, 100, 158), 200, (), id="more others get the name"),
        pytest.param((160, 100, 200), 200, ("a",), id="recall at the limit"),
        pytest.param((158, 100, 200), 200, (), id="fewer are told"),
    ],
)
def test_a_class_is_given_away_that_is_told_from_all_others(
    right: tuple[int, int, int], of: int, classes: tuple[str, ...]
) -> None:
    assert told(*right, of=of).classes == classes


@pytest.mark.parametrize(("of", "sure"), [(9, False), (10, True)])
def test_a_class_is_given_away_only_surely(of: int, sure: bool) -> None:
    """All of the first class get their name and nobody else: Clopper and Pearson's limits are half apart or not."""
    low, high = 0.025 ** (1 / of), 1 - 0.025 ** (1 / (2 * of))
    assert (low - high > 0.5) == sure
    labels = np.repeat(np.arange(3), of)
    rule = np.where(labels == 0, 0, 3 - labels)
    found = strength_of(rule, labels, np.arange(3 * of), tuple("abc"), ("source", "all"))
    assert found.classes == ("a",) * sure
