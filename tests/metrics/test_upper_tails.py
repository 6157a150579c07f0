"""Upper tails and quantiles: the same numbers, to the last bit, as scipy.stats gives."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.upper_tails import (
    beta_limits,
    chi_square_quantile,
    chi_square_tail,
    normal_quantile,
    normal_tail,
    student_quantile,
)

TAILS = [*np.logspace(-9, -0.31, 12).tolist(), 0.005, 0.025, 0.05, 0.5, 0.9]
FREEDOMS = [1, 2, 3, 4.5, 10, 31.7, 441, 1e5]
VALUES = [0.0, 0.001, 0.3, 1.0, 1.96, 7.3, 40.0]


@pytest.mark.parametrize("tail", TAILS)
def test_quantiles_are_those_of_scipy_stats(tail: float) -> None:
    assert normal_quantile(tail) == stats.norm.isf(tail)
    for freedom in FREEDOMS:
        assert student_quantile(tail, freedom) == stats.t.isf(tail, freedom)
        assert chi_square_quantile(tail, math.ceil(freedom)) == stats.chi2.isf(tail, math.ceil(freedom))


@pytest.mark.parametrize("value", VALUES)
def test_tails_are_those_of_scipy_stats(value: float) -> None:
    assert (normal_tail(value), normal_tail(-value)) == (stats.norm.sf(value), stats.norm.sf(-value))
    assert [chi_square_tail(value, freedom) for freedom in (1, 2, 30)] == stats.chi2.sf(value, [1, 2, 30]).tolist()


def test_with_infinite_freedom_student_is_normal() -> None:
    assert student_quantile(0.025, math.inf) == stats.t.isf(0.025, math.inf)
    assert student_quantile(0.025, math.inf) == pytest.approx(normal_quantile(0.025), rel=1e-12)


@pytest.mark.parametrize("tail", [0.025, 0.0005])
def test_limits_of_shares_are_those_of_scipy_stats(tail: float) -> None:
    hits, misses = (part.ravel() for part in np.meshgrid([0.5, 1, 2, 17.25, 400], [0.5, 1, 3, 88, 3277]))
    low, high = beta_limits(tail, hits, misses)
    np.testing.assert_array_equal(low, stats.beta.ppf(tail, hits, misses + 1))
    np.testing.assert_array_equal(high, stats.beta.isf(tail, hits + 1, misses))
