"""Two-sample tests against other ways to compute the same, and the ends of intervals that are known."""

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.two_samples import (
    FOLDS,
    _area_interval,
    _random_p,
    fact_test,
    fold_areas,
    label_test,
    quadratic_features,
)


def test_labels_have_the_chi_square_test_of_homogeneity() -> None:
    labels = np.repeat(["a", "b", "c"], [60, 50, 40])
    inside = np.r_[np.arange(60) < 40, np.arange(50) < 20, np.arange(40) < 12]
    found = label_test(labels, inside, seed=1)
    table = [[40, 20, 12], [20, 30, 28]]
    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    apart = [abs(one / 72 - other / 78) for one, other in zip(*table, strict=True)]
    assert found.statistic == pytest.approx(sum(apart) / 2)


@pytest.mark.parametrize(("rare", "exact"), [(10, True), (9, False)])
def test_a_class_of_fewer_than_five_expected_images_gets_its_p_from_random_tables(rare: int, exact: bool) -> None:
    """Of 200 images on two equal sides, where 10 of a class are 5 on each."""
    labels = np.repeat(["a", "b"], [200 - rare, rare])
    inside = np.r_[np.arange(200 - rare) < 98, np.arange(rare) < 2]
    table = [[98, 2], [200 - rare - 98, rare - 2]]
    known = float(stats.chi2_contingency(table, correction=False).pvalue)
    assert (label_test(labels, inside, seed=1).p == pytest.approx(known, rel=1e-9)) == exact


def test_one_class_alone_differs_in_nothing() -> None:
    assert label_test(np.repeat(["a"], 20), np.arange(20) < 10, seed=1).p == 1


@pytest.mark.parametrize(("size", "method"), [(1000, "exact"), (1001, "asymp")])
def test_a_fact_has_the_exact_test_up_to_a_thousand_images(size: int, method: str) -> None:
    generator = np.random.default_rng(1)
    here, there = generator.normal(0, 1, size), generator.normal(0.08, 1, 900)
    found = fact_test(here, there)
    known = stats.ks_2samp(here, there, method=method)
    assert (found.statistic, found.p) == (known.statistic, known.pvalue)


def test_features_are_normal_scores_their_squares_and_products() -> None:
    facts = np.array([[3.0, 10.0], [1.0, 30.0], [2.0, 20.0]])
    found = quadratic_features(facts)
    one, other = stats.norm.ppf(np.array([3, 1, 2]) / 4), stats.norm.ppf(np.array([1, 3, 2]) / 4)
    assert found == pytest.approx(np.column_stack([np.ones(3), one, other, one * one, one * other, other * other]))


def test_areas_are_those_of_a_ridge_regression_that_did_not_see_the_fold() -> None:
    """By hand: fitted to the other folds, the area by counting pairs, folds weighted by their pairs."""
    generator = np.random.default_rng(3)
    features = np.column_stack([np.ones(60), generator.normal(size=(60, 2))])
    sides = (features[:, 1] + generator.normal(size=60) > 0.3)[:, None]
    folds = np.arange(60) % FOLDS
    area = weights = 0.0
    for fold in range(FOLDS):
        asked = folds == fold
        x, y = features[~asked], np.where(sides[~asked, 0], 1.0, -1.0)
        weight = np.linalg.solve(np.diag([0.001, 10, 10]) + x.T @ x, x.T @ y)
        scores, here = features[asked] @ weight, sides[asked, 0]
        pairs = scores[here][:, None] - scores[~here][None]
        counted = pairs.size / (asked.sum() + 1)
        area += counted * ((pairs > 0) + 0.5 * (pairs == 0)).mean()
        weights += counted
    assert fold_areas(features, sides, folds)[0] == pytest.approx(area / weights)


def test_equal_images_count_half() -> None:
    sides = (np.arange(40) % 2 == 0)[:, None]
    assert fold_areas(np.ones((40, 2)), sides, np.arange(40) // 8)[0] == 0.5
    # Nothing to compare: each fold is of one side.
    assert fold_areas(np.ones((40, 2)), sides, np.where(sides[:, 0], 0, 1))[0] == 0.5


def test_chances_of_draws_are_never_nought_and_few_draws_settle_what_is_usual() -> None:
    counts: list[int] = []

    generator = np.random.default_rng(1)

    def drawn(count: int) -> np.ndarray:
        counts.append(count)
        return generator.permutation(count) / count

    p, null = _random_p(1 - 10 / 199, drawn)
    assert (counts, len(null)) == ([199], 199)
    assert p == pytest.approx(11 / 200)
    counts.clear()
    p, null = _random_p(1 - 9 / 199, drawn)
    assert counts == [199, 800]
    reached = int((null >= 1 - 9 / 199 - 1e-9).sum())
    assert p == pytest.approx((reached + 1) / 1000)


def test_what_is_beyond_all_draws_has_the_tail_of_their_distribution() -> None:
    generator = np.random.default_rng(2)
    p, null = _random_p(6.0, lambda count: generator.normal(0, 1, count))
    assert 0 < p < 1e-6
    assert len(null) == 999
    # Nothing varies: the number of draws is all that is known.
    assert _random_p(1.0, np.zeros)[0] == pytest.approx(1 / 1000)


@pytest.mark.parametrize("area", [0.5, 0.7, 0.95, 1.0])
def test_an_area_s_interval_holds_the_areas_from_which_it_is_not_too_far(area: float) -> None:
    """At its ends the score is 1.96: with the variance of Newcombe's method 5, which is the one given at 0.5."""

    def variance(true: float) -> float:
        spread = true * (1 - true) * (1 + 49 * ((1 - true) / (2 - true) + true / (1 + true)))
        return 0.003 * spread / (0.25 * (1 + 49 * 2 / 3))

    low, high = _area_interval(area, 0.003, 100)
    assert low <= area <= high
    assert (area - low) ** 2 == pytest.approx(1.96**2 * variance(low), rel=0.02)
    if high < 1:
        assert (high - area) ** 2 == pytest.approx(1.96**2 * variance(high), rel=0.02)
    assert (high == 1) == (area == 1)
    assert _area_interval(area, 0.0, 100) == (0.0, 1.0)
