"""Split rows into train, train_dev, dev and test by Andrew Ng's scheme (Machine Learning Yearning, ch. 5-7, 39-41).

dev and test are production only; train gets all raw images and the rest of production; train_dev is
cut from the same mixture as train. Everything is decided per group, and what is decided by hash is
decided for good: an image keeps its split when others are added or removed. Each label then follows
the shares as closely as chance lets independent draws; exact quotas and steadiness exclude each other.
"""

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import NO_LABEL, PRODUCTION, RAW, SPLITS, UNLABELLED, UNLABELLED_HELD_OUT
from pipeline.stages.split.frozen import JOINS, keep_frozen
from pipeline.stages.split.grouping import Groups
from pipeline.stages.split.labelled import Labelled
from pipeline.stages.split.params import Folds, ProductionCounts, ProductionShares, SplitParams
from pipeline.stages.split.strata import check_classes, check_sizes, small_strata, strata_of, top_up

EXCLUDED_COLUMNS = ["id", "source", "label", "reason"]
# A raw image that also is in production's dev or test: training on it would leak.
LEAKS = "raw_image_of_a_measured_group"
# A production image that split.production_train_fraction keeps out of train.
HELD_BACK = "held_back"
ONE_SIDED = "one_sided_class"
# What becomes of a row: a split, or the reason why it is in none. Codes are positions in this.
OUTCOMES = (*SPLITS, LEAKS, HELD_BACK, UNLABELLED, ONE_SIDED, JOINS, UNLABELLED_HELD_OUT)
EXCLUDED = OUTCOMES[len(SPLITS) :]
# Of production alone.
UNUSED = (HELD_BACK, UNLABELLED, UNLABELLED_HELD_OUT)
_NAMES = pd.Index(OUTCOMES)
_TRAIN, _TRAIN_DEV, _DEV, _TEST = range(4)


@dataclass(frozen=True)
class Splits:
    """Where each row of a manifest goes; `code`, shape (n,), counts in OUTCOMES.

    topped_up: how many images were moved from train so that small strata reach the minimum.
    """

    manifest: pd.DataFrame
    code: npt.NDArray[np.int8]
    topped_up: int

    def positions(self, *names: str) -> npt.NDArray[np.intp]:
        """Row numbers of some splits, in order."""
        return np.flatnonzero(np.isin(self.code, [OUTCOMES.index(name) for name in names]))

    def rows(self, *names: str) -> pd.DataFrame:
        """The rows of some splits, with a `split` column."""
        wanted = self.positions(*names)
        split = pd.Categorical.from_codes(self.code[wanted], _NAMES).remove_unused_categories()
        return self.manifest.iloc[wanted].assign(split=split).reset_index(drop=True)

    @property
    def assigned(self) -> pd.DataFrame:
        """The rows of all four splits."""
        return self.rows(*SPLITS)

    @property
    def excluded(self) -> pd.DataFrame:
        """The rows of no split, with the reason."""
        left = self.rows(*EXCLUDED).rename(columns={"split": "reason"})
        return left[EXCLUDED_COLUMNS].astype({"reason": "str"})

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """Which rows are in a split, or in none for a reason; shape (n,)."""
        return np.asarray(self.code == OUTCOMES.index(name))

    def counts(self) -> dict[str, int]:
        """Rows per split."""
        return dict(zip(SPLITS, np.bincount(self.code, minlength=len(OUTCOMES)).tolist(), strict=False))


def assign_splits(
    manifest: pd.DataFrame,
    params: SplitParams,
    frozen: pd.DataFrame | None = None,
    several: bool = False,
    groups: Groups | None = None,
) -> Splits:
    """Assign every row to a split, or give the reason why it is in none.

    Args:
        manifest: columns label and role, those that params name, and captured_at for the method newest; id where rows
            are frozen.
        frozen: columns id, label, split of an earlier run, whose images stay where they are.
        several: whether an image may have several labels.
        groups: of the rows; None: by the manifest's column.

    Raises:
        DataError: a split, or a class in dev or test, would have too few images, and what else the
            params refuse; all rows or classes are named.
    """
    groups = Groups.of_column(manifest["group"]) if groups is None else groups
    codes = groups.codes
    labelled = Labelled.of(manifest["label"], several)
    production = (manifest["role"] == PRODUCTION).to_numpy(dtype=bool)
    unlabelled = (manifest["label"] == NO_LABEL).to_numpy(dtype=bool)
    one_sided, unmeasured = check_classes(labelled, production, unlabelled, params)
    used = ~(unlabelled | one_sided)
    measurable = used & production
    place = _places(manifest, groups, measurable, params)
    rarest = labelled.rarest()
    stratified = manifest if rarest is None else manifest.assign(label=rarest.set_axis(manifest.index))
    strata = strata_of(stratified, params.stratify_by)
    split = _split_groups(groups, measurable, place, strata, params)[codes]
    movable = np.ones(len(groups), bool)
    if frozen is not None:
        split, movable, joins = keep_frozen(manifest, codes, split, frozen)
        split[joins] = OUTCOMES.index(JOINS)
    topped_up = np.zeros(len(split), bool)
    if params.method == "hash":
        small = labelled if several and not params.stratify_by else strata
        before, split = split, top_up(split, place, codes, movable, measurable, small, params)
        topped_up = (split != before) & measurable
    if params.folds is not None:
        # Only now, so that test is the one of a run without folds.
        topped_up &= split == _TEST
        split = _take_turns(split, groups, place, params.seed, params.folds, params.train_dev)
    measured = (split == _DEV) | (split == _TEST)
    split[measured & ~production] = OUTCOMES.index(LEAKS)
    if params.production_train_fraction < 1:
        held_back = groups.uniform(params.seed, "production_in_train") >= params.production_train_fraction
        split[((split == _TRAIN) | (split == _TRAIN_DEV)) & production & held_back[codes]] = OUTCOMES.index(HELD_BACK)
    split[one_sided] = OUTCOMES.index(ONE_SIDED)
    split[unlabelled] = OUTCOMES.index(UNLABELLED)
    # A scene of which others are measured: to train on it would leak as a label of it would.
    held_out = np.isin(split, (_TRAIN_DEV, _DEV, _TEST))
    held_out_groups = np.zeros(len(groups), bool)
    held_out_groups[codes[held_out]] = True
    split[unlabelled & held_out_groups[codes]] = OUTCOMES.index(UNLABELLED_HELD_OUT)
    problems = small_strata(stratified, strata, split, measurable, params)
    check_sizes(labelled, split, measurable, unmeasured, problems, params)
    return Splits(manifest, split, int(topped_up.sum()))


def _places(
    manifest: pd.DataFrame, groups: Groups, measurable: npt.NDArray[Any], params: SplitParams
) -> npt.NDArray[np.float64]:
    """A place in [0, 1) for each group with production images, NaN for the others; test lies at the upper end."""
    codes = groups.codes
    has_production = np.zeros(len(groups), bool)
    has_production[codes[measurable]] = True
    place = np.full(len(groups), np.nan)
    hashed = groups.uniform(params.seed, "production", has_production)
    match params.method:
        case "hash":
            place[has_production] = hashed
        case "newest":
            place[has_production] = _by_time(
                manifest[measurable], codes[measurable], len(groups), hashed, has_production
            )
        case unknown:
            assert_never(unknown)
    return place


def _by_time(
    production: pd.DataFrame, codes: Any, groups: int, hashed: npt.NDArray[np.float64], has_production: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Places in the order of capture, old to new; a group counts as new as its newest image."""
    without = production["captured_at"].isna()
    if without.any():
        raise DataError(
            f"split.method newest needs captured_at of every production image; {int(without.sum())} have none: "
            f"{listing(production.loc[without, 'id'])}. Add it to the source's metadata.csv, or use the method hash"
        )
    newest = np.full(groups, np.iinfo(np.int64).min)
    np.maximum.at(newest, codes, production["captured_at"].astype("int64").to_numpy())
    images = np.bincount(codes, minlength=groups)[has_production]
    order = np.lexsort((hashed, newest[has_production]))
    place = np.empty(len(order))
    place[order] = (np.cumsum(images[order]) - images[order] / 2) / images.sum()
    return place


def _split_groups(
    groups: Groups,
    measurable: npt.NDArray[Any],
    place: npt.NDArray[np.float64],
    strata: npt.NDArray[Any],
    params: SplitParams,
) -> npt.NDArray[np.int8]:
    """The split of each group, as a code, by shares or counts alone."""
    split = _mixture(groups, params.seed, params.train_dev)
    if params.method == "newest":
        dev, test = _newest(place, _shares(params, int(measurable.sum())))
    elif isinstance(params.production, ProductionCounts):
        dev, test = _quotas(place, groups.codes, measurable, strata, params.production)
    else:
        # dev grows from 0 upwards and test from 1 downwards, so that a changed share moves images
        # between train and one of them and never between dev and test.
        dev, test = place < params.production.dev, place >= 1 - params.production.test
    split[dev], split[test] = _DEV, _TEST
    return split


def _mixture(groups: Groups, seed: int, train_dev: float) -> npt.NDArray[np.int8]:
    """train or train_dev for each group."""
    in_train_dev = groups.uniform(seed, "train_dev") < train_dev
    return np.where(in_train_dev, _TRAIN_DEV, _TRAIN).astype(np.int8)


def _take_turns(
    split: npt.NDArray[np.int8],
    groups: Groups,
    place: npt.NDArray[np.float64],
    seed: int,
    folds: Folds,
    train_dev: float,
) -> npt.NDArray[np.int8]:
    """The splits of rows, where one fold of the production groups outside test is dev and the others train."""
    fold = np.floor(groups.uniform(seed, "folds") * folds.count)
    turn = np.where(fold == folds.dev, _DEV, _mixture(groups, seed, train_dev)).astype(np.int8)
    takes_turns = ~np.isnan(place)[groups.codes] & (split != _TEST)
    return np.where(takes_turns, turn[groups.codes], split)


def _shares(params: SplitParams, images: int) -> tuple[float, float]:
    match params.production:
        case ProductionShares(dev=dev, test=test):
            return dev, test
        case ProductionCounts(dev=dev_images, test=test_images):
            _check_counts(params.production, images)
            return dev_images / images, test_images / images
        case unknown:
            assert_never(unknown)


def _check_counts(counts: ProductionCounts, images: int) -> None:
    if counts.dev + counts.test > images:
        raise DataError(
            f"split.production asks for {counts.dev} + {counts.test} images in dev and test, but there are "
            f"only {images} production images: ask for fewer, or use shares"
        )


def _newest(
    place: npt.NDArray[np.float64], shares: tuple[float, float]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The newest are test, those before them dev."""
    dev, test = shares
    in_test = place >= 1 - test
    return (place >= 1 - test - dev) & ~in_test, in_test


def _quotas(
    place: npt.NDArray[np.float64],
    codes: npt.NDArray[Any],
    measurable: npt.NDArray[Any],
    strata: npt.NDArray[Any],
    counts: ProductionCounts,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """dev and test of so many images, each stratum in proportion (largest remainders); groups stay whole."""
    _check_counts(counts, int(measurable.sum()))
    sizes = np.bincount(codes[measurable], minlength=len(place))
    stratum = np.full(len(place), -1)
    # A group that spans strata counts where its first image does.
    stratum[codes[measurable][::-1]] = strata[measurable][::-1]
    totals = np.bincount(stratum[stratum >= 0], weights=sizes[stratum >= 0]).astype(np.float64)
    # Both at once, then dev's part of it: dealt one by one, they could ask for more than a stratum has.
    both = _largest_remainders(counts.dev + counts.test, totals)
    dev_quota = _largest_remainders(counts.dev, both)
    dev, test = np.zeros(len(place), bool), np.zeros(len(place), bool)
    for chosen, quota, direction in ((dev, dev_quota, 1), (test, both - dev_quota, -1)):
        order = np.lexsort((direction * place, stratum))
        order = order[stratum[order] >= 0]
        before = np.cumsum(sizes[order]) - sizes[order]
        starts = np.searchsorted(stratum[order], np.arange(len(totals)))
        before -= before[np.minimum(starts, len(before) - 1)][stratum[order]]
        # In while at least half of the group still fits.
        chosen[order] = before + sizes[order] / 2 <= quota[stratum[order]]
    return dev, test & ~dev


def _largest_remainders(count: int, totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`count` dealt out in proportion to totals, in whole numbers that sum to it (Hamilton's method)."""
    exact = count * totals / totals.sum()
    whole = np.floor(exact)
    missing = int(count - whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:missing]] += 1
    return np.asarray(whole)


def split_counts(splits: Splits) -> dict[str, dict[str, int]]:
    """Images per split and role."""
    production = (splits.manifest["role"] == PRODUCTION).to_numpy(dtype=bool)
    rows = {RAW: ~production, PRODUCTION: production}
    counts = {role: np.bincount(splits.code[flags], minlength=len(OUTCOMES)).tolist() for role, flags in rows.items()}
    return {split: {role: counts[role][code] for role in (RAW, PRODUCTION)} for code, split in enumerate(SPLITS)}
