"""Numbers of images: what labels become, what is left out, how they are split, and what params may not say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.problem.framing import Numeric
from pipeline.problem.params import Regression
from pipeline.problem.problem import PROBLEMS, check_has_classes, framed, is_regression
from pipeline.problem.quantities import (
    Quantity,
    bin_labels,
    binned,
    binned_texts,
    equal_edges,
    number_of,
    quantile_edges,
    text_of,
)
from pipeline.project.choices_by_problem import of_numbers
from pipeline.project.params_template import Choice
from pipeline.stages.curate.values import NO_VALUE, with_numbers, with_values
from pipeline.stages.split.numbers import params_of_parts, with_parts
from pipeline.stages.split.splitting import assign_splits
from tests.examples import curated, params
from tests.levers import NUMBERS


def regression(**changes: Any) -> Regression:
    found = PROBLEMS["regression"].params(name="regression", **changes)
    assert isinstance(found, Regression)
    return found


@pytest.mark.parametrize("number", [0.0, -0.0, 3.0, 2.5, -1e-7, 1 / 3, 1e20, 123456789.125])
def test_a_number_reads_back_from_its_text(number: float) -> None:
    assert float(text_of(number)) == number
    assert number_of(text_of(number)) == number


@pytest.mark.parametrize("text", ["", "ripe", "nan", "inf", "-inf", "1_000", "1e999", "1,5"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert number_of(text) is None


def test_parts_hold_equally_many_and_equal_numbers_share_one() -> None:
    numbers = np.r_[np.zeros(50), np.arange(1, 51)]
    edges = quantile_edges(numbers, 5)
    assert edges == [11.0, 31.0]
    assert pd.Series(binned(numbers, edges)).value_counts().to_dict() == {
        "1 of 3: below 11": 60,
        "2 of 3: 11 to 31": 20,
        "3 of 3: 31 or more": 20,
    }
    assert quantile_edges(np.ones(9), 5) == equal_edges(np.ones(9), 5) == []
    assert bin_labels([]) == ["1 of 1: all"]
    assert equal_edges(np.array([0.0, 8.0]), 4) == [2.0, 4.0, 6.0]
    assert binned_texts(["2", "", "1.9"], [2.0], "") == ["2 of 2: 2 or more", "", "1 of 2: below 2"]
    assert bin_labels([float(number) for number in range(11)])[0].startswith("01 of 12")


def test_labels_become_the_shortest_text_of_their_number() -> None:
    assert PROBLEMS["regression"].relabel(regression(), ["3.0", "2.50", "4", "ripe", ""]) == {"3.0": "3", "2.50": "2.5"}
    values = {"none": 0.0, "some": 1.0, "much": 2.5}
    assert PROBLEMS["regression"].relabel(regression(values=values), [*values, ""]) == {
        "none": "0",
        "some": "1",
        "much": "2.5",
    }
    with pytest.raises(DataError) as raised:
        PROBLEMS["regression"].relabel(regression(values={"none": 0.0, "lots": 2.0}), ["none", "some"])
    assert str(raised.value).splitlines() == [
        "problem.values names the class lots, which no image has; the sources have none, some",
        "problem.values lacks some: give each label its number",
    ]
    with pytest.raises(ValueError, match="values gives all labels the same number"):
        regression(values={"none": 1.0, "some": 1.0})


def test_the_framing_is_mean_and_deviation_of_train_by_rows() -> None:
    names, framing = framed(regression(column="ripeness"), {"1": 3, "5": 1})
    assert isinstance(names, Quantity)
    assert (*names,) == ("ripeness",)
    assert isinstance(framing, Numeric)
    assert framing.mean == 2.0
    assert framing.deviation == pytest.approx(np.std([1, 1, 1, 5]))
    assert framed(regression(), {"5": 4, "1": 0})[1] == framed(regression(), {"5": 2})[1]


def images(labels: list[str]) -> pd.DataFrame:
    rows = curated({"x": 2}, {"x": len(labels) - 2})
    return rows.assign(label=labels, meta_size=labels)


def test_images_without_a_number_are_left_out_with_what_they_have_instead() -> None:
    rows = images(["ripe", "", *map(str, range(28)), ""])
    rows.loc[rows["role"] == "raw", "label"] = ["", "2.5"]
    found = with_numbers(rows, measures=True)
    assert found.details.tolist() == ["ripe", NO_VALUE]
    assert found.without["role"].tolist() == ["production", "raw"]
    assert len(found.images) == len(rows) - 2
    assert (found.images["label"] == "").sum() == 1  # of production, nobody has measured it yet
    assert with_numbers(rows, measures=False).images is rows


def test_a_column_of_words_is_refused_with_its_values() -> None:
    with pytest.raises(DataError, match=r"regression needs a number .* and 4 of 8 labels are none: ripe \(4\)"):
        with_numbers(images(["ripe"] * 4 + ["1"] * 4), measures=True)
    rows = images(["1", ""] + ["1"] * 6).assign(role="raw")
    assert with_values(rows, "size", each=False)["label"].tolist() == rows["label"].tolist()
    with pytest.raises(DataError, match="1 raw images have no value in the column size"):
        with_values(rows, "size")


def measured_rows(count: int = 400) -> pd.DataFrame:
    rows = curated({"x": count}, {"x": count})
    return rows.assign(label=[text_of(round(float(one), 3)) for one in np.random.default_rng(1).gamma(2, 2, 2 * count)])


def test_dev_and_test_get_images_of_each_part_of_the_range() -> None:
    rows, _ = with_parts(measured_rows(), None)
    assert rows["label"].nunique() == 5
    chosen = params(**{"split.min_per_class": 15, "split.one_sided_classes": "error"}).split
    splits = assign_splits(rows, params_of_parts(chosen)).assigned
    for name in ("dev", "test"):
        counts = splits.loc[splits["split"] == name, "label"].astype(str).value_counts()
        assert len(counts) == 5
        assert counts.min() >= 15
    with pytest.raises(DataError, match="all 5 production images have the number 3"):
        with_parts(curated({}, {"x": 5}).assign(label="3"), None)


def test_frozen_images_keep_their_split_and_other_numbers_are_found_out() -> None:
    now = measured_rows(100)
    rows, _ = with_parts(now, None)
    earlier = assign_splits(rows, params_of_parts(params().split)).assigned[["id", "split"]]
    earlier = earlier.merge(now[["id", "label"]], on="id")
    rows, frozen = with_parts(now, earlier)
    again = assign_splits(rows, params_of_parts(params().split), frozen).assigned
    pd.testing.assert_series_equal(
        again.set_index("id")["split"].astype(str).sort_index(),
        earlier.set_index("id")["split"].astype(str).sort_index(),
    )
    _, frozen = with_parts(now, earlier.assign(label=["77", *earlier["label"][1:]]))
    with pytest.raises(DataError, match="1 images have a different label now"):
        assign_splits(rows, params_of_parts(params().split), frozen)


def test_params_of_numbers_are_accepted_and_each_that_is_of_classes_is_named_at_once() -> None:
    assert is_regression(params(**NUMBERS).problem)
    params(**{**NUMBERS, "diagnose.human_error": 20.0, "diagnose.relevant_gap": 5.0})
    pseudo_labels = {"name": "pseudo_labels", "neighbours": 10, "threshold": 0.0, "quota": 1.0, "weight": 1.0}
    wrong = {
        "augment.copies": {"name": "up_to", "rows": 30},
        "train.model": {"name": "majority_class"},
    }
    with pytest.raises(ParamsError) as raised:
        params(problem={"name": "regression"}, **wrong)
    for part in (
        "balance: strategy oversample evens out classes",
        "augment: copies up_to counts images by class",
        "model majority_class gives each image a class, and problem asks for a number: take one of random_forest",
        "loss cross_entropy is about classes, and with problem regression an image has a number: take one of",
        "optimizing: the metric accuracy is about classes",
        "satisficing.worst_class_recall: the metric worst_class_recall is about classes",
    ):
        assert part in str(raised.value)
    others = {
        "train.unlabelled": {**pseudo_labels, "rounds": 1, "max_images": 10},
        "train.class_weights": {"1": 2.0},
        "train.label_smoothing": 0.1,
    }
    with pytest.raises(ParamsError) as raised:
        params(**{**NUMBERS, **others})
    for part in (
        "unlabelled pseudo_labels gives each",
        "class_weights weigh images by class",
        "label_smoothing is about",
    ):
        assert part in str(raised.value)
    with pytest.raises(ParamsError, match="ensemble bagging combines probabilities of classes, and with problem reg"):
        params(**{**NUMBERS, "train.ensemble": {"name": "bagging", "count": 3}})


def test_levers_of_numbers_are_refused_for_classes() -> None:
    with pytest.raises(ParamsError) as raised:
        params(
            **{
                "train.loss": {"name": "huber", "delta": 1.0},
                "train.model": {"name": "average", "value": "mean"},
                "evaluate.optimizing": "r2",
                "diagnose.human_error": 2.0,
                "diagnose.relevant_gap": 1.0,
            }
        )
    for part in (
        "loss huber is about numbers (problem regression): take one of cross_entropy",
        "model average gives each image a number, and problem asks for a class",
        "the metric r2 is about numbers",
        "human_error must be at most 1, got 2: it is a share of images",
        "relevant_gap must be below 1, got 1",
    ):
        assert part in str(raised.value)


def test_what_needs_classes_says_so() -> None:
    check_has_classes(params().problem, "this")
    with pytest.raises(ParamsError, match=r"^`pipeline spot-check` needs a class for each image, and with problem"):
        check_has_classes(regression(), "`pipeline spot-check`")


def test_a_new_project_of_numbers_has_limits_in_their_unit() -> None:
    chosen = [
        Choice("split.train_dev", 0.1),
        Choice("split.min_per_class", 5),
        Choice("balance.strategy", {"name": "weights"}),
        Choice("evaluate.satisficing", {"model_megabytes": {}, "worst_class_recall": {}}, "recall. Size"),
        Choice("diagnose.human_error", 0.02),
    ]
    made = {one.place: one for one in of_numbers(chosen, {0.0: 50, 200.0: 50})}
    assert made["problem"].value == {"name": "regression"}
    assert "standard deviation of 100" in made["problem"].why
    assert made["evaluate.optimizing"].value == "mean_absolute_error"
    assert made["diagnose.relevant_gap"].value == made["diagnose.human_error"].value == 5.0
    assert made["balance.strategy"].value == {"name": "none"}
    assert set(made["evaluate.satisficing"].value) == {"model_megabytes"}
    assert "split.min_per_class" not in made
    assert "train.label_smoothing" not in made["tune.space"].value
