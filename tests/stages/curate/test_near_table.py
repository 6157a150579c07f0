"""Near copies are sought among distinct contents, and listed for people with what they are copies of."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.perceptual import marks, views
from pipeline.images.pixels import Pixels
from pipeline.manifest import HASHES, INGESTED, PRODUCTION, RAW
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.curate.groups import (
    NEAR_COLUMNS,
    contents_of,
    groups_of,
    is_compared,
    near_copies,
    near_counts,
    near_table,
)
from pipeline.stages.curate.near_hashes import Positions
from tests.examples import with_columns
from tests.stages.curate.similar import half, jpeg, scene

ROLES = {"archive": RAW, "phone": PRODUCTION, "web": RAW}
Image = tuple[str, str, str]  # id, label, content


def frame(images: list[Image]) -> pd.DataFrame:
    rows = pd.DataFrame(images, columns=["id", "label", "sha256"], dtype="str")
    sources = rows["id"].str.split("/", n=1).str[0]
    rows = with_columns(rows.assign(source=sources, role=sources.map(ROLES)), INGESTED)
    return rows.astype(dict.fromkeys(("source", "role", "label"), "category"))


def table(images: list[Image], near: list[str], removed: tuple[str, ...] = ()) -> pd.DataFrame:
    """What is listed when contents of one letter are near copies, and some images were removed."""
    rows = frame(images)
    pairs = pd.DataFrame([tuple(pair) for pair in near], columns=["one", "other"], dtype="str")
    rows = rows.assign(group=groups_of(rows, pairs))
    listed = near_table(rows[~rows["id"].isin(removed)], rows, pairs)
    assert listed.columns.tolist() == NEAR_COLUMNS
    return listed


IMAGES = [
    ("web/1", "cat", "a"),
    ("web/2", "cat", "b"),
    ("phone/3", "cat", "c"),
    ("web/4", "cat", "d"),
    ("web/5", "dog", "e"),
    ("web/6", "cat", "f"),
]


def test_each_family_is_listed_with_who_is_a_copy_of_whom() -> None:
    listed = table(IMAGES, ["ab", "bc", "de"])
    assert listed[["group", "family", "id", "near_copy_of", "labels"]].to_numpy().tolist() == [
        ["c", "phone/3", "phone/3", "web/2", ""],
        ["c", "phone/3", "web/1", "web/2", ""],
        ["c", "phone/3", "web/2", "phone/3", ""],
        ["d", "web/4", "web/4", "web/5", "cat / dog"],
        ["d", "web/4", "web/5", "web/4", "cat / dog"],
    ]
    assert listed[["source", "role", "label"]].to_numpy().tolist()[0] == ["phone", "production", "cat"]
    assert near_counts(listed) == {"images": 5, "groups": 2, "two_labels": 1}


def test_removed_images_are_not_listed_but_may_be_what_others_are_copies_of() -> None:
    listed = table(IMAGES, ["ab", "bc", "de"], ("web/2", "web/5"))
    assert listed[["family", "id", "near_copy_of"]].to_numpy().tolist() == [
        ["phone/3", "phone/3", "web/2"],
        ["phone/3", "web/1", "web/2"],
    ]


def test_production_comes_before_raw_and_what_stays_before_what_goes() -> None:
    images = [("archive/1", "cat", "a"), ("archive/2", "cat", "b"), ("phone/3", "cat", "c"), ("phone/4", "cat", "d")]
    near = ["ab", "ac", "ad"]
    assert table(images, near)[["family", "id", "near_copy_of"]].to_numpy().tolist()[:2] == [
        ["phone/3", "archive/1", "phone/3"],
        ["phone/3", "archive/2", "archive/1"],
    ]
    assert table(images, near, ("phone/3", "phone/4"))["near_copy_of"].tolist() == ["archive/2", "archive/1"]


def test_two_labels_of_one_content_are_both_listed() -> None:
    images = [("web/1", "cat", "a"), ("web/2", "dog", "a"), ("web/3", "cat", "b")]
    assert table(images, ["ab"])[["id", "near_copy_of", "labels"]].to_numpy().tolist() == [
        ["web/1", "web/3", "cat / dog"],
        ["web/2", "web/3", "cat / dog"],
        ["web/3", "web/1", "cat / dog"],
    ]
    assert len(table(images, ["ab"], ("web/3",))) == 0


def test_families_of_one_user_group_are_told_apart() -> None:
    rows = frame(IMAGES[:4]).assign(user_group="u")
    pairs = pd.DataFrame({"one": ["a", "c"], "other": ["b", "d"]}, dtype="str")
    listed = near_table(rows.assign(group=groups_of(rows, pairs)), rows, pairs)
    assert listed[["group", "family"]].drop_duplicates().to_numpy().tolist() == [
        ["group:u", "phone/3"],
        ["group:u", "web/1"],
    ]
    assert near_counts(listed) == {"images": 4, "groups": 2, "two_labels": 0}


def test_without_near_copies_the_table_is_empty() -> None:
    assert len(table(IMAGES, [])) == 0
    assert near_counts(table([], [])) == {"images": 0, "groups": 0, "two_labels": 0}


@given(st.permutations(IMAGES), st.permutations(["ab", "bc", "ac", "de"]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_images_and_pairs_does_not_count(images: list[Image], near: list[str]) -> None:
    pd.testing.assert_frame_equal(table(images, near), table(IMAGES, ["ab", "bc", "ac", "de"]))


def test_one_image_of_each_content_is_compared_in_the_order_of_ids() -> None:
    contents = contents_of(frame([("web/2", "cat", "x"), ("web/1", "cat", "y"), ("phone/9", "dog", "x")]))
    assert contents[["id", "sha256"]].to_numpy().tolist() == [["phone/9", "x"], ["web/1", "y"]]
    assert contents.index.tolist() == [0, 1]


def with_marks(pictures: list[Pixels]) -> pd.DataFrame:
    found = [marks(views(pixels)) for pixels in pictures]
    columns = {name: [int(hashes[number]) for hashes, _ in found] for number, name in enumerate(HASHES)}
    rows = pd.DataFrame({"id": [f"web/{number}" for number in range(len(found))], **columns})
    rows = rows.assign(sha256="sha " + rows["id"], fine_detail=[detail for _, detail in found], width=120, height=160)
    return with_columns(rows, INGESTED)


def test_near_copies_are_found_among_contents() -> None:
    pictures = [scene(1), scene(2), jpeg(scene(1)), half(scene(2)), scene(3)]

    def look(rows: Positions) -> Pixels:
        return np.stack([views(pictures[row]) for row in rows])

    def look_closer(rows: Positions) -> Pixels:
        return np.stack([portrait(pictures[row]) for row in rows])

    pairs = near_copies(contents_of(with_marks(pictures)), look, look_closer)
    assert sorted(pairs.to_numpy().tolist()) == [["sha web/0", "sha web/2"], ["sha web/1", "sha web/3"]]


@pytest.mark.parametrize("facts", [{"fine_detail": 1.4}, {"width": 31}, {"height": 31}])
def test_plain_and_small_pictures_are_neither_compared_nor_looked_at(facts: dict[str, float]) -> None:
    contents = contents_of(with_marks([scene(1), jpeg(scene(1))]).assign(**facts))
    assert not is_compared(contents).any()

    def look(rows: Positions) -> Pixels:
        raise AssertionError(rows)

    assert len(near_copies(contents, look, look)) == 0


def test_a_label_and_none_are_not_two_labels() -> None:
    listed = table([("web/1", "cat", "a"), ("phone/2", "", "b"), ("phone/3", "", "c")], ["ab", "bc"])
    assert listed["labels"].tolist() == ["", "", ""]
    assert near_counts(listed)["two_labels"] == 0
