"""Trees of classes: what is refused, how far apart classes lie, and what is left of a tree without some of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.problem.class_tree import (
    checked_tree,
    groups_at,
    in_order,
    leaves,
    levels,
    paths,
    pruned,
    tree_distances,
    tree_problems,
)

TREE = checked_tree({"fruit": {"pome": ["apple", "pear"], "fig": None}, "car": None, "animal": ["cat", "dog"]})


def test_a_list_stands_for_classes() -> None:
    assert checked_tree({"a": ["x", 1], "b": None}) == {"a": {"x": None, "1": None}, "b": None}


def test_classes_come_in_the_order_of_the_tree_each_with_its_path() -> None:
    assert leaves(TREE) == ("apple", "pear", "fig", "car", "cat", "dog")
    assert paths(TREE)["pear"] == ("fruit", "pome", "pear")
    assert paths(TREE)["car"] == ("car",)
    assert levels(TREE) == 3


@pytest.mark.parametrize(
    ("tree", "messages"),
    [
        ({"a": ["x", "x"], "b": None}, ["x is twice in the group a"]),
        ({"a": ["x", "y"], "b": ["x", "z"]}, ["x is in it 2 times"]),
        ({"a": ["a", "y"], "b": None}, ["a is in it 2 times"]),
        ({"a": ["x"], "b": None}, ["the group a has 1 entries: a group needs two"]),
        ({"a": [], "b": None}, ["the group a has 0 entries"]),
        ({"a": ["x", "y"]}, ["the tree has 1 entries"]),
        ({"a": 5, "b": None}, ["the group a must be a mapping or a list of classes, got 5"]),
        ({"a": [{"x": None}, "y"], "b": None}, ["the group a is a list with something else than names of classes"]),
        ("fruit", ["the tree must be a mapping or a list of classes, got fruit"]),
        ({"": None, "b": None}, ["at least 1 character"]),
        ({"a": ["x"], "b": ["x", "z"], "c": 5}, ["the group a has 1", "the group c must be", "x is in it 2 times"]),
    ],
)
def test_all_that_is_wrong_with_a_tree_is_told_at_once(tree: Any, messages: list[str]) -> None:
    with pytest.raises(ValueError, match=messages[0]) as caught:
        checked_tree(tree)
    assert all(message in str(caught.value) for message in messages)


def test_a_tree_too_deep_to_read_is_refused() -> None:
    tree: Any = ["x", "y"]
    for level in range(3000):
        tree = {f"a{level}": tree, f"b{level}": None}
    with pytest.raises(ValueError, match="has more than 20 levels"):
        checked_tree(tree)


def test_classes_of_wider_groups_lie_further_apart() -> None:
    distances = tree_distances(TREE, leaves(TREE))
    apple = dict(zip(leaves(TREE), distances[0].tolist(), strict=True))
    assert apple == {"apple": 0.0, "pear": 1.0, "fig": 1.5, "car": 2.0, "cat": 2.5, "dog": 2.5}
    assert (distances == distances.T).all()


def test_a_tree_without_groups_makes_all_mistakes_alike() -> None:
    tree = checked_tree(["x", "y", "z"])
    assert tree_distances(tree, leaves(tree)).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_groups_of_a_level_hold_what_is_in_them() -> None:
    assert groups_at(TREE, leaves(TREE), 1).tolist() == [0, 0, 0, 1, 2, 2]
    assert groups_at(TREE, leaves(TREE), 2).tolist() == [0, 0, 1, 2, 3, 4]


def test_groups_of_one_entry_left_become_this_entry() -> None:
    assert pruned(TREE, {"apple", "fig", "dog"}) == {"fruit": {"apple": None, "fig": None}, "dog": None}
    assert pruned(TREE, {"apple", "fig"}) == {"apple": None, "fig": None}


def test_a_tree_gets_back_the_order_of_its_classes() -> None:
    mixed = {"animal": TREE["animal"], "car": None, "fruit": {"fig": None, "pome": {"pear": None, "apple": None}}}
    assert leaves(in_order(mixed, leaves(TREE))) == leaves(TREE)


@given(st.sets(st.sampled_from(leaves(TREE)), min_size=2))
def test_a_tree_of_some_classes_has_them_in_the_old_order_and_no_group_of_one(kept: set[str]) -> None:
    tree = pruned(TREE, kept)
    assert leaves(tree) == tuple(name for name in leaves(TREE) if name in kept)
    assert checked_tree(tree) == tree


def test_what_does_not_fit_the_classes_of_images_is_told_at_once() -> None:
    problems = tree_problems(TREE, {"apple", "pear", "car", "cat", "dog", "fruit", "figs"})
    assert len(problems) == 3
    assert "has the group fruit, and images are labelled so" in problems[0]
    assert "lacks figs: each class needs a place" in problems[1]
    assert "names the class fig, which no image has, did you mean figs?" in problems[2]
