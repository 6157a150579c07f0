"""The laws of splitting: a partition, measured on production alone, and steady when images come and go."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import CURATED, DEV, PRODUCTION, RAW, SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.stages.split.params import SplitParams
from pipeline.stages.split.splitting import EXCLUDED_COLUMNS, HELD_BACK, LEAKS, Splits, assign_splits, split_counts
from tests.examples import curated, with_columns
from tests.splits import places, split_params, splits_of

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0, 1)
# Enough of each class that no split of these shares comes out too small, whatever the seed.
BASE = curated(raw={"apple": 60, "pear": 60}, production={"apple": 100, "pear": 100})
LATER = st.lists(
    st.tuples(
        st.sampled_from([RAW, PRODUCTION]), st.sampled_from(["apple", "pear"]), st.sampled_from([None, *BASE["group"]])
    ),
    max_size=30,
)


def with_later(later: list[tuple[str, str, str | None]]) -> pd.DataFrame:
    """The base and further images, each in a group of its own or in one that is there."""
    rows = [
        {"id": f"new/{number}", "role": role, "label": label, "group": group or f"new/{number}"}
        for number, (role, label, group) in enumerate(later)
    ]
    new = pd.DataFrame(rows, columns=["id", "role", "label", "group"])
    return pd.concat([BASE, with_columns(new, CURATED)], ignore_index=True)


@given(later=LATER, seed=SEEDS, used=SHARES)
@FEW
def test_every_image_is_in_one_split_or_left_out_with_a_reason(
    later: list[tuple[str, str, str | None]], seed: int, used: float
) -> None:
    manifest = with_later(later)
    found = places(manifest, split_params(seed, used=used))
    assert set(found) == set(manifest["id"])
    assert set(found.values()) <= {*SPLITS, LEAKS, HELD_BACK}


@given(later=LATER, seed=SEEDS, used=SHARES)
@FEW
def test_dev_and_test_hold_production_images_only(
    later: list[tuple[str, str, str | None]], seed: int, used: float
) -> None:
    assigned, _ = splits_of(with_later(later), split_params(seed, used=used))
    measured = assigned[assigned["split"].isin([DEV, TEST])]
    assert set(measured["role"]) == {PRODUCTION}


@given(later=LATER, seed=SEEDS, used=SHARES)
@FEW
def test_no_group_straddles_two_splits(later: list[tuple[str, str, str | None]], seed: int, used: float) -> None:
    assigned, _ = splits_of(with_later(later), split_params(seed, used=used))
    assert assigned.groupby("group")["split"].nunique().max() == 1


@given(later=LATER, seed=SEEDS)
@FEW
def test_images_are_left_out_for_the_two_reasons_alone(later: list[tuple[str, str, str | None]], seed: int) -> None:
    manifest = with_later(later)
    assigned, excluded = splits_of(manifest, split_params(seed, used=0.5))
    roles = manifest.set_index("id")["role"]
    groups = manifest.set_index("id")["group"]
    measured = set(assigned.loc[assigned["split"].isin([DEV, TEST]), "group"])
    assert list(excluded.columns) == EXCLUDED_COLUMNS
    assert set(roles[excluded.loc[excluded["reason"] == HELD_BACK, "id"]]) <= {PRODUCTION}
    leaks = set(excluded.loc[excluded["reason"] == LEAKS, "id"])
    assert leaks == {name for name in manifest["id"] if roles[name] == RAW and groups[name] in measured}


@given(later=LATER, seed=SEEDS, used=SHARES, data=st.data())
@FEW
def test_image_keeps_its_split_when_others_come(
    later: list[tuple[str, str, str | None]], seed: int, used: float, data: st.DataObject
) -> None:
    params = split_params(seed, used=used)
    manifest = with_later(later)
    before, after = (
        places(BASE, params),
        places(manifest.sample(frac=1, random_state=data.draw(st.integers(0, 99))), params),
    )
    # A raw image whose production twin turns up must give way; nothing else may move.
    joined = set(manifest.loc[(manifest["role"] == PRODUCTION) & manifest["id"].str.startswith("new/"), "group"])
    twins = set(BASE.loc[BASE["group"].isin(joined) & (BASE["role"] == RAW), "id"])
    moved = {name for name in before if before[name] != after[name]}
    assert moved <= twins
    assert {after[name] for name in moved} <= {LEAKS}


@given(gone=st.sets(st.sampled_from(list(BASE["id"])), max_size=20), seed=SEEDS)
@FEW
def test_image_keeps_its_split_when_others_go(gone: set[str], seed: int) -> None:
    before = places(BASE, split_params(seed))
    after = places(BASE[~BASE["id"].isin(gone)], split_params(seed))
    assert after == {name: split for name, split in before.items() if name not in gone}


@given(seed=SEEDS, shares=st.tuples(SHARES, SHARES).map(sorted))
@FEW
def test_smaller_share_of_production_trains_on_a_part_of_the_larger(seed: int, shares: list[float]) -> None:
    less, more = (places(BASE, split_params(seed, used=share)) for share in shares)
    returned = {name for name in less if less[name] != more[name]}
    assert {less[name] for name in returned} <= {HELD_BACK}
    assert {more[name] for name in returned} <= {TRAIN, TRAIN_DEV}


@pytest.mark.parametrize(
    ("used", "splits", "held_back"),
    [
        pytest.param(0.0, {DEV, TEST}, True, id="none of it trains, and train_dev is cut from what trains"),
        pytest.param(1.0, set(SPLITS), False, id="all of it is used"),
    ],
)
def test_extreme_shares_of_production_in_train(used: float, splits: set[str], held_back: bool) -> None:
    assigned, excluded = splits_of(BASE, split_params(used=used))
    assert set(assigned.loc[assigned["role"] == PRODUCTION, "split"]) == splits
    assert (HELD_BACK in set(excluded["reason"])) == held_back


def test_splits_follow_their_shares() -> None:
    many = {"apple": 20_000, "pear": 5_000}
    assigned, excluded = splits_of(curated(many, many), split_params(dev=0.2, test=0.1, train_dev=0.05, used=0.5))
    counts = Counter(zip(assigned["role"], assigned["label"], assigned["split"], strict=True))
    held_back = Counter(excluded["label"])
    for label, images in many.items():
        assert_share(counts[PRODUCTION, label, DEV], images, 0.2)
        assert_share(counts[PRODUCTION, label, TEST], images, 0.1)
        assert_share(counts[PRODUCTION, label, TRAIN_DEV], images, 0.7 * 0.5 * 0.05)
        assert_share(held_back[label], images, 0.7 * 0.5)
        assert_share(counts[RAW, label, TRAIN_DEV], images, 0.05)
        assert counts[RAW, label, TRAIN] == images - counts[RAW, label, TRAIN_DEV]


def assert_share(count: int, images: int, share: float) -> None:
    """Within five standard deviations of a binomial."""
    assert abs(count - images * share) < 5 * np.sqrt(images * share * (1 - share))


@given(seed=SEEDS, devs=st.lists(st.integers(10, 60), min_size=2, max_size=2).map(sorted), test=st.integers(10, 40))
@FEW
def test_larger_dev_takes_images_from_train_alone(seed: int, devs: list[int], test: int) -> None:
    smaller, larger = (places(BASE, split_params(seed, dev=dev / 100, test=test / 100)) for dev in devs)
    moved = {(smaller[name], larger[name]) for name in smaller if smaller[name] != larger[name]}
    assert moved <= {(TRAIN, DEV), (TRAIN_DEV, DEV)}


@given(seed=SEEDS, dev=st.integers(10, 40), tests=st.lists(st.integers(10, 60), min_size=2, max_size=2).map(sorted))
@FEW
def test_larger_test_takes_images_from_train_alone(seed: int, dev: int, tests: list[int]) -> None:
    smaller, larger = (places(BASE, split_params(seed, dev=dev / 100, test=test / 100)) for test in tests)
    moved = {(smaller[name], larger[name]) for name in smaller if smaller[name] != larger[name]}
    assert moved <= {(TRAIN, TEST), (TRAIN_DEV, TEST)}


def test_another_seed_splits_otherwise() -> None:
    assert places(BASE, split_params(seed=1)) != places(BASE, split_params(seed=2))


def test_rows_keep_their_order_and_columns() -> None:
    assigned, _ = splits_of(BASE, split_params())
    pd.testing.assert_frame_equal(assigned.drop(columns="split"), BASE)


def test_columns_read_as_categories_split_alike() -> None:
    columns = dict.fromkeys(["source", "role", "label", "group"], "category")
    assert places(BASE.astype(columns), split_params()) == places(BASE, split_params())


def test_splits_are_counted_by_role() -> None:
    images = [(DEV, PRODUCTION), (DEV, PRODUCTION), (TRAIN, RAW), (TRAIN, PRODUCTION), (TEST, PRODUCTION)]
    code = np.array([SPLITS.index(split) for split, _ in images], dtype=np.int8)
    splits = Splits(pd.DataFrame({"role": [role for _, role in images]}), code, topped_up=0)
    assert split_counts(splits) == {
        TRAIN: {RAW: 1, PRODUCTION: 1},
        TRAIN_DEV: {RAW: 0, PRODUCTION: 0},
        DEV: {RAW: 0, PRODUCTION: 2},
        TEST: {RAW: 0, PRODUCTION: 1},
    }


@pytest.mark.parametrize(
    ("raw", "production", "message"),
    [
        pytest.param(
            {"apple": 9},
            {"apple": 9},
            r"a classifier needs at least two classes, but the images have 1 "
            r"\(apple\): ",
            id="one class",
        ),
        pytest.param({}, {}, r"a classifier needs at least two classes, but the images have 0 ", id="no images"),
    ],
)
def test_unusable_labels_are_refused(raw: dict[str, int], production: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(curated(raw, production), split_params())


def too_small(raw: dict[str, int], production: dict[str, int], params: SplitParams) -> str:
    with pytest.raises(DataError, match=r"^the splits are too small:\n  ") as caught:
        assign_splits(curated(raw, production), params)
    return str(caught.value)


def test_every_class_that_dev_or_test_lacks_is_named() -> None:
    message = too_small({}, {"apple": 1000, "fig": 8, "pear": 8}, split_params(least=20))
    found = re.findall(
        r"class (\w+) has \d production images in (\w+), split\.min_per_class is 20 \(of 8 in all", message
    )
    assert sorted(found) == [("fig", DEV), ("fig", TEST), ("pear", DEV), ("pear", TEST)]


def test_class_may_have_just_as_many_images_as_it_must() -> None:
    assigned, _ = splits_of(BASE, split_params())
    production = assigned[assigned["split"].isin([DEV, TEST])]
    fewest = int(production.groupby(["label", "split"]).size().min())
    assert places(BASE, split_params(least=fewest)) == places(BASE, split_params())
    # One more than that, and train hands out what is missing.
    topped_up = assign_splits(BASE, split_params(least=fewest + 1))
    assert topped_up.topped_up > 0
    measured = topped_up.assigned[topped_up.assigned["split"].isin([DEV, TEST])]
    assert measured.groupby(["label", "split"], observed=True).size().min() == fewest + 1


@pytest.mark.parametrize(("share", "least"), [(0.05, 5), (0.25, 1), (0.45, 50)])
def test_number_of_images_said_to_give_enough_does_so_with_two_deviations_to_spare(share: float, least: int) -> None:
    message = too_small(
        {"apple": 900, "fig": 900}, {"apple": 1, "fig": 1}, split_params(dev=share, test=share, least=least)
    )
    images = int(re.findall(r"about (\d+) give enough", message)[0])
    spared = images * share - 2 * np.sqrt(images * share * (1 - share))
    assert least <= spared + 1e-9
    assert spared < least + share


def test_class_that_cannot_be_trained_is_named() -> None:
    message = too_small({"apple": 90}, {"apple": 200, "fig": 200}, split_params(used=0, one_sided_classes="train"))
    assert message.endswith("\n  class fig has no image in train")


def test_empty_train_dev_is_said_with_its_share() -> None:
    message = too_small({}, {"apple": 200, "fig": 200}, split_params(train_dev=1e-9))
    assert re.search(r"\n  train_dev is empty: split\.train_dev is 1e-09 of \d+ images$", message)


def test_nothing_left_to_train_on_is_said_and_does_not_crash() -> None:
    message = too_small({}, {"apple": 2, "fig": 3}, split_params(dev=1e-6, test=1e-6, used=0))
    assert "class apple has 0 production images in dev" in message
    # fig has more than twice the minimum, and gets it in dev and in test.
    assert "class fig has 0 production images" not in message
    assert "class fig has no image in train" in message
