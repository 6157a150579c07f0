"""Classes that a split lacks, and small classes that dev shows."""

import pandas as pd

from pipeline.diagnosis.class_shares import explains_mismatch, imbalance, missing_classes, small_classes
from pipeline.diagnosis.findings import IMBALANCE, MISSING

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
