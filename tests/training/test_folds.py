"""Folds: a group is in one, whatever the order of rows, and each has its share of every class."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.folds import folds_of

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), min_size=1, max_size=60)


def folds(rows: list[tuple[str, int]], count: int, seed: int = 1) -> list[int]:
    labels, groups = np.array([label for label, _ in rows]), np.array([f"g{group}" for _, group in rows])
    found: list[int] = folds_of(labels, groups, count, seed).tolist()
    return found


@given(ROWS, st.integers(2, 7))
def test_a_group_is_in_one_fold(rows: list[tuple[str, int]], count: int) -> None:
    found = folds(rows, count)
    assert all(0 <= fold < count for fold in found)
    assert len({(group, fold) for (_, group), fold in zip(rows, found, strict=True)}) == len({g for _, g in rows})


@given(ROWS, st.integers(2, 7), st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(
    rows: list[tuple[str, int]], count: int, random: "np.random.RandomState"
) -> None:
    numbers = list(range(len(rows)))
    random.shuffle(numbers)
    whole = folds(rows, count)
    assert folds([rows[number] for number in numbers], count) == [whole[number] for number in numbers]


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 30), min_size=1), st.integers(2, 7))
def test_each_fold_has_its_share_of_every_class(counts: dict[str, int], count: int) -> None:
    rows = [(label, 100 * number + image) for number, label in enumerate(counts) for image in range(counts[label])]
    found = np.array(folds(rows, count))
    for label, images in counts.items():
        shares = np.bincount(found[[one == label for one, _ in rows]], minlength=count)
        assert {images // count, -(-images // count)} >= set(shares.tolist())


def test_another_seed_gives_other_folds() -> None:
    rows = [("a", number) for number in range(40)]
    assert folds(rows, 5, seed=1) != folds(rows, 5, seed=2)
