"""Equal files, near copies and equal names of groups belong together, across sources too; joins are listed."""

from collections.abc import Callable
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import CURATED, INGESTED, PRODUCTION, RAW
from pipeline.stages.curate.duplicates import join_sources, remove_duplicates
from pipeline.stages.curate.groups import groups_of, joined_groups
from tests.examples import params, with_columns

Image = tuple[str, str]  # content, user group
Near = tuple[str, str]  # contents that are near copies
IMAGES = st.lists(st.tuples(st.sampled_from("stuvwxyz"), st.sampled_from(["", "", *"abcdef"])), max_size=20)
PAIRS = st.lists(st.tuples(st.sampled_from("stuvwxyz"), st.sampled_from("stuvwxyz")), max_size=4)
FEW = settings(max_examples=50, deadline=None)


def frame(images: list[Image], production: str = "") -> pd.DataFrame:
    """Images of which those with the contents named are of production."""
    rows = pd.DataFrame(images, columns=["sha256", "user_group"], dtype="str", index=range(5, 5 + len(images)))
    roles = [PRODUCTION if content in production else RAW for content, _ in images]
    return rows.assign(role=pd.Categorical(roles))


def pairs_of(near: list[Near], images: list[Image]) -> pd.DataFrame:
    """Those pairs of which both images are there."""
    contents = {content for content, _ in images}
    return pd.DataFrame([pair for pair in near if {*pair} <= contents], columns=["one", "other"], dtype="str")


def names(images: list[Image], near: list[Near] | None = None, production: str = "") -> list[str]:
    found = groups_of(frame(images, production), pairs_of(near or [], images))
    assert found.index.tolist() == list(range(5, 5 + len(images)))
    return [str(name) for name in found]


def joins(images: list[Image], near: list[Near] | None = None) -> list[list[str]]:
    rows = frame(images)
    return joined_groups(rows.assign(group=groups_of(rows, pairs_of(near or [], images))))


@pytest.mark.parametrize(
    ("images", "groups", "joined"),
    [
        pytest.param([("x", ""), ("y", ""), ("x", "")], ["x", "y", "x"], [], id="without user groups, the content"),
        pytest.param([("x", "a"), ("y", "a"), ("z", "")], ["group:a", "group:a", "z"], [], id="a user group"),
        pytest.param([("x", "a"), ("x", "")], ["group:a"] * 2, [], id="a duplicate follows its twin's group"),
        pytest.param(
            [("x", "Anna"), ("y", "anna"), ("z", "12"), ("w", "12.0")],
            ["group:anna"] * 2 + ["group:12"] * 2,
            [],
            id="however a user group is written",
        ),
        pytest.param(
            [("x", "Anna"), ("y", "anna"), ("y", "b"), ("z", "B")],
            ["group:anna"] * 4,
            [["Anna", "B"]],
            id="a group that is written in two ways and joined is named once",
        ),
        pytest.param(
            [("x", "b"), ("y", "b"), ("x", "a"), ("z", "a"), ("w", "c")],
            ["group:a"] * 4 + ["group:c"],
            [["a", "b"]],
            id="groups that share a picture are one, named after the first",
        ),
        pytest.param(
            [("x", "a"), ("x", "b"), ("y", "b"), ("y", "c"), ("z", "c")],
            ["group:a"] * 5,
            [["a", "b", "c"]],
            id="a chain of shared pictures joins all",
        ),
        pytest.param(
            [("x", "a"), ("x", "b"), ("y", "c"), ("y", "d")],
            ["group:a", "group:a", "group:c", "group:c"],
            [["a", "b"], ["c", "d"]],
            id="each join is listed",
        ),
        pytest.param([("a", ""), ("x", "a")], ["a", "group:a"], [], id="content and name are not mixed up"),
        pytest.param([], [], [], id="no images"),
    ],
)
def test_what_belongs_together_has_one_name(images: list[Image], groups: list[str], joined: list[list[str]]) -> None:
    assert names(images) == groups
    assert joins(images) == joined


@pytest.mark.parametrize(
    ("images", "near", "production", "groups"),
    [
        pytest.param([("x", ""), ("y", ""), ("z", "")], ["xy"], "", ["x", "x", "z"], id="the first content names both"),
        pytest.param([("z", ""), ("y", ""), ("x", "")], ["xz", "zy"], "", ["x"] * 3, id="a chain is one group"),
        pytest.param(
            [("a", ""), ("y", ""), ("x", "")], ["ay", "ax"], "xy", ["x"] * 3, id="production names before raw"
        ),
        pytest.param([("a", ""), ("y", ""), ("y", "")], ["ay"], "y", ["y"] * 3, id="copies of a duplicate"),
        pytest.param([("a", ""), ("y", "b")], ["ay"], "a", ["group:b"] * 2, id="a user group names before production"),
        pytest.param([("x", "b"), ("y", "a"), ("z", "b")], ["xy"], "", ["group:a"] * 3, id="user groups are joined"),
    ],
)
def test_near_copies_are_one_group(images: list[Image], near: list[str], production: str, groups: list[str]) -> None:
    pairs = [(pair[0], pair[1]) for pair in near]
    assert names(images, pairs, production) == groups
    assert joins(images, pairs) == ([["a", "b"]] if {"a", "b"} <= {group for _, group in images} else [])


def connected(images: list[Image], near: list[Near]) -> list[int]:
    """For each image the first one that it is connected with, the slow way."""
    first = list(range(len(images)))
    for _ in images:
        for one, (content, group) in enumerate(images):
            for other, (other_content, other_group) in enumerate(images):
                if content == other_content or (group and group == other_group) or (content, other_content) in near:
                    first[one] = first[other] = min(first[one], first[other])
    return first


@given(images=IMAGES, near=PAIRS)
@FEW
def test_groups_are_the_connected_components(images: list[Image], near: list[Near]) -> None:
    expected = connected(images, near)
    found = names(images, near)
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))
    members: dict[str, set[str]] = {name: set() for name in found}
    for name, (_, group) in zip(found, images, strict=True):
        members[name] |= {group} - {""}
    assert joins(images, near) == sorted(sorted(own) for own in members.values() if len(own) > 1)


@given(images=IMAGES, near=PAIRS, data=st.data())
@FEW
def test_order_of_images_does_not_matter(images: list[Image], near: list[Near], data: st.DataObject) -> None:
    shuffled: list[Image] = data.draw(st.permutations(images))
    expected = dict(zip(images, names(images, near, "stu"), strict=True))
    assert dict(zip(shuffled, names(shuffled, near[::-1], "stu"), strict=True)) == expected
    assert joins(shuffled, near[::-1]) == joins(images, near)


@given(images=IMAGES, later=IMAGES)
@FEW
def test_further_images_rename_only_what_they_join_or_name(images: list[Image], later: list[Image]) -> None:
    before, after = names(images), names([*images, *later])[: len(images)]
    both = connected([*images, *later], [])
    touched = {both[number] for number in range(len(images), len(both))}
    # An image without a group of its own names nothing, unless it joins groups that have names.
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            assert both[number] in touched
            assert new.startswith("group:")
            assert not old.startswith("group:") or new < old


@given(images=IMAGES, later=IMAGES, near=PAIRS)
@FEW
def test_raw_images_do_not_rename_a_production_group(images: list[Image], later: list[Image], near: list[Near]) -> None:
    """If they join two, one of both names stays."""
    later = [(content, "") for content, _ in later if content not in "stu"]
    before, after = (names(found, near, "stu") for found in (images, [*images, *later]))
    for (content, _), new in zip(images, after, strict=False):
        earlier = {
            old
            for (other, _), old, name in zip(images, before, after, strict=False)
            if name == new and (other in "stu" or old.startswith("group:"))
        }
        assert content not in "stu" or new in earlier


@pytest.mark.parametrize("policy", ["keep", "reject"])
def test_removed_duplicates_and_conflicts_still_join_groups(policy: str) -> None:
    images = [("web/1", "A", "x", "a"), ("web/2", "A", "x", "b"), ("web/3", "B", "y", "b"), ("web/4", "A", "z", "a")]
    images += [("web/5", "A", "w", "c"), ("web/6", "B", "w", "d"), ("web/7", "A", "v", "c"), ("web/8", "A", "u", "d")]
    rows = with_columns(pd.DataFrame(images, columns=["id", "label", "sha256", "user_group"]).assign(role=RAW), CURATED)
    chosen = params(**{"curate.conflicting_labels": policy}).curate
    kept, _ = remove_duplicates(rows.assign(group=groups_of(rows)), chosen)
    groups = dict(zip(kept["id"], kept["group"], strict=True))
    assert {groups[name] for name in ("web/1", "web/3", "web/4")} == {"group:a"}
    assert {groups[name] for name in ("web/7", "web/8")} == {"group:c"}


def source(name: str, group: str, **extra_columns: list[str]) -> pd.DataFrame:
    ids = [f"{name}/{number}" for number in range(2)]
    rows = with_columns(pd.DataFrame({"id": ids, "sha256": ids, "user_group": group}), INGESTED)
    return rows.assign(**{column: pd.Categorical(values) for column, values in extra_columns.items()})


def test_sources_are_joined_with_nothing_where_one_lacks_a_column() -> None:
    web, phone = source("web", "a", meta_camera=["old", ""]), source("phone", "a", meta_site=["x", "y"])
    joined = join_sources([web, phone, source("scans", "")])
    assert joined.index.tolist() == list(range(6))
    assert joined["meta_camera"].tolist() == ["old", "", "", "", "", ""]
    assert joined["meta_site"].tolist() == ["", "", "x", "y", "", ""]
    assert joined["captured_at"].dtype == "datetime64[us, UTC]"
    assert groups_of(joined).tolist() == ["group:a"] * 4 + ["scans/0", "scans/1"]


def test_labels_of_two_sources_that_may_be_one_class_are_refused_with_their_bytes() -> None:
    web, phone, scans = (source(name, "").assign(source=name) for name in ("web", "phone", "scans"))
    message = r"Cat \[43 61 74\] in phone and cat \[63 61 74\] in web, scans\. Spell each class one way"
    with pytest.raises(DataError, match=message):
        join_sources([web.assign(label="cat"), phone.assign(label="Cat"), scans.assign(label="cat")])
    join_sources([web.assign(label="cat"), phone.assign(label=""), scans.assign(label="cats")])


@FEW
@given(IMAGES, st.randoms(use_true_random=False))
def test_another_way_of_writing_a_user_group_changes_no_group(images: list[Image], random: Random) -> None:
    ways: list[Callable[[str], str]] = [str, str.upper, lambda name: f"{name}\u200b", lambda name: f"\u00a0{name} "]
    written = [(content, random.choice(ways)(user) if user else "") for content, user in images]
    assert names(written) == names(images)


def test_sources_without_metadata_are_joined_as_they_are() -> None:
    joined = join_sources([source("web", ""), source("phone", "")])
    assert joined.columns.tolist() == INGESTED.names
    assert joined["id"].tolist() == ["web/0", "web/1", "phone/0", "phone/1"]
