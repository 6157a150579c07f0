"""Which class a label of the sources becomes, and what is refused."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, ParamsError
from pipeline.problem.bins import bin_names, bins_of_values
from pipeline.problem.framing import Nested, Ranked
from pipeline.problem.params import Classes
from pipeline.problem.problem import PROBLEMS, framed
from pipeline.problem.relabelling import classes_of_labels
from tests.examples import params

LABELS = ["", "apple", "fig", "pear", "plum"]


def classes(**values: Any) -> Classes:
    made = params(**{f"problem.{name}": value for name, value in values.items()}).problem
    assert isinstance(made, Classes)
    return made


def becomes(**values: Any) -> dict[str, str]:
    return classes_of_labels(classes(**values), LABELS)


def test_nothing_changes_by_default() -> None:
    chosen = params().problem
    assert PROBLEMS.of(chosen).relabel(chosen, LABELS) == {}


def test_classes_are_renamed_merged_and_set_against_the_rest() -> None:
    assert becomes(rename={"fig": "fico"}) == {"fig": "fico"}
    assert becomes(merge={"pome": ["apple", "pear"]}) == {"apple": "pome", "pear": "pome"}
    assert becomes(merge={"apple": ["apple", "pear"]}) == {"pear": "apple"}
    assert becomes(one_against_rest="fig") == {"apple": "not_fig", "pear": "not_fig", "plum": "not_fig"}
    assert becomes(merge={"pome": ["apple", "pear"]}, rename={"fig": "fico"}, one_against_rest="pome") == {
        "apple": "pome",
        "pear": "pome",
        "fig": "not_pome",
        "plum": "not_pome",
    }


def test_two_classes_may_swap_their_names() -> None:
    assert becomes(rename={"apple": "fig", "fig": "apple"}) == {"apple": "fig", "fig": "apple"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rename": {"aple": "x"}}, "names the class aple, which no image has, did you mean apple"),
        ({"merge": {"x": ["apple", "zebra"]}}, "names the class zebra, which no image has; the sources have apple"),
        ({"rename": {"apple": "fig"}}, "makes a class fig, and other images are labelled so"),
        ({"merge": {"fig": ["apple", "pear"]}}, "makes a class fig, and other images are labelled so"),
        ({"rename": {"apple": "Fig"}}, r"may mean the same class, .* Fig \[46 69 67\] and fig \[66 69 67\]"),
        ({"merge": {"F\u0456g": ["apple", "pear"]}}, "may mean the same class, spelt in several ways"),
        (
            {"one_against_rest": "figs"},
            r"one_against_rest names the class figs, which no image has, did you mean fig\?",
        ),
        (
            {"rename": {"fig": "fico"}, "one_against_rest": "fig"},
            "one_against_rest names the class fig, which no image has",
        ),
        ({"merge": {"x": ["apple", "fig", "pear", "plum"]}}, "makes one class of all 4 classes"),
    ],
)
def test_what_does_not_fit_the_labels_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        becomes(**values)


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        becomes(rename={"aple": "x", "per": "y"}, merge={"fig": ["plum"]})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rename": {"a": "x"}, "merge": {"y": ["a", "b"]}}, "list a more than once"),
        ({"merge": {"x": ["a"], "y": ["a"]}}, "list a more than once"),
        ({"rename": {"a": "x"}, "merge": {"x": ["b"]}}, "several entries of rename and merge make x"),
        ({"merge": {"x": []}}, "at least 1 item"),
        ({"rename": {"a": ""}}, "at least 1 character"),
        ({"name": "clases"}, "clases"),
    ],
)
def test_params_that_contradict_themselves_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        classes(**values)


def test_a_number_is_a_class_name_too() -> None:
    assert classes_of_labels(classes(merge={"low": [0, 1, 2]}), ["0", "1", "2", "3"]) == dict.fromkeys("012", "low")


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1), st.data())
def test_every_label_becomes_exactly_one_class_and_no_other_label_joins_it(
    merged: list[str], data: st.DataObject
) -> None:
    rest = sorted({*"abcdefgh"} - {*merged})
    if not rest:
        return
    found = classes_of_labels(classes(merge={"all": merged}), data.draw(st.permutations("abcdefgh")))
    assert found == dict.fromkeys(sorted(merged), "all")


def binned(labels: list[str], **values: Any) -> dict[str, str]:
    chosen = params(problem={"name": "bins", **values}).problem
    return PROBLEMS.of(chosen).relabel(chosen, labels)


def test_values_become_classes_by_the_edges_between_them() -> None:
    found = binned(["0", "1.9", "2", "4", "4.0", "7e0", ""], edges=[0, 2, 4, 7])
    assert found == {
        "0": "0 to 2",
        "1.9": "0 to 2",
        "2": "2 to 4",
        "4": "4 to 7",
        "4.0": "4 to 7",
        "7e0": "4 to 7",
    }


def test_open_ends_take_any_value_and_bins_may_have_names() -> None:
    edges = [None, 2.5, None]
    assert binned(["-9", "2.5"], edges=edges) == {"-9": "below 2.5", "2.5": "2.5 or more"}
    assert binned(["-9", "2.5"], edges=edges, names=["low", "high"]) == {"-9": "low", "2.5": "high"}


def test_values_that_fit_no_bin_are_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        binned(["1", "ripe", "1_0", "nan", "-3", "12"], edges=[0, 5, 10])
    texts, outside = str(caught.value).splitlines()
    assert texts.startswith("problem bins needs numbers, and 3 values are none: 1_0, nan, ripe")
    assert outside.startswith("2 values are outside of problem.edges, which begin at 0 and end at 10: -3, 12")
    with pytest.raises(DataError, match="no image falls into 5 to 10"):
        binned(["1", "2"], edges=[0, 5, 10])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"edges": [0, 5]}, "at least 3 items"),
        ({"edges": [0, 5, 5, 3]}, "edges must rise, got 5 after 5, 3 after 5"),
        ({"edges": [0, None, 5]}, "edges has null at position 2"),
        ({"edges": [0, 5, 10], "names": ["a"]}, "edges make 2 classes, and names has 1"),
        ({"edges": [0, 5, 10], "names": ["a", "a"]}, "names has one name twice"),
        ({"edges": [5, 0, 10], "names": ["a"]}, "edges must rise.*; edges make 2 classes"),
    ],
)
def test_edges_that_make_no_bins_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        binned([], **values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.lists(st.integers(-100, 100), min_size=1, unique=True))
def test_every_value_lies_between_the_edges_of_its_bin(numbers: list[float], inner: list[int]) -> None:
    edges = [None, *map(float, sorted(inner)), None]
    names = bin_names(edges)
    with suppress(DataError):  # a bin without a value
        for text, name in bins_of_values([*map(repr, numbers)], edges, names).items():
            low, high = edges[names.index(name)], edges[names.index(name) + 1]
            assert low is None or low <= float(text)
            assert high is None or float(text) < high


# Orders and trees


def related(**values: Any) -> Any:
    return params(problem=values).problem


def test_ordinal_classes_have_the_numbers_of_their_ranks() -> None:
    chosen = related(name="ordinal", order=["plum", "pear", "fico", "apple"], rename={"fig": "fico"})
    assert PROBLEMS.of(chosen).relabel(chosen, LABELS) == {"fig": "fico"}
    assert framed(chosen, ["apple", "pear", "plum"]) == (
        ("plum", "pear", "apple"),
        Ranked(name="ranked", output="cumulative"),
    )


def test_classes_of_a_tree_have_its_order_and_those_that_train_lacks_are_left_out_of_it() -> None:
    chosen = related(name="hierarchy", tree={"pome": ["pear", "apple"], "other": ["plum", "fig"]}, output="softmax")
    assert PROBLEMS.of(chosen).relabel(chosen, LABELS) == {}
    classes, framing = framed(chosen, {"apple", "fig", "pear"})
    assert classes == ("pear", "apple", "fig")
    assert framing == Nested(name="nested", output="softmax", tree={"pome": {"pear": None, "apple": None}, "fig": None})


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        (
            {"name": "ordinal", "order": ["apple", "figs", "plum"], "rename": {"per": "x"}},
            ["class per, which", "problem.order lacks fig, pear", "problem.order names the class figs"],
        ),
        (
            {"name": "hierarchy", "tree": {"a": ["apple", "figs"], "plum": ["pear", "x"]}},
            ["has the group plum, and images", "lacks fig:", "names the class figs, which", "names the class x, which"],
        ),
    ],
)
def test_classes_that_lack_a_place_or_an_image_are_all_told_at_once(
    values: dict[str, Any], messages: list[str]
) -> None:
    chosen = related(**values)
    with pytest.raises(DataError) as caught:
        PROBLEMS.of(chosen).relabel(chosen, LABELS)
    assert [message in line for message, line in zip(messages, str(caught.value).splitlines(), strict=True)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "ordinal", "order": ["a", "b", "a"]}, "order lists a more than once"),
        ({"name": "ordinal", "order": ["a"]}, "at least 2 items"),
        ({"name": "ordinal", "order": ["a", "b"], "output": "sofmax"}, "cumulative"),
        ({"name": "hierarchy", "tree": {"a": ["b"], "c": ["b", "d"]}}, "group a has 1 entries.*; b is in it 2 times"),
    ],
)
def test_an_order_or_a_tree_that_contradicts_itself_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        related(**values)


@pytest.mark.parametrize("names", [["ripe", "Ripe"], ["1", "1.0"], ["ripe", "r\u0456pe"]], ids=ascii)
def test_names_of_bins_differ_in_more_than_letters(names: list[str]) -> None:
    with pytest.raises(ParamsError, match="may mean the same class, spelt in several ways"):
        params(**{"problem": {"name": "bins", "edges": [0.0, 1.0, 2.0], "names": names}})
