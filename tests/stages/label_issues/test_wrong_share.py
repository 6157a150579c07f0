"""The share of wrong labels, told apart from a model's own mistakes; and the table that rests on it."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.metrics.wrong_share import UNKNOWN, WrongShare, pooled, wrong_share
from pipeline.stages.label_issues.table import COLUMNS, Disagreements, label_issues_table, metrics_of

Numbers = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
CLASSES = 4


def judged(count: int, wrong: float, seed: int, clarity: float = 3.0) -> tuple[Floats, Numbers, Numbers]:
    """Probabilities that hold, labels of which a share is wrong, and groups of one image."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(count, CLASSES)) * clarity
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    other = (truth + generator.integers(1, CLASSES, count)) % CLASSES
    return shares, np.where(generator.random(count) < wrong, other, truth), np.arange(count)


@pytest.mark.parametrize("wrong", [0.05, 0.1, 0.2])
def test_the_interval_holds_the_share_that_was_planted(wrong: float) -> None:
    found = [wrong_share(*judged(1000, wrong, seed)) for seed in range(20)]
    assert sum(one.low <= wrong <= one.high for one in found) >= 17
    assert np.mean([one.estimate for one in found]) == pytest.approx(wrong, abs=0.015)


@pytest.mark.parametrize("clarity", [1.0, 2.0, 4.0])
def test_mistakes_of_a_model_are_not_taken_for_wrong_labels(clarity: float) -> None:
    """It contradicts half, a third, a sixth of labels that are all right."""
    assert all(wrong_share(*judged(1000, 0.0, seed, clarity)).low < 0.02 for seed in range(8))


def test_wrong_labels_of_any_class_are_told_from_mistakes_where_a_model_is_rarely_sure() -> None:
    """How often it contradicts labels is the same; a mistake is mostly the runner-up."""
    probabilities, truth, groups = judged(600, 0.0, seed=11, clarity=1.7)
    generator = np.random.default_rng(11)
    wrong, preferred = generator.random(600) < 0.25, probabilities.argmax(axis=1)
    runner_up = np.argsort(probabilities, axis=1)[:, -2]
    labels = np.where(wrong, (preferred + generator.integers(1, CLASSES, 600)) % CLASSES, truth)
    told, confused = (wrong_share(probabilities, each, groups) for each in (labels, np.where(wrong, runner_up, truth)))
    assert told.low > 0.1 > confused.low
    assert told.low <= 0.25 <= told.high
    assert confused.high > 0.25


def test_which_class_a_label_is_says_nothing_of_two_classes() -> None:
    generator = np.random.default_rng(2)
    certain = generator.uniform(0.5, 1.0, 400)
    probabilities = np.stack([certain, 1 - certain], axis=1)
    labels = (generator.random(400) > certain).astype(np.intp)
    found = wrong_share(probabilities, labels, np.arange(400))
    assert (found.low, found.at_least) == (0.0, 0.0)


def test_a_model_that_sees_little_cannot_tell() -> None:
    found = wrong_share(*judged(400, 0.1, seed=3, clarity=1.0))
    assert found.low < 0.02
    assert found.high > 0.1


def test_near_copies_do_not_count_as_so_many_images() -> None:
    probabilities, labels, groups = judged(150, 0.2, seed=2)
    alone = wrong_share(probabilities, labels, groups)
    found = wrong_share(np.repeat(probabilities, 8, axis=0), np.repeat(labels, 8), np.repeat(groups, 8))
    assert found.high - found.low > 0.8 * (alone.high - alone.low)


def test_the_order_of_images_changes_nothing_where_many_are_equally_certain() -> None:
    probabilities, labels, groups = judged(500, 0.1, seed=4)
    coarse: Floats = np.round(probabilities * 4) + 0.01
    coarse = coarse / coarse.sum(axis=1, keepdims=True)
    order = np.random.default_rng(1).permutation(500)
    assert wrong_share(coarse[order], labels[order], groups[order]) == wrong_share(coarse, labels, groups)


@pytest.mark.parametrize("count", [0, 1, 29])
def test_of_few_images_nothing_is_said(count: int) -> None:
    assert wrong_share(*judged(count, 0.5, seed=1)) == UNKNOWN == WrongShare(0.0, 0.0, 1.0)


def test_equal_certainty_and_labels_of_one_class_are_no_error() -> None:
    same = np.full((40, 2), 0.5)
    assert wrong_share(same, np.zeros(40, np.intp), np.arange(40)).low == 0
    assert wrong_share(np.eye(2)[np.ones(40, np.intp)], np.zeros(40, np.intp), np.arange(40)).high == 1


def test_kinds_of_images_count_by_their_number() -> None:
    found = pooled([WrongShare(0.0, 0.0, 0.01), WrongShare(0.2, 0.15, 0.26)], [300, 100])
    assert (found.estimate, found.low) == (0.05, 0.0375)
    assert found.high == pytest.approx(0.0668, abs=1e-4)


def rows(labels: Numbers, role: str = "raw") -> pd.DataFrame:
    ids = [f"web/{number:04}.png" for number in range(len(labels))]
    return pd.DataFrame({"id": ids, "group": ids, "role": role, "label": np.array(list("abcd"))[labels]})


def stubborn(truth: Numbers) -> Floats:
    """What a model says that takes every tenth image for another class, and is as sure of that as of the rest."""
    called = np.where(np.arange(len(truth)) // CLASSES % 10 == 0, (truth + 1) % CLASSES, truth)
    logits = np.random.default_rng(3).normal(size=(len(truth), CLASSES))
    logits[np.arange(len(truth)), called] += 6
    found: Floats = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return found


def test_a_second_model_does_not_share_the_mistakes_that_the_first_is_sure_of() -> None:
    good, truth, _ = judged(2000, 0.0, seed=6, clarity=6.0)
    alone = Disagreements("train", rows(truth), truth, [stubborn(truth)])
    both = Disagreements("train", rows(truth), truth, [stubborn(truth), good])
    assert alone.shares["raw"].low > 0.05
    assert both.shares["raw"].low < 0.005
    assert both.noise.suspect.sum() < 0.2 * alone.noise.suspect.sum()


def test_no_more_labels_are_listed_than_may_be_wrong() -> None:
    """A weak model disagrees with many right labels; the least likely ones are kept."""
    probabilities, labels, _ = judged(1000, 0.0, seed=7, clarity=1.5)
    one = Disagreements("train", rows(labels), labels, [probabilities])
    quality = one.noise.quality
    listed = one.noise.suspect
    assert 0 < listed.sum() <= np.ceil(one.shares["raw"].high * 1000) < 100
    contradicted = probabilities.argmax(axis=1) != labels
    assert quality[listed].max() < np.median(quality[contradicted & ~listed])


def test_the_table_has_the_worst_first_and_images_nobody_checked_are_counted() -> None:
    probabilities, labels, _ = judged(400, 0.1, seed=8, clarity=6.0)
    manifest = rows(labels).assign(source="web")
    # Of one image no model knew the class.
    probabilities[50, labels[50]] = np.nan
    doubts = [Disagreements("train", rows(labels), labels, [probabilities])]
    table = label_issues_table(doubts, manifest, ("a", "b", "c", "d"))
    assert list(table.columns) == list(COLUMNS)
    assert table["quality"].is_monotonic_increasing
    assert (table["label"] != table["suggested"]).all()
    found = metrics_of(doubts, table)["train"]
    assert (found["images"], found["label_issues"], found["not_checked"]) == (400, len(table), 1)
    assert found["roles"]["raw"]["wrong_share"] == found["wrong_share"]
    agreed = np.nan_to_num(probabilities).argmax(axis=1) == labels
    assert found["accuracy"] == pytest.approx(np.delete(agreed, 50).mean())


def test_wrong_labels_of_one_role_are_told_of_it_alone() -> None:
    right, clean, _ = judged(500, 0.0, seed=9, clarity=5.0)
    other, noisy, _ = judged(500, 0.2, seed=10, clarity=5.0)
    labels = np.concatenate([clean, noisy])
    both = rows(labels).assign(role=["raw"] * 500 + ["production"] * 500, source="all")
    doubts = [
        Disagreements("dev", both[::2].reset_index(drop=True), labels[::2], [np.concatenate([right, other])[::2]]),
        Disagreements("train", both[1::2].reset_index(drop=True), labels[1::2], [np.concatenate([right, other])[1::2]]),
    ]
    metrics = metrics_of(doubts, label_issues_table(doubts, both, ("a", "b", "c", "d")))
    for name in ("dev", "train", "together"):
        roles = metrics[name]["roles"]
        assert roles["raw"]["high"] < 0.08 < roles["production"]["low"]
        assert metrics[name]["low"] < 0.1 < metrics[name]["high"]
    assert metrics["together"]["images"] == 1000
    assert metrics["together"]["label_issues"] == metrics["dev"]["label_issues"] + metrics["train"]["label_issues"]
