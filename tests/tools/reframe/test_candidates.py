"""Framings that fit the data: what they make of the classes, and the params that mean the same."""

from typing import Any

import numpy as np
import pytest

from pipeline.errors import ParamsError
from pipeline.problem.params import Relabelled
from pipeline.problem.problem import PROBLEMS, framed
from pipeline.tools.reframe.candidates import (
    Asked,
    Candidate,
    against_rest,
    clustered_tree,
    in_order,
    in_tree,
    merged,
    most_confused,
    proposed_order,
    unrelated,
)
from pipeline.tools.reframe.wishes import wishes_of
from tests.examples import params

LABELS = ["apple", "fico", "pear", "plum"]
CLASSES = ("apple", "fig", "pome", "stone")
TREE = {"a": {"apple": None, "pome": None}, "b": {"fig": None, "stone": None}}


def today(**values: Any) -> Relabelled:
    names = {"rename": {"fico": "fig", "plum": "stone"}, "merge": {"pome": ["pear"]}, "one_against_rest": None}
    found = params(**{"problem": {"name": "classes", **names, **values}}).problem
    assert isinstance(found, Relabelled)
    return found


def all_candidates() -> list[Candidate]:
    problem, order = today(), ["stone", "fig", "apple", "pome"]
    own = framed(params(problem={"name": "ordinal", "order": order}).problem, CLASSES)[1]
    return [
        *in_order(CLASSES, Asked(order=order), problem),
        *in_tree(CLASSES, TREE, "hierarchy", None, problem, "half edges"),
        merged(CLASSES, (1, 2), problem),
        against_rest(CLASSES, "fig", problem),
        unrelated(tuple(order), own, None, problem),
    ]


@pytest.mark.parametrize("candidate", all_candidates(), ids=lambda candidate: candidate.name)
def test_the_params_of_a_framing_give_its_classes_to_the_same_labels(candidate: Candidate) -> None:
    chosen = params(**candidate.params)
    of_sources = {"apple": "apple", "fico": "fig", "pear": "pome", "plum": "stone"}
    becomes = PROBLEMS.of(chosen.problem).relabel(chosen.problem, LABELS)
    classes, framing = framed(chosen.problem, {becomes.get(label, label) for label in LABELS})
    assert set(classes) == set(candidate.classes)
    known = dict(zip(CLASSES, candidate.becomes.tolist(), strict=True))
    if candidate.name == "classes":
        known = {name: number for number, name in enumerate(candidate.classes)}
    for label in LABELS:
        assert candidate.classes[known[of_sources[label]]] == becomes.get(label, label)
    if candidate.name != "classes":
        assert (classes, framing) == (candidate.classes, candidate.framing)


def test_costs_follow_the_classes_into_another_order() -> None:
    costs = np.arange(16.0).reshape(4, 4)
    [candidate, _] = in_order(CLASSES, Asked(order=["stone", "fig", "apple", "pome"], costs=costs), today())
    assert candidate.costs[0, 1] == costs[3, 1]
    assert candidate.costs[3, 2] == costs[2, 0]
    assert candidate.scale == "your costs"
    assert "evaluate.optimizing" not in candidate.params


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10 kg", "2 kg", "5.5 kg"], ["2 kg", "5.5 kg", "10 kg"]),
        (["much", "none", "Some"], ["none", "Some", "much"]),
        (["Very Low", "high", "low"], ["Very Low", "low", "high"]),
        (["apple", "fig", "pear"], None),
        (["size 1", "size 1.0", "size 2"], None),
        (["small", "ripe"], None),
    ],
)
def test_an_order_is_proposed_only_where_names_suggest_one(names: list[str], order: list[str] | None) -> None:
    assert proposed_order(names) == order


def test_classes_taken_for_one_another_make_a_group() -> None:
    shares = np.full((4, 4), 0.02)
    shares[0, 2] = shares[2, 0] = 0.3
    np.fill_diagonal(shares, 0.6)
    assert clustered_tree(CLASSES, shares) == {
        "apple and pome": {"apple": None, "pome": None},
        "fig": None,
        "stone": None,
    }
    assert most_confused(100 * shares) == (0, 2)


def test_classes_that_are_confused_alike_make_no_tree() -> None:
    assert clustered_tree(CLASSES, np.full((4, 4), 0.25)) is None
    assert clustered_tree(CLASSES[:3], np.eye(3)) is None


@pytest.mark.parametrize(
    ("texts", "messages"),
    [
        ({"tree": "{a: ["}, ["--tree"]),
        ({"costs": "{a: 5}"}, ["--costs must be {ACTUAL: {PREDICTED: number}}; a:"]),
        ({"costs": "{a: {b: -1}}"}, ["a: b: Input should be greater than or equal to 0"]),
        ({"tree": "{a: [", "costs": "[]"}, ["--tree", "--costs must be"]),
    ],
)
def test_texts_that_cannot_be_read_are_all_told_at_once(texts: dict[str, str], messages: list[str]) -> None:
    with pytest.raises(ParamsError) as caught:
        wishes_of(None, texts.get("tree"), texts.get("costs"), 1.0)
    assert all(message in str(caught.value) for message in messages)


def test_texts_of_the_command_line_are_read() -> None:
    found = wishes_of("none, some,much", "{a: [x, y], z: null}", "{x: {y: 2}}", 0.5)
    assert found.order == ["none", "some", "much"]
    assert found.tree == {"a": ["x", "y"], "z": None}
    assert found.costs == {"x": {"y": 2.0}}
