"""Two-sample tests: distances of labels, areas under curves, and Holm's correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.two_samples import FOLDS, fold_areas, holm, label_test
from tests.metrics.test_matching import FEW


def test_label_distance_is_half_the_sum_of_differences() -> None:
    labels = np.array(["a"] * 6 + ["b"] * 4 + ["a"] * 2 + ["b"] * 8)
    found = label_test(labels, np.arange(20) < 10, seed=1)
    assert found.statistic == pytest.approx(0.4)
    # Fisher's exact test of the same table says 0.1698.
    assert found.p == pytest.approx(0.17, abs=0.06)


def test_area_counts_pairs_in_the_right_order() -> None:
    features = np.column_stack([np.ones(100), np.arange(100.0)])
    inside = np.arange(100)[:, None] >= [50, 100]
    assert fold_areas(features, inside, np.arange(100) % FOLDS) == pytest.approx([1.0, 0.5])


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=9))
@FEW
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_order(p: list[float]) -> None:
    single = np.array(p)
    corrected = holm(single)
    assert (corrected >= single).all()
    assert (corrected <= np.minimum(1, single * len(single))).all()
    assert (np.diff(corrected[np.argsort(single, kind="stable")]) >= 0).all()


def test_holm_by_hand() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])
