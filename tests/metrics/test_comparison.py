"""Which of several results is best, which differences are noise, and what cannot be held against the others."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics.comparison import Result, Row, compare, is_report
from pipeline.stages.evaluate.params import EvaluateParams
from tests.examples import params

CLASSES = ("apple", "fig")


def evaluate(optimizing: Any = "accuracy") -> EvaluateParams:
    return params(**{"evaluate.optimizing": optimizing, "evaluate.bootstrap": 300}).evaluate


def predictions(wrong: set[int], images: int = 300, ids: str = "dev") -> pd.DataFrame:
    """Images by turns of two classes, some called wrongly, the model 90 % sure of each; and some of train."""
    labels = np.array([CLASSES[number % 2] for number in range(images)])
    called = np.array([CLASSES[(number + (number in wrong)) % 2] for number in range(images)])
    names = [f"{ids}{number:04}" for number in range(images)]
    frame = pd.DataFrame({"id": names, "group": names, "split": "dev", "label": labels, "predicted": called})
    shares = {f"probability_{name}": np.where(called == name, 0.9, 0.1) for name in CLASSES}
    frame = frame.assign(**shares)
    return pd.concat([frame.assign(split="train", id="train" + frame["id"]), frame], ignore_index=True)


def result(name: str, wrong: set[int], held: bool = True, **changes: Any) -> Result:
    report = {"accepted": held, "limits": {"size": {"held": held, "value": 1.0}, "time": {"held": True, "value": 1.0}}}
    values = {"report": report, "predictions": predictions(wrong), **changes}
    return Result(name, "experiment", name, **values)


def shown(rows: list[Row]) -> list[tuple[str, str | None]]:
    return [(row.name, row.standing) for row in rows]


def test_the_best_comes_first_and_the_others_are_told_from_noise() -> None:
    rows = compare(
        [result("poor", set(range(60))), result("good", set(range(20))), result("nearly", set(range(23)))], evaluate()
    )
    assert shown(rows) == [("good", "best"), ("nearly", "within noise"), ("poor", "worse")]
    assert rows[2].difference == pytest.approx(-40 / 300)
    assert rows[2].difference_low < -40 / 300 < rows[2].difference_high < 0  # type: ignore[operator]
    assert rows[0].value == pytest.approx(280 / 300)
    assert rows[0].low < 280 / 300 < rows[0].high  # type: ignore[operator]
    assert [row.note for row in rows] == ["", "", ""]


def test_pairs_are_told_apart_where_intervals_overlap() -> None:
    """Both are wrong on the same hard images, and one of them on ten more."""
    rows = compare([result("a", set(range(60))), result("b", set(range(70)))], evaluate())
    assert rows[0].low < rows[1].high  # type: ignore[operator]
    assert shown(rows) == [("a", "best"), ("b", "worse")]


def test_wrong_on_other_images_is_noise_although_as_many_more_are_wrong() -> None:
    rows = compare([result("a", set(range(60))), result("b", set(range(100, 170)))], evaluate())
    assert shown(rows) == [("a", "best"), ("b", "within noise")]


def test_rejected_models_stand_at_the_bottom_and_are_not_the_best() -> None:
    rows = compare(
        [result("rejected", set(), held=False), result("poor", set(range(60))), result("good", {1})], evaluate()
    )
    assert shown(rows) == [("good", "best"), ("poor", "worse"), ("rejected", "within noise")]
    assert [row.accepted for row in rows] == [True, True, False]
    assert rows[2].broken == ("size",)


def test_where_no_model_is_accepted_the_best_of_them_stands_in() -> None:
    rows = compare([result("poor", set(range(60)), held=False), result("good", {1}, held=False)], evaluate())
    assert shown(rows) == [("good", "best"), ("poor", "worse")]
    assert rows[1].difference_low is not None


def test_of_twenty_equal_models_hardly_any_is_called_worse() -> None:
    """Each pair for itself at 95 %, four of nineteen were called worse, and in nine tables of ten at least one."""
    accused = 0
    for seed in range(25):
        generator = np.random.default_rng(seed)
        hard = set(np.flatnonzero(generator.random(300) < 0.05).tolist())
        own = [set(np.flatnonzero(generator.random(300) < 0.05).tolist()) for _ in range(20)]
        rows = compare([result(f"{number:02}", hard | wrong) for number, wrong in enumerate(own)], evaluate())
        accused += any(row.standing == "worse" for row in rows)
    assert accused <= 4


def test_a_model_that_is_four_points_worse_is_mostly_called_so() -> None:
    seen = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        hard = set(np.flatnonzero(generator.random(441) < 0.025).tolist())
        rows = []
        for number, error in enumerate([0.025, 0.025, 0.025, 0.025, 0.067]):
            wrong = hard | set(np.flatnonzero(generator.random(441) < error).tolist())
            rows.append(result(f"{number}", wrong, predictions=predictions(wrong, images=441)))
        seen += next(row.standing == "worse" for row in compare(rows, evaluate()) if row.name == "4")
    assert seen >= 10


def test_a_few_images_all_in_favour_of_one_are_no_proof() -> None:
    """Three mistakes of one model where the other has none: McNemar's exact test gives p = 0.25."""
    rows = compare([result("a", set()), result("b", {1, 2, 3})], evaluate())
    assert shown(rows) == [("a", "best"), ("b", "within noise")]


def test_models_with_the_same_predictions_are_within_noise() -> None:
    rows = compare([result("a", {1, 2}), result("b", {1, 2})], evaluate())
    assert [row.standing for row in rows] == ["best", "within noise"]
    assert (rows[1].difference_low, rows[1].difference_high) == (0, 0)


def test_too_few_groups_tell_no_models_apart() -> None:
    grouped = [predictions(wrong).assign(group=lambda frame: frame["id"].str[-1]) for wrong in (set(range(60)), {1})]
    rows = compare([result(str(number), set(), predictions=each) for number, each in enumerate(grouped)], evaluate())
    assert [row.standing for row in rows] == ["best", None]
    assert all("fewer than 15 independent groups" in row.note for row in rows)


def test_what_params_had_otherwise_stands_beside_the_name() -> None:
    first = result("good", {1}, params={"train.epochs": 3, "train.rate": 0.1, "seed": 1})
    other = result("poor", set(range(60)), params={"train.epochs": 5, "seed": 1, "new": None})
    rows = compare([first, other, result("unknown", {1, 2})], evaluate())
    assert {row.name: dict(row.changed) for row in rows} == {
        "good": {},
        "unknown": {},
        "poor": {"train.epochs": 5, "train.rate": None, "new": None},
    }


def test_the_time_of_training_goes_with_its_model() -> None:
    timed = [replace(result(name, set(range(wrong))), seconds=float(wrong)) for name, wrong in (("a", 30), ("b", 10))]
    assert [(row.name, row.seconds) for row in compare(timed, evaluate())] == [("b", 10.0), ("a", 30.0)]


def test_results_of_another_project_are_marked() -> None:
    foreign = predictions(set(), ids="digits")
    rows = compare([result("mine", {1}), result("theirs", set(), predictions=foreign)], evaluate())
    assert {row.name: row.own for row in rows} == {"mine": True, "theirs": False}
    earlier = predictions(set(), images=310)
    assert all(
        row.own for row in compare([result("mine", {1}), result("earlier", set(), predictions=earlier)], evaluate())
    )


def test_a_loss_is_better_when_it_is_less() -> None:
    rows = compare([result("poor", set(range(60))), result("good", {1})], evaluate("log_loss"))
    assert shown(rows) == [("good", "best"), ("poor", "worse")]
    assert rows[1].difference > 0  # type: ignore[operator]


def test_other_dev_images_are_not_compared() -> None:
    other = predictions(set(), images=310)
    relabelled = predictions(set())
    relabelled.loc[relabelled["id"] == "dev0000", "label"] = "fig"
    rows = compare(
        [
            result("first", set(range(60))),
            result("other", set(), predictions=other),
            result("relabelled", set(), predictions=relabelled),
        ],
        evaluate(),
    )
    assert shown(rows) == [("first", "best"), ("other", None), ("relabelled", None)]
    assert rows[1].note == "another dev: 300 of its 310 labelled images are among the 300 here"
    assert rows[2].note == "another dev: 299 of its 300 labelled images are among the 300 here"
    assert rows[1].value == 1.0
    assert rows[1].difference is None


def test_a_result_without_predictions_is_what_its_report_says() -> None:
    report = {"accepted": True, "limits": {}, "dev": {"accuracy": 0.99, "optimizing": 0.99, "low": 0.9, "high": 1.0}}
    gone = result("gone", set(), predictions=None, report=report, missing="not in the cache")
    rows = compare([gone, result("here", set(range(60)))], evaluate())
    assert shown(rows) == [("here", "best"), ("gone", None)]
    assert (rows[1].value, rows[1].low, rows[1].high, rows[1].note) == (0.99, 0.9, 1.0, "not in the cache")
    [alone] = compare([gone], evaluate("macro_f1"))
    assert (alone.value, alone.low, alone.note) == (None, None, "not in the cache")
    [ranked_otherwise] = compare([result("x", set(), predictions=None, report={**report, "dev": {
        "accuracy": 0.9, "optimizing": 0.8, "low": 0.7, "high": 0.9}})], evaluate())  # fmt: skip
    assert (ranked_otherwise.value, ranked_otherwise.low) == (0.9, None)


def test_a_result_without_anything_is_last() -> None:
    rows = compare([result("failed", set(), predictions=None, report={}, missing="no results")], evaluate())
    assert [(row.name, row.value, row.accepted, row.note) for row in rows] == [("failed", None, None, "no results")]


def test_a_model_without_the_class_of_the_metric_says_so() -> None:
    rows = compare([result("a", {1})], evaluate({"name": "class_recall", "label": "pear"}))
    assert rows[0].value is None
    assert "names the class 'pear', which the model does not have" in rows[0].note


def test_predictions_without_probabilities_are_compared_where_that_is_enough() -> None:
    bare = predictions({1}).drop(columns=[f"probability_{name}" for name in CLASSES])
    results = [result("new", set(range(60))), result("old", set(), predictions=bare)]
    assert shown(compare(results, evaluate())) == [("old", "best"), ("new", "worse")]
    rows = compare(results, evaluate("log_loss"))
    assert (rows[1].name, rows[1].note) == ("old", "its predictions have no probabilities: run it again")


@given(st.permutations(range(4)), st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_results_and_of_rows_changes_nothing(order: list[int], random: Any) -> None:
    results = [result(name, set(range(10 * number))) for number, name in enumerate("abcd")]
    mixed = [results[number] for number in order]
    for place, each in enumerate(mixed):
        assert each.predictions is not None
        shuffled = each.predictions.sample(frac=1, random_state=random.getrandbits(32))
        mixed[place] = replace(each, predictions=shuffled)
    assert compare(mixed, evaluate()) == pytest.approx(compare(results, evaluate()))


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({}, True),
        (
            {"accepted": True, "limits": {"size": {"held": True, "value": 1}}, "dev": {"accuracy": 0.5, "images": 3}},
            True,
        ),
        ([1], False),
        (None, False),
        ({"limits": [1]}, False),
        ({"limits": {"size": 3}}, False),
        ({"limits": {"size": {"value": 3}}}, False),
        ({"dev": 3}, False),
        ({"dev": {"accuracy": "much"}}, False),
    ],
    ids=str,
)
def test_other_json_is_no_report(value: Any, is_one: bool) -> None:
    assert is_report(value) is is_one
    if is_one:
        assert len(compare([result("x", set(), report=value)], evaluate())) == 1


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_a_rejected_model_may_be_better_than_the_best_accepted_one(metric: str) -> None:
    rows = compare([result("rejected", {1}, held=False), result("poor", set(range(60)))], evaluate(metric))
    assert shown(rows) == [("poor", "best"), ("rejected", "better")]


def test_runs_of_one_name_are_told_apart_by_their_revision() -> None:
    runs = [replace(result("run", set(range(wrong))), rev=rev) for wrong, rev in ((40, "a"), (44, "b"), (48, "c"))]
    assert compare(runs[::-1], evaluate()) == compare(runs, evaluate())
