"""Balancing is choosing rows; every strategy keeps one contract."""

from collections import Counter
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.balancing import choose_rows, copy_numbers
from pipeline.params import BalanceParams

STRATEGIES = [
    get_args(member.model_fields["name"].annotation)[0]
    for member in get_args(BalanceParams.model_fields["strategy"].annotation)
]
LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=60).filter(lambda labels: len(set(labels)) > 1)
FEW = settings(max_examples=25, deadline=None)
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def choose(labels: Any, strategy: str, seed: int = 1) -> list[int]:
    params = BalanceParams.model_validate({"seed": seed, "strategy": {"name": strategy}})
    rows: list[int] = choose_rows(np.array(labels), params).tolist()
    return rows


def counts_after(labels: list[int], rows: list[int]) -> Counter[int]:
    return Counter(labels[row] for row in rows)


def test_strategies_of_params_are_found() -> None:
    assert {"none", "oversample", "undersample"} <= set(STRATEGIES)


@each_strategy
@given(labels=LABELS)
@FEW
def test_rows_are_numbers_of_given_rows_in_order(strategy: str, labels: list[int]) -> None:
    rows = choose(labels, strategy)
    assert rows == sorted(rows)
    assert set(rows) <= set(range(len(labels)))


@each_strategy
@given(labels=LABELS)
@FEW
def test_no_class_is_lost_and_imbalance_does_not_grow(strategy: str, labels: list[int]) -> None:
    before, after = Counter(labels), counts_after(labels, choose(labels, strategy))
    assert set(after) == set(before)
    assert max(after.values()) / min(after.values()) <= max(before.values()) / min(before.values())


@each_strategy
@given(labels=LABELS, seed=st.integers(0, 2**32 - 1))
@FEW
def test_same_labels_and_seed_give_the_same_rows(strategy: str, labels: list[int], seed: int) -> None:
    assert choose(labels, strategy, seed) == choose(labels, strategy, seed)


@each_strategy
@given(labels=LABELS)
@FEW
def test_names_of_classes_give_the_same_rows_as_their_codes(strategy: str, labels: list[int]) -> None:
    names = np.array(["apple", "fig", "pear", "quince"])[labels]
    expected = choose(labels, strategy)
    assert choose(names, strategy) == expected
    assert choose(names.astype(object), strategy) == expected


@each_strategy
def test_even_classes_stay_even(strategy: str) -> None:
    assert counts_after([0, 1] * 10, choose([0, 1] * 10, strategy)) == {0: 10, 1: 10}


@given(LABELS)
@FEW
def test_none_leaves_every_row_once(labels: list[int]) -> None:
    assert choose(labels, "none") == list(range(len(labels)))


@given(LABELS)
@FEW
def test_oversampling_keeps_every_row_and_lifts_classes_to_the_largest(labels: list[int]) -> None:
    rows = choose(labels, "oversample")
    assert set(rows) == set(range(len(labels)))
    assert set(counts_after(labels, rows).values()) == {max(Counter(labels).values())}


@given(LABELS)
@FEW
def test_oversampling_repeats_no_row_of_the_largest_class(labels: list[int]) -> None:
    sizes, times = Counter(labels), Counter(choose(labels, "oversample"))
    largest = max(sizes.values())
    assert all(times[row] == 1 for row, label in enumerate(labels) if sizes[label] == largest)


@given(LABELS)
@FEW
def test_undersampling_repeats_nothing_and_cuts_classes_to_the_smallest(labels: list[int]) -> None:
    rows = choose(labels, "undersample")
    assert len(set(rows)) == len(rows)
    assert set(counts_after(labels, rows).values()) == {min(Counter(labels).values())}


@pytest.mark.parametrize(
    ("strategy", "rows"),
    [
        pytest.param("oversample", [0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9, 9, 9], id="oversample"),
        pytest.param("undersample", [0, 4, 5, 6, 7, 9], id="undersample"),
    ],
)
def test_rows_are_the_same_in_every_version(strategy: str, rows: list[int]) -> None:
    assert choose([2, 0, 0, 0, 1, 0, 0, 2, 0, 1], strategy) == rows


@pytest.mark.parametrize("strategy", ["oversample", "undersample"])
def test_another_seed_chooses_other_rows(strategy: str) -> None:
    labels = [0] * 100 + [1] * 30
    assert choose(labels, strategy, seed=1) != choose(labels, strategy, seed=2)


@pytest.mark.parametrize(
    ("rows", "copies"),
    [
        pytest.param([], [], id="no rows"),
        pytest.param([0, 1, 2], [0, 0, 0], id="each once"),
        pytest.param([0, 0, 0], [0, 1, 2], id="one thrice"),
        pytest.param([2, 5, 5, 7, 7, 7], [0, 0, 1, 0, 1, 2], id="numbering starts again at each row"),
    ],
)
def test_repeats_of_a_row_are_numbered(rows: list[int], copies: list[int]) -> None:
    assert copy_numbers(np.array(rows, dtype=np.intp)).tolist() == copies


@given(st.lists(st.integers(0, 8), max_size=40).map(sorted))
@settings(deadline=None)
def test_copies_of_each_row_count_up_from_0(rows: list[int]) -> None:
    copies: npt.NDArray[np.int32] = copy_numbers(np.array(rows, dtype=np.intp))
    assert copies.dtype == np.int32
    expected = sorted((row, copy) for row, times in Counter(rows).items() for copy in range(times))
    assert list(zip(rows, copies.tolist(), strict=True)) == expected
