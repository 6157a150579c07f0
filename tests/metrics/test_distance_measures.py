"""Metrics of an order and of a tree, held against scikit-learn's, and where they take the order from."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from pipeline.errors import ParamsError
from pipeline.metrics.distance_measures import measures_of
from pipeline.metrics.evaluation import measure_split
from pipeline.metrics.metric import Tally, key_of, metric_of
from pipeline.metrics.predictions import Predictions
from pipeline.problem.framing import UNRELATED, Nested, Ranked
from tests.examples import params
from tests.metrics.test_evaluation import predictions

ORDER = ("none", "some", "much", "all")
TREE = {"fruit": {"apple": None, "pear": None}, "animal": {"cat": None, "dog": None}}
LEAVES = ("apple", "pear", "cat", "dog")
ORDINAL = {"name": "ordinal", "order": list(ORDER)}
HIERARCHY = {"name": "hierarchy", "tree": TREE}


def seen(classes: tuple[str, ...], seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    labels, predicted = generator.integers(0, 4, (2, 200))
    return Predictions(classes, np.where(generator.random(200) < 0.5, predicted, labels), predicted, None)


def value(choice: Any, problem: dict[str, Any], judged: Predictions) -> float:
    chosen = params(**{"evaluate.optimizing": choice, "problem": problem}).evaluate.optimizing
    return metric_of(chosen, judged.classes).value(judged)


def test_of_an_order_the_mean_distance_is_the_mean_absolute_error_of_ranks() -> None:
    judged = seen(ORDER)
    assert value("mean_distance", ORDINAL, judged) == pytest.approx(
        mean_absolute_error(judged.labels, judged.predicted)
    )


def test_quadratic_kappa_is_that_of_scikit_learn() -> None:
    judged = seen(ORDER)
    expected = cohen_kappa_score(judged.labels, judged.predicted, weights="quadratic")
    assert value("quadratic_kappa", ORDINAL, judged) == pytest.approx(expected)
    constant = Predictions(ORDER, np.zeros(9, np.intp), np.zeros(9, np.intp), None)
    assert value("quadratic_kappa", ORDINAL, constant) == 0


def test_the_order_decides_not_the_numbers_of_the_classes() -> None:
    judged = seen(tuple(sorted(ORDER)))
    ranks = np.array([ORDER.index(name) for name in judged.classes])
    expected = np.abs(ranks[judged.labels] - ranks[judged.predicted]).mean()
    assert value("mean_distance", ORDINAL, judged) == pytest.approx(expected)
    own = {"name": "mean_distance", "order": list(ORDER)}
    assert value(own, params().problem.model_dump(), judged) == pytest.approx(expected)


def test_of_a_tree_mistakes_within_a_group_cost_half_of_those_across() -> None:
    judged = Predictions(LEAVES, np.array([0, 0, 0, 2]), np.array([0, 1, 2, 3]), None)
    assert value("mean_distance", HIERARCHY, judged) == pytest.approx((0 + 1 + 2 + 1) / 4)
    assert value({"name": "level_accuracy", "level": 1}, HIERARCHY, judged) == 0.75
    assert value({"name": "level_accuracy", "level": 2}, HIERARCHY, judged) == 0.25


def test_evaluation_adds_what_an_order_or_a_tree_has_to_tell() -> None:
    assert [key_of(each) for each in measures_of(Ranked(name="ranked", output="softmax"), ORDER)] == [
        "mean_distance",
        "quadratic_kappa",
    ]
    nested = Nested(name="nested", output="cascade", tree=TREE)
    assert [key_of(each) for each in measures_of(nested, LEAVES)] == ["mean_distance", "level_accuracy_1"]
    assert measures_of(UNRELATED, LEAVES) == []
    frame = predictions([[5, 1, 0, 0], [0, 5, 0, 1], [0, 0, 5, 0], [1, 0, 0, 5]], classes=LEAVES)
    measured = measure_split(frame, LEAVES, params().evaluate, nested)
    assert measured["mean_distance"] == pytest.approx((1 + 2 + 2) / 23)
    assert measured["level_accuracy_1"] == pytest.approx(21 / 23)


def test_an_epoch_is_counted_by_the_decision_that_evaluation_takes() -> None:
    from dataclasses import replace

    from pipeline.problem.framing import decision

    metric = metric_of(
        params(**{"evaluate.optimizing": "mean_distance", "problem": ORDINAL}).evaluate.optimizing, ORDER
    )
    probabilities = np.array([[0.4, 0.0, 0.3, 0.3], [0.1, 0.2, 0.3, 0.4]])
    decided = replace(metric, decide=decision(Ranked(name="ranked", output="cumulative"), 4))
    for one, expected in ((metric, (2 + 1) / 2), (decided, 0.0)):
        tally = Tally(one, 4)
        tally.add(np.array([2, 2]), probabilities)
        assert tally.value == expected


@pytest.mark.parametrize(
    ("choice", "problem", "message"),
    [
        ("mean_distance", None, r"mean_distance needs an order \(problem: ordinal\) or a tree"),
        ("quadratic_kappa", HIERARCHY, r"quadratic_kappa needs an order \(problem: ordinal\): set problem so"),
        ({"name": "level_accuracy", "level": 1}, ORDINAL, "level_accuracy needs a tree"),
    ],
)
def test_a_metric_without_its_order_or_tree_is_refused(choice: Any, problem: Any, message: str) -> None:
    changes = {} if problem is None else {"problem": problem}
    with pytest.raises(ParamsError, match=message):
        params(**{"evaluate.optimizing": choice, **changes})
    with pytest.raises(ParamsError, match=message):
        params(**{"evaluate.satisficing": {"x": {"metric": choice, "min": 0.5, "max": None}}, **changes})


def test_classes_without_a_place_and_levels_that_are_not_there_are_refused() -> None:
    with pytest.raises(ParamsError, match="lacks kiwi: each class of the model needs a place"):
        value("mean_distance", ORDINAL, Predictions((*ORDER, "kiwi"), np.zeros(1, np.intp), np.zeros(1, np.intp), None))
    with pytest.raises(ParamsError, match="level_accuracy of level 3, and the tree has 2"):
        value({"name": "level_accuracy", "level": 3}, HIERARCHY, seen(LEAVES))


def test_costs_of_a_loss_are_the_distances() -> None:
    chosen = params(
        **{
            "problem": ORDINAL,
            "evaluate.optimizing": "mean_distance",
            "train.loss": {"name": "cost_sensitive", "strength": 1.0},
        }
    )
    costs = metric_of(chosen.evaluate.optimizing, ORDER).costs
    assert costs is not None
    assert costs[0].tolist() == [0, 1, 2, 3]
