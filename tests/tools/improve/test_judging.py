"""Is a model better beyond noise although many were tried, and what of its gain is the choice?"""

import pytest

from pipeline.errors import DataError
from pipeline.tools.improve.judging import Tried
from tests.examples import params
from tests.tools.improve.runs import IMAGES, evaluate_params, predictions


def test_a_large_gain_is_better_and_a_small_one_is_noise() -> None:
    tried = Tried(predictions(0.7), evaluate_params())
    better, alike = tried.add(predictions(0.8)), tried.add(predictions(0.705))
    found = tried.judged(better, 0)
    assert found.difference == pytest.approx(0.1)
    assert 0 < found.low < found.difference < found.high
    assert found.better
    assert not tried.judged(alike, 0).better
    assert tried.judged(0, better).worse


def test_less_is_better_of_a_metric_that_is_minimised() -> None:
    costs = {"name": "mean_cost", "costs": {}, "otherwise": 1.0}
    evaluate = params(**{"evaluate.optimizing": costs, "evaluate.satisficing": {}}).evaluate
    tried = Tried(predictions(0.7), evaluate)
    assert tried.judged(tried.add(predictions(0.8)), 0).better


def test_the_more_are_tried_the_more_a_gain_takes() -> None:
    tried = Tried(predictions(0.7), evaluate_params())
    number = tried.add(predictions(0.74, seed=5, flips=0.1))
    alone = tried.judged(number, 0)
    for seed in range(12):
        tried.add(predictions(0.7, seed=seed, flips=0.1))
    among = tried.judged(number, 0)
    assert among.difference == alone.difference
    assert among.low < alone.low


def test_the_best_of_many_that_are_equal_owes_its_gain_to_the_choice() -> None:
    """Models that err at random: what one has over the others on dev is luck."""
    tried = Tried(predictions(0.7, seed=3, flips=0.3), evaluate_params())
    numbers = [tried.add(predictions(0.7, seed=seed, flips=0.3)) for seed in range(20)]
    order = [(number, True) for number in numbers]
    best = max(numbers, key=tried.value)
    claimed = tried.value(best) - tried.value(0)
    assert not tried.judged(best, 0).better
    real = Tried(predictions(0.6), evaluate_params())
    kept = real.add(predictions(0.8))
    assert real.gain_without_choice([(kept, True)], kept) == pytest.approx(0.2, abs=0.02)
    assert tried.gain_without_choice(order, best) <= claimed


def test_a_gain_without_the_choice_is_at_most_the_gain() -> None:
    tried = Tried(predictions(0.7), evaluate_params())
    numbers = [tried.add(predictions(0.77, seed=seed, flips=0.05)) for seed in range(6)]
    best = max(numbers, key=tried.value)
    claimed = tried.value(best) - tried.value(0)
    corrected = tried.gain_without_choice([(number, True) for number in numbers], best)
    assert claimed / 2 < corrected <= claimed
    assert tried.gain_without_choice([(number, number != best) for number in numbers], best) <= corrected


def test_other_images_cannot_be_compared() -> None:
    tried = Tried(predictions(0.7), evaluate_params())
    assert tried.is_comparable(predictions(0.9))
    assert not tried.is_comparable(predictions(0.9, first=1))


def test_too_few_groups_tell_nothing() -> None:
    few = predictions(0.7).head(10)
    with pytest.raises(DataError, match=r"^dev has 10 independent groups of images, .* with at least \d+: collect"):
        Tried(few, evaluate_params())
    assert IMAGES > 100
