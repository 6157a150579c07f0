"""What is predicted where some mistakes are worse than others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import catalogue
from pipeline.metrics.predictions import classes_of
from pipeline.problem.framing import UNRELATED, Nested, Ranked, decision, least_expected, rank_distances

RANKED = Ranked(name="ranked", output="cumulative")
TREE = {"fruit": {"apple": None, "pear": None}, "car": None}


def test_of_an_order_the_median_class_is_predicted() -> None:
    probabilities = np.array([[0.4, 0.0, 0.35, 0.25], [0.6, 0.1, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4]])
    assert decision(RANKED, 4)(probabilities).tolist() == [2, 0, 2]
    assert decision(UNRELATED, 4)(probabilities).tolist() == [0, 0, 3]


def test_of_a_tree_the_group_that_is_likely_as_a_whole_is_predicted() -> None:
    framing = Nested(name="nested", output="cascade", tree=TREE)
    assert decision(framing, 3)(np.array([[0.31, 0.29, 0.4], [0.2, 0.2, 0.6]])).tolist() == [0, 2]


@given(st.lists(st.integers(0, 20), min_size=3, max_size=6).filter(lambda counts: sum(counts) > 0))
def test_the_prediction_of_an_order_costs_least_and_is_a_median(counts: list[int]) -> None:
    probabilities = np.array(counts) / sum(counts)
    [predicted] = decision(RANKED, len(counts))(probabilities[None])
    costs = rank_distances(len(counts)) @ probabilities
    assert costs[predicted] == pytest.approx(costs.min())
    assert probabilities[: predicted + 1].sum() >= 0.5 - 1e-6
    assert probabilities[predicted:].sum() >= 0.5 - 1e-6


def test_equal_costs_are_decided_for_the_first_class_whatever_the_last_digits() -> None:
    for noise in (0.0, 1e-9, -1e-9):
        assert least_expected(rank_distances(2))(np.array([[0.5 + noise, 0.5 - noise]])).tolist() == [0]


def test_classes_that_cannot_relate_so_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two classes"):
        RANKED.check(["a"])
    with pytest.raises(ValueError, match="its classes are not those of its tree"):
        Nested(name="nested", output="cascade", tree=TREE).check(["apple", "car", "pear"])


def test_the_order_of_classes_survives_the_file_of_predictions(tmp_path: Path) -> None:
    shares = {f"probability_{name}": np.array([0.5, 0.2], np.float32) for name in ("none", "all", "some")}
    texts = {name: ["a", "b"] for name in ("id", "group", "split")}
    frame = pd.DataFrame({**texts, "label": ["none", "all"], "predicted": ["some", "all"]})
    catalogue.PREDICTIONS.write(frame.assign(confidence=np.float32(0.5), **shares), tmp_path / "predictions.arrow")
    assert classes_of(catalogue.PREDICTIONS.read(tmp_path / "predictions.arrow")) == ("none", "all", "some")
