"""Of equal files one stays; one picture under two labels is settled as params say."""

from typing import Any, get_args

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import CURATED, PRODUCTION, RAW
from pipeline.stages.curate.duplicates import REMOVED_COLUMNS, remove_duplicates
from pipeline.stages.curate.params import CurateParams
from tests.examples import params, with_columns

Image = tuple[str, str, str]  # id, label, content
# "archive" sorts before "phone", so that a small id alone would let a raw image win.
ROLES = {"archive": RAW, "phone": PRODUCTION, "web": RAW}
IMAGES = st.lists(
    st.tuples(st.sampled_from(sorted(ROLES)), st.integers(0, 99), st.sampled_from("ABC"), st.sampled_from("123456")),
    max_size=25,
    unique_by=lambda image: image[:2],
).map(lambda images: [(f"{source}/{number:02}", label, content) for source, number, label, content in images])
POLICIES = get_args(CurateParams.model_fields["conflicting_labels"].annotation)
FORGIVING = st.sampled_from([policy for policy in POLICIES if policy != "error"])


def frame(images: list[Image], categories: bool = False) -> pd.DataFrame:
    rows = pd.DataFrame(images, columns=["id", "label", "sha256"], dtype="str")
    parts = rows["id"].str.split("/", n=1, expand=True).reindex(columns=[0, 1])
    sources = parts[0].astype("str")
    rows = rows.assign(source=sources, path=parts[1].astype("str"), role=sources.map(ROLES).astype("str"))
    columns = dict.fromkeys(["source", "role", "label"], "category") if categories else {}
    return with_columns(rows.assign(group="g" + rows["sha256"]), CURATED).astype(columns)


def curate(images: list[Image], policy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    return remove_duplicates(frame(images), chosen(policy))


def chosen(policy: str) -> CurateParams:
    return params(**{"curate.conflicting_labels": policy}).curate


def removals(images: list[Image], policy: str) -> dict[str, tuple[str, str]]:
    """Reason and detail of each image that goes, after its id."""
    removed = curate(images, policy)[1]
    return {row["id"]: (row["reason"], row["detail"]) for row in removed.to_dict("records")}


@pytest.mark.parametrize(
    ("images", "gone"),
    [
        pytest.param([("web/1", "A", "x"), ("web/2", "A", "y")], {}, id="different files are no duplicates"),
        pytest.param(
            [("phone/1", "", "x"), ("web/2", "A", "x")],
            {"phone/1": ("duplicate", "web/2")},
            id="a raw image with a label stays before a production image without",
        ),
        pytest.param(
            [("phone/2", "", "x"), ("phone/1", "", "x")],
            {"phone/2": ("duplicate", "phone/1")},
            id="of images without a label the smallest id stays",
        ),
        pytest.param(
            [("web/2", "A", "x"), ("web/1", "A", "x"), ("web/3", "A", "x")],
            {"web/2": ("duplicate", "web/1"), "web/3": ("duplicate", "web/1")},
            id="the smallest id stays",
        ),
        pytest.param(
            [("archive/1", "A", "x"), ("phone/9", "A", "x")],
            {"archive/1": ("duplicate", "phone/9")},
            id="production stays before a raw image with a smaller id",
        ),
        pytest.param(
            [("phone/2", "A", "x"), ("archive/1", "A", "x"), ("phone/1", "A", "x"), ("web/1", "A", "x")],
            dict.fromkeys(("archive/1", "phone/2", "web/1"), ("duplicate", "phone/1")),
            id="among production images the smallest id stays",
        ),
    ],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_one_of_several_equal_files_stays(images: list[Image], gone: dict[str, tuple[str, str]], policy: str) -> None:
    assert removals(images, policy) == gone


CONFLICT = [("web/3", "pear", "x"), ("phone/1", "apple", "x"), ("web/2", "pear", "x"), ("web/1", "pear", "y")]


def test_rejected_conflict_takes_all_its_images_and_names_the_labels() -> None:
    reason = ("conflicting_labels", "apple / pear")
    assert removals(CONFLICT, "reject") == {"phone/1": reason, "web/2": reason, "web/3": reason}


def test_kept_conflict_leaves_one_image_of_each_label_in_one_group() -> None:
    kept, removed = curate(CONFLICT, "keep")
    assert kept[["id", "label", "group"]].to_numpy().tolist() == [
        ["phone/1", "apple", "gx"],
        ["web/1", "pear", "gy"],
        ["web/2", "pear", "gx"],
    ]
    assert removed[["id", "reason", "detail"]].to_numpy().tolist() == [["web/3", "duplicate", "web/2"]]


def test_conflict_as_error_names_the_images_and_the_choices() -> None:
    message = (
        r"^pictures with two labels: 2, in the files phone/1, web/2, web/3, web/4, web/5\. "
        r"Correct the labels, or set curate\.conflicting_labels to reject or keep$"
    )
    with pytest.raises(DataError, match=message):
        curate([*CONFLICT, ("web/4", "fig", "z"), ("web/5", "pear", "z")], "error")


def test_conflict_under_three_labels_names_all_three() -> None:
    images = [("web/1", "C", "x"), ("web/2", "A", "x"), ("web/3", "B", "x")]
    assert removals(images, "reject")["web/1"] == ("conflicting_labels", "A / B / C")


@given(images=IMAGES, policy=FORGIVING)
@settings(max_examples=40, deadline=None)
def test_every_image_either_stays_or_goes_with_a_reason(images: list[Image], policy: str) -> None:
    kept, removed = curate(images, policy)
    assert sorted([*kept["id"], *removed["id"]]) == sorted(name for name, _, _ in images)
    assert list(kept.columns) == CURATED.names
    assert list(removed.columns) == REMOVED_COLUMNS
    assert set(removed["reason"]) <= {"duplicate", "conflicting_labels"}


@given(images=IMAGES, policy=FORGIVING, data=st.data())
@settings(max_examples=40, deadline=None)
def test_order_of_the_input_does_not_matter(images: list[Image], policy: str, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(images))
    for expected, found in zip(curate(images, policy), curate(list(shuffled), policy), strict=True):
        pd.testing.assert_frame_equal(found, expected)


@given(images=IMAGES, policy=FORGIVING)
@settings(max_examples=40, deadline=None)
def test_duplicate_points_at_an_image_that_stays_and_is_no_worse(images: list[Image], policy: str) -> None:
    content = {name: (file if policy == "reject" else (file, label)) for name, label, file in images}
    kept, removed = curate(images, policy)
    for row in removed[removed["reason"] == "duplicate"].to_dict("records"):
        survivor = row["detail"]
        assert survivor in set(kept["id"])
        assert content[survivor] == content[row["id"]]
        assert _rank(survivor) < _rank(row["id"])


def _rank(name: str) -> tuple[bool, str]:
    return ROLES[name.split("/", maxsplit=1)[0]] != PRODUCTION, name


@given(images=IMAGES, policy=FORGIVING)
@settings(max_examples=40, deadline=None)
def test_what_stays_has_no_duplicates_and_keeps_its_group(images: list[Image], policy: str) -> None:
    kept, _ = curate(images, policy)
    identity: Any = ["sha256", "label"] if policy == "keep" else ["sha256"]
    assert not kept.duplicated(identity).any()
    assert kept["group"].tolist() == ("g" + kept["sha256"]).tolist()
    assert kept["id"].is_monotonic_increasing


@given(images=IMAGES, policy=FORGIVING)
@settings(max_examples=20, deadline=None)
def test_columns_read_as_categories_give_the_same_choice(images: list[Image], policy: str) -> None:
    plain, categorical = (remove_duplicates(frame(images, flag), chosen(policy)) for flag in (False, True))
    assert [table["id"].tolist() for table in plain] == [table["id"].tolist() for table in categorical]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_images_give_two_empty_tables(policy: str) -> None:
    kept, removed = curate([], policy)
    assert (len(kept), len(removed)) == (0, 0)
    assert list(kept.columns) == CURATED.names
