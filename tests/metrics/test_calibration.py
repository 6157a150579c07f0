"""Calibration agrees with scikit-learn's curve, and its error is 0 for a model that knows what it knows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pipeline.metrics.calibration import calibration_error, reliability

# Not on the edges of bins: there the peer rounds otherwise.
CONFIDENCES = st.integers(1, 999).filter(lambda number: number % 50).map(lambda number: number / 1000)


@given(st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=60), st.sampled_from([2, 5, 10, 20]))
def test_table_agrees_with_scikit_learn(rows: list[tuple[float, bool]], bins: int) -> None:
    confidence, right = map(np.array, zip(*rows, strict=True))
    table = reliability(confidence, right, bins)
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins)
    np.testing.assert_allclose(table["accuracy"], accuracy)
    np.testing.assert_allclose(table["confidence"], mean)
    assert table["images"].sum() == len(rows)


def test_error_is_the_gap_of_each_bin_by_its_images() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.3])
    right = np.array([True, True, True, False, False])
    assert calibration_error(reliability(confidence, right, 10)) == pytest.approx((4 * 0.15 + 0.3) / 5)


@pytest.mark.parametrize("confidence", [0.0, 0.1, 0.5, 1.0])
def test_every_confidence_has_a_bin(confidence: float) -> None:
    table = reliability(np.array([confidence]), np.array([True]), 10)
    assert table[["confidence", "accuracy", "perfect", "images"]].to_numpy().tolist() == [
        [confidence, 1.0, confidence, 1]
    ]


def test_the_upper_end_belongs_to_a_bin() -> None:
    assert len(reliability(np.array([0.05, 0.1]), np.array([True, True]), 10)) == 1
    assert len(reliability(np.array([0.1, 0.15]), np.array([True, True]), 10)) == 2
