"""How far differences of models are uncertain, against distributions that are known."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from pipeline.metrics.multiple_comparisons import judged_together

GROUPS = 2000
# Critical values are drawn 4,000 times: some 1.5 % of deviation for a pair, and more behind Student's quantile.
DRAWN = 0.06


def influences(models: int, images: int = GROUPS, seed: int = 1) -> npt.NDArray[np.float64]:
    """Of models that err independently of each other, with the same variance on these very images."""
    drawn = np.random.default_rng(seed).normal(size=(models, images))
    drawn -= drawn.mean(axis=1, keepdims=True)
    # Whitened: no two are correlated here.
    return np.asarray(np.linalg.solve(np.linalg.cholesky(np.cov(drawn, bias=True)), drawn))


def reach(found: npt.NDArray[np.float64], groups: int = GROUPS) -> npt.NDArray[np.float64]:
    return judged_together(found, np.arange(found.shape[1]), groups, 0.05, 1).reach


def test_two_models_have_the_interval_of_one_difference() -> None:
    found = reach(influences(2))
    assert found.tolist() == [[0, found[0, 1]], [found[0, 1], 0]]
    variance = 2 / (GROUPS - 1)
    critical = stats.t.isf(0.025, GROUPS - 1)
    assert found[0, 1] == pytest.approx(critical * math.sqrt(variance / (1 - critical**2 / GROUPS)), rel=DRAWN)


@pytest.mark.parametrize("models", [3, 8])
def test_several_independent_models_have_the_studentized_range(models: int) -> None:
    """Tukey's distribution of the largest of all pairs, whose differences have twice one model's variance."""
    critical = stats.studentized_range.ppf(0.95, models, math.inf) / math.sqrt(2)
    found = reach(influences(models))[np.triu_indices(models, 1)]
    assert found == pytest.approx(critical * math.sqrt(2 / GROUPS), rel=DRAWN)


def test_models_that_err_on_the_same_images_are_told_apart_sooner() -> None:
    one, other, noise = influences(3)
    alike = reach(np.stack([one, 0.9 * one + 0.1 * noise]))[0, 1]
    assert alike == pytest.approx(reach(np.stack([one, other]))[0, 1] * math.sqrt(0.02 / 2), rel=DRAWN)
    assert (reach(np.stack([one, one])) == 0).all()


def test_a_group_of_copies_is_one_image() -> None:
    found = influences(2, 200)
    once = judged_together(found, np.arange(200), 200, 0.05, 1).reach
    copied = judged_together(np.repeat(found, 4, axis=1), np.repeat(np.arange(200), 4), 200, 0.05, 1).reach
    assert copied == pytest.approx(once)


def test_few_groups_have_student_s_quantile_and_too_few_tell_nothing() -> None:
    found = influences(2, 20)
    critical = stats.t.isf(0.025, 19)
    expected = critical * math.sqrt(2 / 19 / (1 - critical**2 / 20))
    assert reach(found, 20)[0, 1] == pytest.approx(expected, rel=DRAWN)
    assert reach(influences(2, 4), 4).tolist() == [[0, math.inf], [math.inf, 0]]
