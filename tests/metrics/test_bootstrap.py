"""Intervals resample whole groups and cover what they should."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics import bootstrap
from pipeline.metrics.bootstrap import interval, resamples
from pipeline.metrics.class_measures import accuracy
from pipeline.metrics.confusion import confusion_matrices
from pipeline.metrics.predictions import checked_predictions

CLASSES = ("apple", "fig")
FEW = settings(max_examples=40, deadline=None)


def predictions(right: list[bool], groups: list[str] | None = None) -> pd.DataFrame:
    """Images of two classes by turns, called right or not; each a group of its own unless said."""
    labels = [CLASSES[number % 2] for number in range(len(right))]
    predicted = [CLASSES[(number + 1 - hit) % 2] for number, hit in enumerate(right)]
    names = groups or [f"{number:04}" for number in range(len(right))]
    return pd.DataFrame({"label": labels, "predicted": predicted, "group": names})


def resampled(frame: pd.DataFrame, seed: int = 1, count: int = 300, purpose: str = "dev") -> np.ndarray[Any, Any]:
    seen = checked_predictions(frame, CLASSES)
    return np.concatenate(
        [confusion_matrices(seen, weights) for weights in resamples(frame["group"], count, seed, purpose)]
    )


def accuracy_interval(frame: pd.DataFrame, seed: int = 1, count: int = 300) -> tuple[float, float]:
    return interval(accuracy(resampled(frame, seed, count)))


ORDINARY = predictions([number % 5 != 0 for number in range(200)])


def test_groups_are_drawn_whole() -> None:
    tenfold = pd.concat([ORDINARY] * 10, ignore_index=True)
    np.testing.assert_array_equal(resampled(tenfold), 10 * resampled(ORDINARY))


def test_near_duplicates_do_not_narrow_the_interval() -> None:
    tenfold = pd.concat([ORDINARY] * 10, ignore_index=True)
    apart = tenfold.assign(group=[str(number) for number in range(len(tenfold))])
    low, high = accuracy_interval(ORDINARY)
    assert accuracy_interval(tenfold) == (low, high)
    apart_low, apart_high = accuracy_interval(apart)
    assert apart_high - apart_low < (high - low) / 2


@given(st.permutations(range(60)), st.integers(0, 2**32 - 1))
@FEW
def test_resamples_depend_on_groups_and_seed_and_not_on_row_order(order: list[int], seed: int) -> None:
    frame = predictions([number % 4 != 0 for number in range(60)], [str(number // 3) for number in range(60)])
    np.testing.assert_array_equal(resampled(frame.iloc[order], seed, 20), resampled(frame, seed, 20))


def test_seeds_and_purposes_draw_other_resamples() -> None:
    first = resampled(ORDINARY)
    assert (first != resampled(ORDINARY, seed=2)).any()
    assert (first != resampled(ORDINARY, purpose="train")).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
@FEW
def test_resample_holds_as_many_groups_as_there_are(sizes: list[int]) -> None:
    groups = [str(number) for number, size in enumerate(sizes) for _ in range(size + 1)]
    matrices = resampled(predictions([True] * len(groups), groups), count=20)
    largest, smallest = max(sizes) + 1, min(sizes) + 1
    images = matrices.sum(axis=(1, 2))
    assert matrices.shape == (20, 2, 2)
    assert ((len(sizes) * smallest <= images) & (images <= len(sizes) * largest)).all()


@given(seed=st.integers(0, 2**32 - 1), errors=st.integers(1, 49))
@settings(max_examples=15, deadline=None)
def test_interval_holds_the_value_of_ordinary_data(seed: int, errors: int) -> None:
    low, high = accuracy_interval(predictions([number >= errors for number in range(50)]), seed)
    assert low <= 1 - errors / 50 <= high
    assert low < high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).random((200, 80)) < 0.8
    ends = [accuracy_interval(predictions(hits.tolist()), seed) for seed, hits in enumerate(draws)]
    covered = np.mean([low <= 0.8 <= high for low, high in ends])
    assert 0.88 <= covered <= 0.99  # the percentile method is a little narrow on small sets


def test_interval_is_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert interval(np.array([0.5] * 9 + [np.nan])) == (0.5, 0.5)


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_interval_leaves_half_of_alpha_on_each_side(alpha: float) -> None:
    low, high = interval(np.arange(1001.0), alpha)
    assert (low, high) == pytest.approx((500 * alpha, 1000 - 500 * alpha))


def test_resamples_in_parts_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resampled(ORDINARY, count=50)
    monkeypatch.setattr(bootstrap, "MAX_CELLS", 7 * len(ORDINARY))
    np.testing.assert_array_equal(resampled(ORDINARY, count=50), whole)
