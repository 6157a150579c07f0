"""Groups are steady: earlier images keep theirs whatever comes, and a newcomer joins no two of them."""

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.curate.groups import NO_COPIES
from pipeline.stages.curate.steady import GROUP_COLUMNS, steady_groups

NOBODY = pd.DataFrame({name: [] for name in GROUP_COLUMNS}, dtype="str")


def images(contents: str, users: dict[str, str] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"sha256": [*contents], "role": "production"})
    return frame.assign(id=frame["sha256"], user_group=[(users or {}).get(name, "") for name in contents])


def pairs(*ends: str) -> pd.DataFrame:
    return pd.DataFrame([tuple(end) for end in ends], columns=["one", "other"], dtype="str") if ends else NO_COPIES


def grouped(
    frame: pd.DataFrame, found: pd.DataFrame, earlier: pd.DataFrame = NOBODY
) -> tuple[dict[str, str], dict[str, str]]:
    """Of each content its group, and of those left out why."""
    groups, joins = steady_groups(frame, found, earlier)
    left = joins == ""
    return (
        dict(zip(frame["sha256"][left], groups[left], strict=True)),
        dict(zip(frame["sha256"][~left], joins[~left], strict=True)),
    )


def memory(groups: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"sha256": [*groups], "group": [*groups.values()]}, dtype="str")


def test_a_newcomer_that_sorts_first_renames_nothing() -> None:
    groups, _ = grouped(images("bc"), pairs("bc"))
    assert groups == {"b": "b", "c": "b"}
    later, _ = grouped(images("abc"), pairs("bc", "ab"), memory(groups))
    assert later == {"a": "b", "b": "b", "c": "b"}


def test_a_newcomer_that_would_join_two_groups_is_left_out() -> None:
    groups, _ = grouped(images("abcd"), pairs("ab", "cd"))
    later, left_out = grouped(images("abcde"), pairs("ab", "cd", "be", "ce"), memory(groups))
    assert later == groups
    assert left_out == {"e": "a + c"}


def test_newcomers_that_join_two_groups_as_a_chain_are_left_out() -> None:
    later, left_out = grouped(images("abxy"), pairs("ax", "xy", "yb"), memory({"a": "a", "b": "b"}))
    assert later == {"a": "a", "b": "b"}
    assert left_out == {"x": "a + b", "y": "a + b"}


def test_newcomers_alone_are_grouped_as_ever() -> None:
    later, left_out = grouped(images("axy"), pairs("xy"), memory({"a": "a"}))
    assert later == {"a": "a", "x": "x", "y": "x"}
    assert left_out == {}


def test_earlier_images_that_turn_out_to_be_one_group_are_one() -> None:
    later, left_out = grouped(images("ab"), pairs("ab"), memory({"a": "a", "b": "b"}))
    assert len({*later.values()}) == 1
    assert left_out == {}


def test_a_group_that_fell_apart_shares_no_name() -> None:
    later, _ = grouped(images("abc"), pairs("bc"), memory({"a": "a", "b": "a", "c": "a"}))
    assert later["b"] == later["c"] != later["a"]


def test_a_new_name_is_none_that_another_group_has() -> None:
    later, _ = grouped(images("axyz"), pairs("xy"), memory({"x": "a", "y": "a", "a": "q", "z": "q"}))
    assert later["x"] == later["y"] == "a"
    assert len({later["a"], later["z"], "a"}) == 3


def test_a_user_group_of_all_makes_one() -> None:
    later, left_out = grouped(images("ab", {"a": "one", "b": "one"}), pairs(), memory({"a": "a", "b": "b"}))
    assert later == {"a": "group:one", "b": "group:one"}
    assert left_out == {}


LETTERS = "abcdefghij"
PAIRS = st.lists(st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)), max_size=8)


@given(PAIRS, st.sets(st.sampled_from(LETTERS), min_size=1))
def test_earlier_images_keep_their_groups_and_no_group_spans_what_is_not_linked(
    ends: list[tuple[str, str]], first: set[str]
) -> None:
    found = pairs(*(one + other for one, other in ends))
    before = found[found["one"].isin(first) & found["other"].isin(first)].reset_index(drop=True)
    groups, none = grouped(images("".join(sorted(first))), before)
    assert none == {}
    later, left_out = grouped(images(LETTERS), found, memory(groups))
    assert {name: later[name] for name in groups} == groups
    assert not left_out.keys() & groups.keys()
    # Of what stays, linked images are never apart.
    assert all(later[one] == later[other] for one, other in ends if one in later and other in later)
    again, left_again = grouped(images(LETTERS), found, memory(later))
    assert (again, left_again) == (later, left_out)


@given(PAIRS)
def test_a_second_run_changes_nothing(ends: list[tuple[str, str]]) -> None:
    found = pairs(*(one + other for one, other in ends))
    groups, _ = grouped(images(LETTERS), found)
    assert grouped(images(LETTERS), found, memory(groups)) == (groups, {})


def test_order_does_not_count() -> None:
    frame: Any = images("abcde")
    plain, joins = steady_groups(frame, pairs("ab", "be", "ec"), memory({"a": "a", "c": "c"}))
    other, others = steady_groups(frame.iloc[::-1], pairs("ec", "be", "ab"), memory({"c": "c", "a": "a"}))
    pd.testing.assert_series_equal(plain, other.sort_index())
    pd.testing.assert_series_equal(joins, others.sort_index())
