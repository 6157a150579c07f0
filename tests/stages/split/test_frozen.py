"""Images of an earlier split never move, whatever changes; new images of their groups follow them."""

import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import DEV, PRODUCTION, RAW, SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.stages.split.frozen import JOINS
from pipeline.stages.split.splitting import HELD_BACK, LEAKS, assign_splits
from tests.splits import drawn, places, rows_of, split_params

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
COUNTS = {"apple": 120, "pear": 120}
BASE = drawn(7, COUNTS, largest=3)
OTHERWISE: list[dict[str, Any]] = [
    {"production": {"train": 0.2, "dev": 0.2, "test": 0.6}},
    {"production": {"dev": 40, "test": 40}},
    {"method": "newest"},
    {"train_dev": 0.5},
    {"one_sided_classes": "drop"},
]


def frozen_of(manifest: pd.DataFrame = BASE, **changes: Any) -> pd.DataFrame:
    """What an earlier run left."""
    return assign_splits(manifest, split_params(**changes)).assigned[["id", "label", "split"]]


def with_new(images: list[dict[str, Any]]) -> pd.DataFrame:
    """The base and further images; times as new as the newest."""
    named = [
        {"id": f"new/{number}", "captured_at": BASE["captured_at"].max(), **new} for number, new in enumerate(images)
    ]
    return pd.concat([BASE, rows_of(named)], ignore_index=True) if images else BASE


def groups_in(split: str, frozen: pd.DataFrame, role: str = PRODUCTION) -> list[str]:
    """Groups with frozen images of a role in a split."""
    rows = BASE[BASE["id"].isin(frozen.loc[frozen["split"] == split, "id"]) & (BASE["role"] == role)]
    return sorted(set(rows["group"]))


NEW = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from([RAW, PRODUCTION]),
            "label": st.sampled_from(sorted(COUNTS)),
            "group": st.sampled_from([*BASE["group"], *"abcdef"]),
        }
    ),
    max_size=30,
)


@given(seed=SEEDS, other=SEEDS, change=st.sampled_from(OTHERWISE), new=NEW, order=st.integers(0, 9))
@FEW
def test_frozen_images_never_move(
    seed: int, other: int, change: dict[str, Any], new: list[dict[str, Any]], order: int
) -> None:
    frozen = frozen_of(seed=seed)
    manifest = with_new(new).sample(frac=1, random_state=order)
    found = places(manifest, split_params(**{"seed": other, **change}), frozen)
    old = dict(zip(frozen["id"], frozen["split"].astype(str), strict=True))
    assert {name: found[name] for name in old} == old


@given(seed=SEEDS, other=SEEDS, new=NEW)
@FEW
def test_new_images_follow_the_frozen_ones_of_their_group(seed: int, other: int, new: list[dict[str, Any]]) -> None:
    frozen = frozen_of(seed=seed)
    manifest = with_new(new)
    found = places(manifest, split_params(other), frozen)
    held = frozen.merge(BASE[["id", "group"]], on="id")
    of_group = dict(zip(held["group"], held["split"].astype(str), strict=True))
    for row in manifest[manifest["id"].str.startswith("new/")].to_dict("records"):
        place = of_group.get(row["group"])
        if place:
            leaks = row["role"] == RAW and place in {DEV, TEST}
            assert found[row["id"]] == (LEAKS if leaks else place)


def test_images_of_no_frozen_group_go_where_the_params_say() -> None:
    new = with_new([{"label": "apple", "group": f"n{number}"} for number in range(100)])
    plain, with_frozen = places(new, split_params(3)), places(new, split_params(3), frozen_of(seed=1))
    assert {plain[f"new/{number}"] for number in range(100)} == set(SPLITS)
    assert all(with_frozen[f"new/{number}"] == plain[f"new/{number}"] for number in range(100))


@pytest.mark.parametrize("split", [DEV, TEST])
def test_raw_image_that_joins_a_frozen_group_of_dev_or_test_leaks(split: str) -> None:
    frozen = frozen_of()
    manifest = with_new([{"role": RAW, "label": "pear", "group": groups_in(split, frozen)[0]}])
    splits = assign_splits(manifest, split_params(9), frozen)
    assert splits.excluded.set_index("id").loc["new/0", "reason"] == LEAKS


@pytest.mark.parametrize("role", [RAW, PRODUCTION])
def test_new_image_that_joins_frozen_groups_of_different_splits_is_left_out(role: str) -> None:
    frozen = frozen_of()
    joined = {groups_in(DEV, frozen)[0], groups_in(TEST, frozen)[0]}
    # The groups are joined by a picture that both have; curate then gives all their images one name.
    manifest = with_new([{"role": role, "label": "pear", "group": "joined"}, {"label": "pear", "group": "joined"}])
    manifest.loc[manifest["group"].isin(joined), "group"] = "joined"
    splits = assign_splits(manifest, split_params(9), frozen)
    left = splits.excluded.set_index("id")["reason"]
    assert left["new/0"] == left["new/1"] == JOINS == "joins_frozen_groups"
    found = places(manifest, split_params(9), frozen)
    assert all(found[str(row.id)] == row.split for row in frozen.itertuples())


def test_new_image_that_joins_frozen_groups_of_one_split_follows_them() -> None:
    frozen = frozen_of()
    manifest = with_new([{"label": "pear", "group": "joined"}])
    manifest.loc[manifest["group"].isin(groups_in(TEST, frozen)[:2]), "group"] = "joined"
    assert places(manifest, split_params(9), frozen)["new/0"] == TEST


def test_a_frozen_label_in_other_bytes_is_the_same_label() -> None:
    frozen = frozen_of()
    label = str(frozen["label"].astype(str).iloc[0])
    before = frozen.assign(label=[f"{name}\u200b " if name == label else name for name in frozen["label"].astype(str)])
    manifest = with_new([{"label": "pear", "group": "new"}])
    assert places(manifest, split_params(9), before) == places(manifest, split_params(9), frozen)


def test_gone_images_and_changed_labels_are_all_named() -> None:
    frozen = frozen_of()
    gone, changed = list(frozen["id"].iloc[:7]), list(frozen["id"].iloc[10:12])
    manifest = BASE[~BASE["id"].isin(gone)].reset_index(drop=True)
    manifest.loc[manifest["id"].isin(changed), "label"] = "pear"
    message = (
        "split.frozen_from names a split that no longer fits:\n"
        "  7 images are missing: 00000, 00001, 00002, 00003, 00004 and 2 more\n"
        f"  2 images have a different label now: {changed[0]}, {changed[1]}\n"
        "Restore the images or labels, or freeze a later split"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        assign_splits(manifest, split_params(), frozen)


def test_gone_images_alone_are_named_alone() -> None:
    with pytest.raises(
        DataError,
        match=r"no longer fits:\n  1 images are missing: 00000\nRestore the images "
        r"or labels",
    ):
        assign_splits(BASE[BASE["id"] != "00000"], split_params(), frozen_of())


def test_images_that_were_in_no_split_are_not_missed() -> None:
    frozen = frozen_of()
    left_out = set(BASE["id"]) - set(frozen["id"])
    assert left_out
    rest = BASE[~BASE["id"].isin(left_out)]
    assert len(assign_splits(rest, split_params(5), frozen).assigned) == len(frozen)


def test_frozen_images_of_train_are_held_back_if_less_of_production_trains() -> None:
    # split.production_train_fraction says what trains, also of a frozen split: dev, test and raw images stay.
    frozen = frozen_of()
    found = places(BASE, split_params(2, used=0), frozen)
    roles = dict(zip(BASE["id"], BASE["role"], strict=True))
    for row in frozen.itertuples():
        trained = row.split in {TRAIN, TRAIN_DEV} and roles[str(row.id)] == PRODUCTION
        assert found[str(row.id)] == (HELD_BACK if trained else row.split)


def test_minima_are_reached_with_new_images_alone() -> None:
    old = drawn(7, COUNTS)
    frozen = frozen_of(old, dev=0.05, test=0.05)
    new = [
        {"id": f"new/{number}", "label": label, "group": f"n{number}"} for number, label in enumerate([*COUNTS] * 40)
    ]
    manifest = pd.concat([old, rows_of(new)], ignore_index=True)
    chosen = split_params(1, dev=0.05, test=0.05, least=14)
    splits = assign_splits(manifest, chosen, frozen)
    found = places(manifest, chosen, frozen)
    assert set(splits.rows(DEV, TEST).groupby(["label", "split"], observed=True).size()) == {14}
    assert splits.topped_up > 0
    assert all(found[str(row.id)] == row.split for row in frozen.itertuples())


def test_frozen_images_that_were_topped_up_count_as_moved_no_more() -> None:
    manifest = drawn(3, {"apple": 300, "fig": 30})
    chosen = split_params(dev=0.02, test=0.02, least=5)
    first = assign_splits(manifest, chosen)
    again = assign_splits(manifest, chosen, first.assigned[["id", "label", "split"]])
    assert first.topped_up > 0
    assert again.topped_up == 0
    pd.testing.assert_frame_equal(again.assigned, first.assigned)
