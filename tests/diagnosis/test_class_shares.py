"""Classes that a split lacks, and small classes that dev shows."""

import pandas as pd

from pipeline.diagnosis.class_shares import (
    explains_mismatch,
    imbalance,
    missing_classes,
    seldom_predicted,
    small_classes,
    small_in_train,
    untellable,
)
from pipeline.diagnosis.findings import IMBALANCE, MISSING, SMALL_CLASS
from pipeline.diagnosis.small_class_trial import Trial

SPLITS = ("train", "train_dev", "dev")


def called(counts: dict[str, dict[str, tuple[int, int]]]) -> pd.DataFrame:
    """Of each split and class so many images, so many of them wrong."""
    rows = [
        (split, label, "other" if number < wrong else label)
        for split, classes in counts.items()
        for label, (images, wrong) in classes.items()
        for number in range(images)
    ]
    frame = pd.DataFrame(rows, columns=["split", "label", "predicted"])
    return frame.assign(group=[str(number) for number in range(len(frame))])


EVEN = {split: dict.fromkeys("abcde", (100, 2)) for split in SPLITS}
SMALL = {
    "train": {**EVEN["train"], "a": (2, 0), "b": (2, 1)},
    "train_dev": {**EVEN["train_dev"], "a": (1, 0), "b": (1, 1)},
    "dev": {**EVEN["dev"], "a": (100, 70), "b": (100, 60)},
}


def test_classes_that_train_or_dev_lacks_are_named() -> None:
    assert missing_classes(called(EVEN)) == []
    without = {**EVEN, "dev": dict.fromkeys("acd", (100, 0))}
    (found,) = missing_classes(called(without))
    assert (found.name, found.subject) == (MISSING, "dev")
    assert found.words == "dev has no image of b, e: you cannot measure how well the model recognises it"
    (found,) = missing_classes(called({**EVEN, "train": dict.fromkeys("bcde", (100, 0))}))
    assert found.words == "train has no image of a: the model cannot learn it"


def test_small_classes_that_fail_on_dev_are_imbalance_and_no_mismatch() -> None:
    frame = called(SMALL)
    assert small_classes(frame) == ["a", "b"]
    (found,), tests = imbalance(frame, 0.02)
    assert (found.name, tests) == (IMBALANCE, 1)
    assert found.p is not None
    assert found.p < 1e-6
    assert "a (2)" in found.words
    assert "65.0% of the images of these classes are misclassified, and 2.0% of the others" in found.words
    assert explains_mismatch(frame, 0.02)


def test_a_mismatch_of_all_classes_is_not_explained_by_small_ones() -> None:
    frame = called({**SMALL, "dev": {**SMALL["dev"], **dict.fromkeys("cde", (100, 30))}})
    assert not explains_mismatch(frame, 0.02)


def test_even_classes_and_small_ones_that_do_well_are_no_finding() -> None:
    assert imbalance(called(EVEN), 0.02) == ([], 0)
    well = {**SMALL, "dev": EVEN["dev"]}
    assert imbalance(called(well), 0.02) == ([], 1)
    # As rare in dev as in train: it counts as little there.
    rare = {**SMALL, "dev": {**EVEN["dev"], "a": (2, 2), "b": (2, 2)}}
    assert small_classes(called(rare)) == []


def test_most_classes_may_be_small() -> None:
    """Two of three: the one that has many images is not the usual one."""
    few = {split: {"a": (4, 0), "b": (6, 1), "c": (200, 4)} for split in ("train", "train_dev")}
    frame = called({**few, "dev": {"a": (60, 40), "b": (50, 30), "c": (70, 2)}})
    assert small_classes(frame) == ["a", "b"]
    (found,), _ = imbalance(frame, 0.02)
    assert found.words.startswith("train has few images of a (4), b (6): classes have 70 on average. On dev, ")
    # One frequent class in dev as well: the others are as rare where the model is used.
    alike = {**few, "dev": {"a": (4, 3), "b": (6, 3), "c": (200, 4)}}
    assert small_classes(called(alike)) == []


def test_images_that_are_missing_are_imbalance_though_the_other_classes_fail() -> None:
    """Few photos of a class leave its border open: what falls on the wrong side are images of the frequent class."""
    few = {split: {"a": (4, 0), "b": (6, 0), "c": (200, 0)} for split in ("train", "train_dev")}
    frame = called({**few, "dev": {"a": (60, 5), "b": (50, 4), "c": (70, 20)}})
    assert imbalance(frame, 0.02) == ([], 1)
    (found,), tests = imbalance(frame, 0.02, Trial(45, 0.06, 0.2, 0.001))
    assert (found.name, tests, found.p, found.gain) == (IMBALANCE, 2, 0.001, 0.2 - 0.06)
    assert found.words == (
        "train has few images of a (4), b (6): classes have 70 on average. A linear model on embeddings misclassifies "
        "6.0% of dev with 45 more images of these classes, and 20.0% with as many more of the others"
    )
    assert found.figures["added"] == 45
    # By chance, or not worth work.
    assert imbalance(frame, 0.02, Trial(45, 0.06, 0.2, 0.0126)) == ([], 2)
    assert len(imbalance(frame, 0.02, Trial(45, 0.06, 0.2, 0.0125))[0]) == 1
    assert imbalance(frame, 0.15, Trial(45, 0.06, 0.2, 0.001)) == ([], 2)


def test_both_reasons_are_told() -> None:
    (found,), _ = imbalance(called(SMALL), 0.02, Trial(100, 0.1, 0.15, 0.0001))
    assert ". On dev, 65.0% of the images of these classes" in found.words
    assert ". A linear model on embeddings misclassifies 10.0% of dev with 100 more images" in found.words
    assert found.gain > 0.2


def test_small_classes_are_those_with_a_fifth_of_the_mean() -> None:
    assert small_in_train(called({"train": {"a": (20, 0), "b": (180, 0)}})) == ["a"]
    assert small_in_train(called({"train": {"a": (21, 0), "b": (179, 0)}})) == []
    # Of dev's mean two fifths and more are as usual.
    dev = {"a": (21, 0), "b": (79, 0)}
    assert small_classes(called({"train": {"a": (20, 0), "b": (180, 0)}, "dev": dev})) == ["a"]
    assert small_classes(called({"train": {"a": (20, 0), "b": (180, 0)}, "dev": {"a": (20, 0), "b": (80, 0)}})) == []


def test_a_small_class_of_which_dev_has_too_few_images_cannot_be_told_about() -> None:
    train = {"a": (6, 0), "b": (200, 0), "c": (100, 0)}
    (found,) = untellable(called({"train": train, "dev": {"a": (14, 0), "b": (60, 0), "c": (50, 0)}}))
    assert (found.name, found.subject) == (SMALL_CLASS, "a")
    assert found.words == (
        "train has few images of a (6, and 14 in dev), where classes have 102 on average: dev has too few of them to "
        "tell how well the model recognises them"
    )
    assert untellable(called({"train": train, "dev": {"a": (15, 0), "b": (60, 0), "c": (50, 0)}})) == []
    # Of one that dev lacks that is told elsewhere.
    assert untellable(called({"train": train, "dev": {"b": (60, 0), "c": (50, 0)}})) == []


def test_small_classes_that_are_predicted_too_often_need_no_more_weight() -> None:
    assert seldom_predicted(called(EVEN)) is None
    assert seldom_predicted(called(SMALL)) is True
    often = called({**SMALL, "dev": {**EVEN["dev"], "a": (100, 0), "b": (100, 0)}})
    assert seldom_predicted(often) is False
    often.loc[(often["split"] == "dev") & (often["label"] == "a"), "predicted"] = "c"
    assert seldom_predicted(often) is True


def test_a_small_class_that_a_small_dev_lacks_is_not_one_that_it_has() -> None:
    assert small_classes(called({"train": {"a": (20, 0), "b": (180, 0)}, "dev": {"b": (2, 0)}})) == []
