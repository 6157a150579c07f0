"""Pairs that people call not the same never meet in a group, and earlier images stay where no decision is on them."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.curate.cannot_links import Firm, Grouped, group_images, measured_links
from pipeline.stages.curate.groups import NO_COPIES
from pipeline.stages.curate.scenes import NO_SCENES
from tests.stages.curate.test_steady import LETTERS, NOBODY, images, memory, pairs

Link = tuple[str, str, int]


def grouped(
    contents: str,
    links: Sequence[Link],
    same: Sequence[str] = (),
    apart: Sequence[str] = (),
    earlier: pd.DataFrame = NOBODY,
    users: dict[str, str] | None = None,
) -> Grouped:
    """Links of no places are near copies, the others scenes."""
    near = pairs(*(one + other for one, other, places in links if not places))
    scenes = pd.DataFrame([link for link in links if link[2]], columns=["one", "other", "places"])
    measured = measured_links(near, scenes if len(scenes) else NO_SCENES)
    frame = images(contents, users)
    return group_images(frame, measured, pairs(*same), pairs(*apart), earlier)


def groups(found: Grouped, contents: str) -> dict[str, str]:
    left = found.joins == ""
    return {name: group for name, group, stays in zip(contents, found.groups, left, strict=True) if stays}


def chain(*ends: str) -> list[Link]:
    return [(end[0], end[1], 10 + number) for number, end in enumerate(ends)]


def test_what_people_call_not_the_same_is_apart() -> None:
    found = grouped("abc", chain("ab", "bc"), apart=["ab"])
    assert groups(found, "abc") == {"a": "a", "b": "b", "c": "b"}
    assert found.cut[["one", "other"]].to_numpy().tolist() == [["a", "b"]]


def test_no_chain_joins_it_and_the_weakest_link_is_cut() -> None:
    found = grouped("abx", [("a", "x", 12), ("x", "b", 30)], apart=["ab"])
    assert groups(found, "abx") == {"a": "a", "b": "b", "x": "b"}
    assert found.cut[["one", "other", "found_as"]].to_numpy().tolist() == [["a", "x", "scene"]]
    near = grouped("abx", [("a", "x", 0), ("x", "b", 30)], apart=["ab"])
    assert groups(near, "abx") == {"a": "a", "b": "b", "x": "a"}


def test_same_joins_what_nothing_else_joins_and_holds_against_measured_links() -> None:
    assert groups(grouped("abc", [], same=["ac"]), "abc") == {"a": "a", "b": "b", "c": "a"}
    found = grouped("abc", chain("bc"), same=["ac"], apart=["ab"])
    assert groups(found, "abc") == {"a": "a", "b": "b", "c": "a"}


def test_a_user_group_is_firm() -> None:
    found = grouped("abc", chain("bc"), apart=["ab"], users={"a": "u", "c": "u"})
    assert groups(found, "abc") == {"a": "group:u", "b": "b", "c": "group:u"}


def test_a_newcomer_that_people_join_to_two_groups_moves_neither() -> None:
    links = chain("ab", "cd")
    before = groups(grouped("abcd", links), "abcd")
    found = grouped("abcdx", links, same=["ax", "cx"], apart=["bd"], earlier=memory(before))
    assert groups(found, "abcdx") == before
    assert found.joins.tolist()[-1] == "a + c"
    joined = grouped("abcdx", links, same=["ax"], earlier=memory(before))
    assert groups(joined, "abcdx") == before | {"x": "a"}


def test_earlier_images_that_people_call_the_same_become_one_group() -> None:
    before = groups(grouped("abcd", chain("ab", "cd")), "abcd")
    after = groups(grouped("abcd", chain("ab", "cd"), same=["bd"], earlier=memory(before)), "abcd")
    assert len({*after.values()}) == 1


def test_a_stronger_link_of_a_newcomer_moves_no_earlier_image() -> None:
    links: list[Link] = [("a", "c", 20), ("b", "c", 10)]
    before = groups(grouped("abc", links, apart=["ab"]), "abc")
    assert before == {"a": "a", "b": "b", "c": "a"}
    more: list[Link] = [*links, ("b", "x", 90), ("c", "x", 80)]
    later = grouped("abcx", more, apart=["ab"], earlier=memory(before))
    assert groups(later, "abcx") == before | {"x": "b"}
    again = grouped("abcx", more, apart=["ab"], earlier=memory(groups(later, "abcx")))
    assert groups(again, "abcx") == before | {"x": "b"}


def test_without_decisions_all_is_as_it_was() -> None:
    found = grouped("abxy", chain("ax", "xy", "yb"), earlier=memory({"a": "a", "b": "b"}))
    assert found.joins.tolist() == ["", "", "a + b", "a + b"]
    assert found.cut.empty


CONTENTS = st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS))
DISTINCT = CONTENTS.filter(lambda ends: ends[0] != ends[1])
LINKS = st.lists(
    st.builds(lambda ends, places: (*ends, places), DISTINCT, st.sampled_from([0, 10, 20, 30])), max_size=9
)
SAID = st.lists(DISTINCT, max_size=4)


def possible(said: list[tuple[str, str]], same: list[tuple[str, str]], contents: str) -> list[str]:
    """Those that firm links do not join, as pairing leaves them."""
    firm = Firm(images(contents), pairs(*map("".join, same)))
    found = [one + other for one, other in said if one in contents and other in contents]
    ends = pairs(*found)
    joined = firm.of(ends["one"]) == firm.of(ends["other"])
    return [pair for pair, together in zip(found, joined, strict=True) if not together]


@given(LINKS, SAID, SAID, st.sets(st.sampled_from(LETTERS), min_size=1))
def test_no_cannot_link_is_broken_and_earlier_images_stay(
    links: list[Link], same: list[tuple[str, str]], said: list[tuple[str, str]], first: set[str]
) -> None:
    old = "".join(sorted(first))
    inside = [link for link in links if link[0] in first and link[1] in first]
    own = [ends for ends in same if {*ends} <= first]
    before = groups(grouped(old, inside, [*map("".join, own)], possible(said, own, old)), old)
    assert len(before) == len(old)
    apart = possible(said, same, LETTERS)
    found = grouped(LETTERS, links, [*map("".join, same)], apart, memory(before))
    later = groups(found, LETTERS)
    assert all(later[ends[0]] != later[ends[1]] for ends in apart if {*ends} <= {*later})
    assert all(later[one] == later[other] for one, other in same if one in later and other in later)
    # Decisions that name newcomers may say something of earlier images; nothing else does.
    named = {before[name] for ends in (*same, *said) if not {*ends} <= first for name in ends if name in before}
    assert all(later[name] == group for name, group in before.items() if group not in named)
    # Whoever is not left out and was not cut is with what it is like.
    cut = {*map(frozenset, found.cut[["one", "other"]].itertuples(index=False, name=None))}
    assert all(
        later[one] == later[other]
        for one, other, _ in links
        if one in later and other in later and {one, other} not in cut
    )


@given(LINKS, SAID, SAID)
def test_a_second_run_changes_nothing(
    links: list[Link], same: list[tuple[str, str]], said: list[tuple[str, str]]
) -> None:
    firm, apart = [*map("".join, same)], possible(said, same, LETTERS)
    first = groups(grouped(LETTERS, links, firm, apart), LETTERS)
    assert groups(grouped(LETTERS, links, firm, apart, memory(first)), LETTERS) == first


@given(LINKS, SAID, SAID, st.randoms())
def test_no_order_counts(
    links: list[Link], same: list[tuple[str, str]], said: list[tuple[str, str]], order: "object"
) -> None:
    firm, apart = [*map("".join, same)], possible(said, same, LETTERS)
    found = grouped(LETTERS, links, firm, apart)
    turned = [(other, one, places) for one, other, places in reversed(links)]
    other = grouped(LETTERS, turned, firm[::-1], apart[::-1])
    assert groups(other, LETTERS) == groups(found, LETTERS)


@pytest.mark.parametrize("count", [3000])
def test_a_long_chain_costs_no_recursion(count: int) -> None:
    names = [f"{number:05}" for number in range(count)]
    frame = pd.DataFrame({"sha256": names, "id": names, "role": "raw", "user_group": ""})
    near = pd.DataFrame([*pairwise(names)], columns=["one", "other"], dtype="str")
    ends = pd.DataFrame({"one": names[:1], "other": names[-1:]}, dtype="str")
    found = group_images(frame, measured_links(near, NO_SCENES), NO_COPIES, ends, NOBODY)
    assert len(found.cut) == 1
    assert found.groups.nunique() == 2
