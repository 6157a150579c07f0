"""Ways to choose dev and test other than shares by hash: exact counts, the newest images, folds."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import DEV, PRODUCTION, SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.stages.split.params import SplitParams
from pipeline.stages.split.splitting import LEAKS, assign_splits
from pipeline.stages.split.strata import enough_images
from tests.examples import curated
from tests.splits import drawn, places, rows_of, split_params

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
LABELS = {"apple": 90, "fig": 30, "pear": 60}
# Enough that no class is missing anywhere, even where nothing is topped up.
EVEN = {"apple": 300, "pear": 300}


def production_counts(manifest: pd.DataFrame, chosen: SplitParams) -> Counter[tuple[str, str]]:
    """Production images of each split and label."""
    rows = assign_splits(manifest, chosen).assigned
    rows = rows[rows["role"] == PRODUCTION]
    return Counter(zip(rows["split"], rows["label"], strict=True))


def assert_whole_groups(manifest: pd.DataFrame, found: dict[str, str]) -> None:
    """Production images of a group are in one split, but for those of train and train_dev that are held back."""
    production = manifest[manifest["role"] == PRODUCTION]
    assert production["id"].map(found).groupby(production["group"]).nunique().max() == 1


def counts_of(dev: int, test: int, seed: int = 1, least: int = 1) -> SplitParams:
    return split_params(seed, least=least, production={"dev": dev, "test": test})


@st.composite
def quotas(draw: st.DrawFn) -> tuple[int, int]:
    """dev and test, large enough that each class gets an image, up to all images there are."""
    dev = draw(st.integers(30, 150))
    return dev, draw(st.integers(30, 180 - dev))


@given(seed=SEEDS, quota=quotas(), largest=st.integers(1, 3))
@FEW
def test_counts_are_met_up_to_half_a_group_a_class(seed: int, quota: tuple[int, int], largest: int) -> None:
    manifest = drawn(seed, LABELS, largest)
    counts = production_counts(manifest, counts_of(*quota, seed=seed))
    half = largest / 2 if largest > 1 else 0
    for split, wanted in zip((DEV, TEST), quota, strict=True):
        assert abs(sum(counts[split, label] for label in LABELS) - wanted) <= len(LABELS) * half
        for label, images in LABELS.items():
            assert abs(counts[split, label] - wanted * images / 180) < 2 + half


@given(seed=SEEDS, quota=quotas(), largest=st.integers(2, 9))
@FEW
def test_counts_leave_groups_whole_even_those_of_several_classes(
    seed: int, quota: tuple[int, int], largest: int
) -> None:
    manifest = drawn(seed, LABELS, largest, mixed=True)
    try:
        found = places(manifest, counts_of(*quota, seed=seed))
    except DataError:  # a class may lie in few groups
        assume(False)
    assert_whole_groups(manifest, found)


def test_counts_are_dealt_in_proportion() -> None:
    manifest = curated({"apple": 50, "pear": 50}, {"apple": 40, "pear": 20})
    counts = production_counts(manifest, counts_of(6, 3))
    assert {key: count for key, count in counts.items() if key[0] in {DEV, TEST}} == {
        (DEV, "apple"): 4,
        (DEV, "pear"): 2,
        (TEST, "apple"): 2,
        (TEST, "pear"): 1,
    }


def test_group_is_in_if_at_least_half_of_it_fits() -> None:
    fours = [{"label": label, "group": f"{label}{number // 4}"} for label in ("apple", "fig") for number in range(80)]
    counts = production_counts(rows_of(fours), counts_of(28, 20))
    assert [counts[split, label] for split in (DEV, TEST) for label in ("apple", "fig")] == [16, 16, 12, 12]


def test_counts_may_use_up_all_images_of_small_classes() -> None:
    manifest = curated({"apple": 50, "pear": 50}, {"apple": 3, "pear": 3})
    counts = production_counts(manifest, counts_of(3, 3))
    assert (counts[DEV, "apple"] + counts[DEV, "pear"], counts[TEST, "apple"] + counts[TEST, "pear"]) == (3, 3)


def test_classes_that_counts_would_pass_over_are_topped_up() -> None:
    manifest = curated({"apple": 50, "fig": 50}, {"apple": 600, "fig": 8})
    splits = assign_splits(manifest, counts_of(10, 10, least=3))
    measured = splits.assigned[splits.assigned["split"].isin([DEV, TEST])]
    assert Counter(zip(measured["split"], measured["label"], strict=True)) == {
        (DEV, "apple"): 10,
        (TEST, "apple"): 10,
        (DEV, "fig"): 3,
        (TEST, "fig"): 3,
    }
    assert splits.topped_up == 6


@pytest.mark.parametrize("method", ["hash", "newest"])
def test_counts_beyond_what_there_is_are_refused(method: str) -> None:
    chosen = split_params(method=method, production={"dev": 100, "test": 81})
    message = (
        r"^split\.production asks for 100 \+ 81 images in dev and test, but there are only 180 production images: "
        r"ask for fewer, or use shares$"
    )
    with pytest.raises(DataError, match=message):
        assign_splits(drawn(1, LABELS), chosen)


def newest_of_groups(manifest: pd.DataFrame, found: dict[str, str]) -> dict[str, "pd.Series[pd.Timestamp]"]:
    """The times of each split's production groups, that of a group being its newest image's."""
    production = manifest[manifest["role"] == PRODUCTION]
    newest = production["captured_at"].groupby(production["group"]).transform("max")
    return {split: newest[production["id"].map(found) == split] for split in SPLITS}


@given(seed=SEEDS, largest=st.integers(1, 4), counted=st.booleans())
@FEW
def test_test_is_not_older_than_dev_and_dev_not_older_than_train(seed: int, largest: int, counted: bool) -> None:
    manifest = drawn(seed, EVEN, largest)
    production = {"dev": 150, "test": 150} if counted else {"train": 0.5, "dev": 0.25, "test": 0.25}
    found = places(manifest, split_params(seed, method="newest", production=production))
    times = newest_of_groups(manifest, found)
    trained = pd.concat([times[TRAIN], times[TRAIN_DEV]])
    assert trained.max() <= times[DEV].min()
    assert times[DEV].max() <= times[TEST].min()
    assert_whole_groups(manifest, found)
    for split in (DEV, TEST):
        assert abs(len(times[split]) - 150) <= largest
    assert assign_splits(manifest, split_params(seed, method="newest", production=production)).topped_up == 0


@given(seed=SEEDS, order=st.integers(0, 99))
@FEW
def test_order_of_rows_does_not_matter_to_the_newest(seed: int, order: int) -> None:
    manifest = drawn(seed, EVEN, 3)
    shuffled = manifest.sample(frac=1, random_state=order)
    assert places(shuffled, split_params(method="newest")) == places(manifest, split_params(method="newest"))


def test_images_of_one_moment_are_told_apart_by_hash() -> None:
    manifest = drawn(1, LABELS)
    manifest["captured_at"] = manifest["captured_at"].max()
    one, same, other = (places(manifest, split_params(seed, method="newest")) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert Counter(one[name] for name in manifest.loc[manifest["role"] == PRODUCTION, "id"])[TEST] == 45


def test_group_is_as_new_as_its_newest_image() -> None:
    def rows(day: int, **image: str) -> list[dict[str, object]]:
        return [{"captured_at": pd.Timestamp(2026, 1, day, tz="UTC"), "label": label, **image} for label in "ab" * 4]

    images = [image for day in range(1, 29) for image in rows(day)]
    images[0]["group"] = images[-1]["group"] = "both ends"
    found = places(rows_of(images), split_params(method="newest"))
    assert found["00000"] == found[f"{len(images) - 1:05}"] == TEST
    assert found["00001"] in {TRAIN, TRAIN_DEV}


def test_production_images_without_a_time_are_named_and_raw_ones_need_none() -> None:
    manifest = drawn(1, LABELS)
    manifest.loc[manifest["id"].isin(["00003", "00005"]), "captured_at"] = pd.NaT
    message = (
        r"^split\.method newest needs captured_at of every production image; 2 have none: 00003, 00005\. "
        r"Add it to the source's metadata\.csv, or use the method hash$"
    )
    with pytest.raises(DataError, match=message):
        assign_splits(manifest, split_params(method="newest"))


FOLDED = [
    pytest.param({}, id="shares"),
    pytest.param({"production": {"dev": 150, "test": 150}}, id="counts"),
    pytest.param({"method": "newest"}, id="newest"),
]


@pytest.mark.parametrize("choice", FOLDED)
@given(seed=SEEDS, count=st.integers(2, 5), largest=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_each_production_image_outside_test_is_dev_in_one_run(
    choice: dict[str, object], seed: int, count: int, largest: int
) -> None:
    manifest = drawn(seed, EVEN, largest)
    runs = [
        places(manifest, split_params(seed, **choice, folds={"count": count, "dev": dev}))  # type: ignore[arg-type]
        for dev in range(count)
    ]
    plain = places(manifest, split_params(seed, **choice))  # type: ignore[arg-type]
    for found in runs:
        assert in_split(found, TEST) == in_split(plain, TEST)
        assert_whole_groups(manifest, found)
    turns = Counter(name for found in runs for name in in_split(found, DEV))
    production = set(manifest.loc[manifest["role"] == PRODUCTION, "id"])
    assert turns == dict.fromkeys(production - in_split(plain, TEST), 1)


def in_split(found: dict[str, str], split: str) -> set[str]:
    return {name for name, place in found.items() if place == split}


def test_raw_twin_of_a_dev_image_leaks_in_its_turn_alone() -> None:
    manifest = drawn(1, EVEN)
    raw = manifest[manifest["role"] != PRODUCTION]
    runs = [places(manifest, split_params(folds={"count": 3, "dev": dev})) for dev in range(3)]
    leaks = Counter(Counter(found[name] for found in runs)[LEAKS] for name in raw["id"])
    # Twins of test's images always leak, those of others once; half of the raw images have no twin.
    assert set(leaks) == {0, 1, 3}


def test_folds_leave_the_test_that_small_classes_are_topped_up_to() -> None:
    manifest = curated({"apple": 30, "fig": 30}, {"apple": 400, "fig": 60})
    shares = {"train": 0.98, "dev": 0.01, "test": 0.01}
    plain = assign_splits(manifest, split_params(least=5, production=shares))
    folded = assign_splits(manifest, split_params(least=5, production=shares, folds={"count": 3, "dev": 1}))
    assert folded.rows(TEST)["id"].tolist() == plain.rows(TEST)["id"].tolist()
    # dev is a fold now, to which nothing is moved.
    assert 0 < folded.topped_up < plain.topped_up


def test_class_too_small_for_its_fold_is_told_how_many_images_give_enough() -> None:
    manifest = curated({"apple": 30, "fig": 30}, {"apple": 400, "fig": 30})
    enough = enough_images(9, (1 - 0.25) / 5)
    message = rf"  class fig has \d production images in dev, .* 9 \(of 30 in all; about {enough} give enough\)"
    with pytest.raises(DataError, match=message):
        assign_splits(manifest, split_params(least=9, folds={"count": 5, "dev": 0}))


def test_folds_are_about_equal() -> None:
    manifest = curated({"apple": 10, "pear": 10}, {"apple": 5000, "pear": 5000})
    sizes = [assign_splits(manifest, split_params(folds={"count": 5, "dev": dev})).counts()[DEV] for dev in range(5)]
    assert np.ptp(sizes) < 5 * np.sqrt(7500 * 0.2 * 0.8)


def test_counts_take_images_from_the_ends_from_which_shares_take_them() -> None:
    """So that who changes from shares to counts keeps most of dev and test."""
    manifest = curated({"apple": 20, "pear": 20}, {"apple": 200, "pear": 200})
    counted, shared = places(manifest, counts_of(40, 40)), places(manifest, split_params(dev=0.25, test=0.25))
    for split in (DEV, TEST):
        assert {image for image, name in counted.items() if name == split} <= {
            image for image, name in shared.items() if name == split
        }
