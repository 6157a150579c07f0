"""Small classes and strata are topped up or named; one-sided and missing labels are settled as params say."""

import re
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import DEV, PRODUCTION, RAW, TEST, TRAIN, TRAIN_DEV, UNLABELLED, UNLABELLED_HELD_OUT
from pipeline.randomness import keyed_uniform
from pipeline.stages.split.params import SplitParams
from pipeline.stages.split.splitting import EXCLUDED_COLUMNS, HELD_BACK, LEAKS, ONE_SIDED, assign_splits
from pipeline.stages.split.strata import strata_of
from tests.examples import curated
from tests.splits import drawn, places, rows_of, split_params

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
TRAINED = {TRAIN, TRAIN_DEV}


def by_hash(manifest: pd.DataFrame, chosen: SplitParams) -> dict[str, str | None]:
    """dev, test or neither for each production image, before anything is topped up."""
    production = manifest[manifest["role"] == PRODUCTION]
    place = keyed_uniform(chosen.seed, "production", production["group"])
    shares: Any = chosen.production
    splits = [DEV if at < shares.dev else TEST if at >= 1 - shares.test else None for at in place]
    return dict(zip(production["id"], splits, strict=True))


def measured(manifest: pd.DataFrame, chosen: SplitParams, *by: str) -> dict[Any, int]:
    """How many images of each split and label, or of whatever else, dev and test have."""
    rows = assign_splits(manifest, chosen).rows(DEV, TEST).astype({"split": str})
    return dict(Counter(rows[["split", *(by or ["label"])]].itertuples(index=False, name=None)))


@given(seed=SEEDS, images=st.integers(30, 60), least=st.integers(1, 6), largest=st.integers(1, 2))
@FEW
def test_small_class_is_topped_up_from_train_and_no_further_than_it_must(
    seed: int, images: int, least: int, largest: int
) -> None:
    manifest = drawn(seed, {"apple": 300, "fig": images}, largest)
    chosen = split_params(seed, dev=0.1, test=0.1, least=least)
    splits = assign_splits(manifest, chosen)
    found, before = places(manifest, chosen), by_hash(manifest, chosen)
    assert all(found[name] == split for name, split in before.items() if split)
    moved = {name for name, split in before.items() if split is None and found[name] in {DEV, TEST}}
    assert splits.topped_up == len(moved)
    labels = manifest.set_index("id")["label"]
    for split in (DEV, TEST):
        for label in ("apple", "fig"):
            there = sum(found[name] == split and labels[name] == label for name in before)
            hashed = sum(place == split and labels[name] == label for name, place in before.items())
            assert there == hashed if hashed >= least else least <= there < least + largest


@given(seed=SEEDS)
@FEW
def test_nearest_images_are_the_ones_that_move(seed: int) -> None:
    manifest = curated({"apple": 30, "fig": 30}, {"apple": 200, "fig": 40})
    chosen = split_params(seed, dev=0.05, test=0.05, least=8)
    found, before = places(manifest, chosen), by_hash(manifest, chosen)
    place = dict(zip(manifest["id"], keyed_uniform(seed, "production", manifest["group"]), strict=True))
    spare = sorted((name for name, split in before.items() if split is None and "/fig/" in name), key=place.__getitem__)
    moved = {split: {name for name in spare if found[name] == split} for split in (DEV, TEST)}
    assert moved[DEV] == set(spare[: len(moved[DEV])])
    assert moved[TEST] == set(spare[len(spare) - len(moved[TEST]) :])


def test_nothing_moves_without_need() -> None:
    manifest = drawn(3, {"apple": 100, "fig": 100}, 2)
    chosen = split_params(least=5)
    assert assign_splits(manifest, chosen).topped_up == 0
    assert places(manifest, chosen) == places(manifest, split_params(least=1))


@pytest.mark.parametrize(("images", "enough"), [(10, False), (11, True)])
def test_class_is_topped_up_if_it_has_more_than_twice_the_minimum(images: int, enough: bool) -> None:
    manifest = curated({"apple": 30, "fig": 30}, {"apple": 500, "fig": images})
    chosen = split_params(dev=0.02, test=0.02, least=5)
    if enough:
        assert measured(manifest, chosen)[DEV, "fig"] == measured(manifest, chosen)[TEST, "fig"] == 5
    else:
        with pytest.raises(DataError, match=r"class fig has \d production images in dev, .* is 5 \(of 10 in all; "):
            assign_splits(manifest, chosen)


def test_raw_twin_of_an_image_that_moved_leaks() -> None:
    manifest = drawn(1, {"apple": 300, "fig": 40})
    chosen = split_params(dev=0.02, test=0.02, least=10)
    found = places(manifest, chosen)
    groups = set(manifest.loc[manifest["id"].map(found).isin([DEV, TEST]), "group"])
    raw = manifest[manifest["role"] == RAW]
    assert assign_splits(manifest, chosen).topped_up > 0
    assert {name for name in raw["id"] if found[name] == LEAKS} == set(raw.loc[raw["group"].isin(groups), "id"])


def test_group_of_several_classes_tops_up_all_of_them_at_once() -> None:
    both = [{"label": label, "group": f"both{number}"} for number in range(40) for label in ("fig", "pear")]
    rows = rows_of([*({"label": "apple"} for _ in range(300)), *both, *({"role": RAW, "label": "fig"},) * 30])
    chosen = split_params(dev=1e-9, test=1e-9, least=4, one_sided_classes="train")
    splits = assign_splits(rows, chosen)
    assert splits.topped_up == 2 * (4 + 4 + 4)
    assert set(measured(rows, chosen).values()) == {4}
    # Pears that came with the figs count, even where other pears are nearer.
    alone = rows_of([{"id": f"alone/{number}", "group": f"alone{number}", "label": "pear"} for number in range(300)])
    assert set(measured(pd.concat([rows, alone], ignore_index=True), chosen).values()) == {4}


@given(seed=SEEDS, new=st.integers(0, 40), least=st.integers(1, 6))
@FEW
def test_adding_images_never_moves_one_from_dev_or_test_unless_it_was_topped_up(
    seed: int, new: int, least: int
) -> None:
    later = drawn(seed, {"apple": 200, "fig": 40 + new}, 2).drop(columns="group")
    later = later.assign(group=later["id"])
    chosen = split_params(seed, dev=0.08, test=0.08, least=least)
    old = later[~later["id"].isin([f"{number:05}" for number in range(240, 240 + new)])]
    before, after, hashed = places(old, chosen), places(later, chosen), by_hash(old, chosen)
    moved = {name for name in before if before[name] in {DEV, TEST} and after[name] != before[name]}
    assert {hashed[name] for name in moved} <= {None}
    assert {after[name] for name in moved} <= TRAINED


CAMERAS = {"old": 200, "new": 30, "": 40}


def with_cameras(counts: dict[str, int] | None = None) -> pd.DataFrame:
    """Apples and figs, of each camera so many production images, and raw images without a camera."""
    images = [
        {"label": label, "meta_camera": camera, "meta_site": "north"}
        for label in ("apple", "fig")
        for camera, count in (counts or CAMERAS).items()
        for _ in range(count)
    ]
    raw = [{"role": RAW, "label": label, "meta_camera": "", "meta_site": ""} for label in ("apple", "fig") * 20]
    return rows_of([*images, *raw]).astype({"meta_camera": "category", "meta_site": "category"})


@given(seed=SEEDS)
@FEW
def test_each_value_of_a_column_gets_its_minimum_in_each_class(seed: int) -> None:
    chosen = split_params(seed, dev=0.05, test=0.05, least=6, stratify_by=["camera"])
    counts = measured(with_cameras(), chosen, "label", "meta_camera")
    assert set(counts) == {
        (split, label, camera) for split in (DEV, TEST) for label in ("apple", "fig") for camera in CAMERAS
    }
    assert min(counts.values()) >= 6


def test_counts_are_dealt_to_strata_in_proportion() -> None:
    chosen = split_params(production={"dev": 54, "test": 27}, stratify_by=["camera", "site"])
    counts = measured(with_cameras(), chosen, "label", "meta_camera")
    assert {key[1:]: count for key, count in counts.items() if key[0] == DEV} == {
        ("apple", "old"): 20,
        ("apple", "new"): 3,
        ("apple", ""): 4,
        ("fig", "old"): 20,
        ("fig", "new"): 3,
        ("fig", ""): 4,
    }


@pytest.mark.parametrize("method", ["hash", "newest"])
def test_stratum_that_cannot_have_its_minimum_is_named(method: str) -> None:
    rows = with_cameras({"old": 200, "new": 5})
    rows["captured_at"] = pd.Timestamp("2026-01-01", tz="UTC")
    with pytest.raises(DataError, match=r"^the splits are too small:\n  ") as caught:
        assign_splits(rows, split_params(least=6, method=method, stratify_by=["camera", "site"]))
    lines = [re.sub(r"has \d", "has N", line) for line in str(caught.value).split("\n  ")[1:]]
    assert lines == [
        f"class {label} with camera 'new', site 'north' has N production images in {split}, "
        "split.min_per_class is 6 (of 5 in all)"
        for split in (DEV, TEST)
        for label in ("apple", "fig")
    ]


@pytest.mark.parametrize(
    ("manifest", "there"),
    [
        pytest.param(with_cameras(), "camera, site", id="others are there"),
        pytest.param(curated({}, {"apple": 9, "fig": 9}), "none", id="none is there"),
    ],
)
def test_unknown_column_is_named_with_those_that_exist(manifest: pd.DataFrame, there: str) -> None:
    message = rf"^split\.stratify_by names columns that no metadata\.csv has: lens, group; there are {there}, and"
    with pytest.raises(DataError, match=message):
        assign_splits(manifest, split_params(stratify_by=["lens", "group"]))


def test_an_issue_is_a_stratum_but_for_a_column_of_the_user_with_its_name() -> None:
    rows = with_cameras()
    dark = rows.assign(dark=[number % 3 == 0 for number in range(len(rows))])
    counts = measured(dark, split_params(least=6, stratify_by=["dark"]), "label", "dark")
    assert {key[2] for key in counts} == {True, False}
    assert min(counts.values()) >= 6
    own = dark.assign(meta_dark=rows["meta_camera"])
    assert strata_of(own, ["dark"]).tolist() == strata_of(rows, ["camera"]).tolist()


SIDES = curated({"apple": 60, "fig": 60, "kiwi": 60}, {"apple": 100, "pear": 100, "plum": 100, "fig": 100})


def test_one_sided_classes_are_named_by_their_side() -> None:
    message = (
        "one-sided classes:\n  without production images, so dev and test cannot measure them: kiwi. "
        "Add production images of these classes, or remove their raw folders\n"
        "  without raw images: pear, plum. Are they spelt differently in the raw sources?\n"
        "Or set split.one_sided_classes to drop or train"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        assign_splits(SIDES, split_params())


def test_one_sided_classes_are_dropped_with_their_reason() -> None:
    splits = assign_splits(SIDES, split_params(one_sided_classes="drop"))
    assert set(splits.assigned["label"].astype(str)) == {"apple", "fig"}
    dropped = splits.excluded[splits.excluded["reason"] == ONE_SIDED]
    assert Counter(dropped["label"]) == {"kiwi": 60, "pear": 100, "plum": 100}
    without = SIDES[SIDES["label"].isin(["apple", "fig"])]
    assert places(without, split_params()).items() <= places(SIDES, split_params(one_sided_classes="drop")).items()


def test_one_sided_classes_train_unmeasured_or_are_split_as_any_other() -> None:
    chosen = split_params(one_sided_classes="train", least=10)
    splits = assign_splits(SIDES, chosen)
    labels = {label: set(rows["split"]) for label, rows in splits.assigned.groupby("label")}
    assert labels["kiwi"] == TRAINED
    assert labels["pear"] == labels["plum"] == {*TRAINED, DEV, TEST}
    assert len(splits.excluded) == 0


@pytest.mark.parametrize("choice", ["error", "drop", "train"])
def test_without_raw_images_no_class_is_one_sided(choice: str) -> None:
    manifest = curated({}, {"apple": 100, "pear": 100})
    assert places(manifest, split_params(one_sided_classes=choice)) == places(manifest, split_params())


@pytest.mark.parametrize(
    ("raw", "production", "choice", "message"),
    [
        (
            {"apple": 9, "fig": 9},
            {"apple": 90},
            "drop",
            r"drop leaves 1 classes \(apple\) with raw and production images",
        ),
        (
            {"apple": 9},
            {"fig": 90},
            "drop",
            r"drop leaves 0 classes \(\) with raw and production images, but a "
            r"classifier",
        ),
        ({"apple": 9, "fig": 9}, {}, "train", r"^no class has production images, so dev and test cannot measure"),
    ],
)
def test_too_few_classes_that_are_left_are_said(
    raw: dict[str, int], production: dict[str, int], choice: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(curated(raw, production), split_params(one_sided_classes=choice))


@pytest.mark.parametrize("used", [1.0, 0.5])
@pytest.mark.parametrize(
    "choice", [{}, {"production": {"dev": 40, "test": 40}}, {"method": "newest"}, {"folds": {"count": 2, "dev": 0}}]
)
def test_unlabelled_images_are_left_out_and_count_for_nothing_else(choice: dict[str, Any], used: float) -> None:
    labelled = drawn(5, {"apple": 90, "fig": 90}, 3)
    # In groups of their own, of production images and of raw ones, and without a time.
    groups = [None, *labelled["group"].iloc[:40], *labelled["group"].iloc[-40:]]
    images = [
        {"id": f"unlabelled/{role}/{number}", "role": role, "label": "", "group": group or f"own {role}"}
        for role in (PRODUCTION, RAW)
        for number, group in enumerate(groups)
    ]
    chosen = split_params(least=4, used=used, **choice)
    both = pd.concat([labelled, rows_of(images)], ignore_index=True)
    expected = places(labelled, chosen)
    measured = {TRAIN_DEV, DEV, TEST}
    held_out = {
        group for image, group in labelled[["id", "group"]].itertuples(index=False) if expected[image] in measured
    }
    left_out = {str(image["id"]): UNLABELLED_HELD_OUT if image["group"] in held_out else UNLABELLED for image in images}
    assert places(both, chosen) == {**expected, **left_out}
    assert (HELD_BACK in expected.values()) == (used < 1)
    excluded = assign_splits(both, chosen).excluded
    assert list(excluded.columns) == EXCLUDED_COLUMNS
