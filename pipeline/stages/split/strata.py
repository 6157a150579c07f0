"""Classes and strata: which can be measured, and whether dev and test have enough images of each."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.issues import ISSUES
from pipeline.manifest import DEV, EXTRA_COLUMNS, SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.stages.split.labelled import Labelled
from pipeline.stages.split.params import ProductionShares, SplitParams

Flags = npt.NDArray[np.bool_]


def check_classes(
    labelled: Labelled, production: Flags, unlabelled: Flags, params: SplitParams
) -> tuple[Flags, list[str]]:
    """Which rows belong to classes that are taken out, and which classes stay without being measured.

    Args:
        production, unlabelled: shape (n,).

    Raises:
        DataError: fewer than two classes, or one-sided ones that params refuse.
    """
    labels, few = labelled.names, 1 if labelled.sets is not None else 2
    with_raw = labelled.counts(~production & ~unlabelled) > 0
    with_production = labelled.counts(production & ~unlabelled) > 0
    present = [label for label, there in zip(labels, with_raw | with_production, strict=True) if there]
    if len(present) < few:
        raise DataError(
            f"a classifier needs at least two classes, but the images have {len(present)} "
            f"({listing(present)}): put class folders directly under a source's path"
        )
    raw_only = with_raw & ~with_production
    # Where there is no raw image at all, no class lacks any.
    production_only = with_production & ~with_raw & with_raw.any()
    names = np.asarray(labels, dtype=object)
    if params.one_sided_classes == "error" and (raw_only | production_only).any():
        raise DataError(_one_sided_message(list(names[raw_only]), list(names[production_only])))
    if params.one_sided_classes == "drop":
        both = list(names[(with_raw | with_production) & ~raw_only & ~production_only])
        if len(both) < few:
            raise DataError(
                f"split.one_sided_classes drop leaves {len(both)} classes ({listing(both)}) with raw and "
                "production images, but a classifier needs two: add images, or set it to train"
            )
        return labelled.having(raw_only | production_only), []
    if not with_production.any():
        raise DataError("no class has production images, so dev and test cannot measure any: add some")
    return np.zeros(len(labelled.codes), bool), list(names[raw_only])


def _one_sided_message(raw_only: list[str], production_only: list[str]) -> str:
    problems = []
    if raw_only:
        problems.append(
            f"without production images, so dev and test cannot measure them: {listing(raw_only)}. "
            "Add production images of these classes, or remove their raw folders"
        )
    if production_only:
        problems.append(
            f"without raw images: {listing(production_only)}. Are they spelt differently in the raw sources?"
        )
    return "one-sided classes:\n  " + "\n  ".join(problems) + "\nOr set split.one_sided_classes to drop or train"


def stratum_column(name: str, columns: Collection[str]) -> str:
    """The manifest's column that `split.stratify_by` means: of a metadata.csv, else an issue."""
    extra_columns = f"{EXTRA_COLUMNS}{name}"
    return name if name in ISSUES and extra_columns not in columns else extra_columns


def strata_of(manifest: pd.DataFrame, stratify_by: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number of each row's stratum, shape (n,): its label and its values in the columns named.

    Raises:
        DataError: the manifest has no such column.
    """
    columns = [stratum_column(name, manifest.columns) for name in stratify_by]
    missing = [name for name, column in zip(stratify_by, columns, strict=True) if column not in manifest.columns]
    if missing:
        known = [column.removeprefix(EXTRA_COLUMNS) for column in manifest.columns if column.startswith(EXTRA_COLUMNS)]
        raise DataError(
            f"split.stratify_by names columns that no metadata.csv has: {listing(missing)}; "
            f"there are {listing(known, 20) or 'none'}, and issues: {listing(ISSUES, 20)}"
        )
    if not columns:
        return manifest["label"].astype("category").cat.codes.to_numpy().astype(np.int64)
    return np.asarray(manifest.groupby(["label", *columns], observed=True, sort=True).ngroup(), np.int64)


def top_up(
    split: npt.NDArray[np.int8],
    place: npt.NDArray[np.float64],
    codes: npt.NDArray[Any],
    movable: Flags,
    measurable: Flags,
    strata: npt.NDArray[np.int64] | Labelled,
    params: SplitParams,
) -> npt.NDArray[np.int8]:
    """The splits of rows, with more of train in dev and test where a stratum lacks the minimum there.

    Those whose place is nearest to the threshold move: they are the ones that larger shares would have
    taken, too. A stratum that is too small for both minima stays as it is, and `small_strata` and
    `check_sizes` name it.

    Args:
        split: positions in SPLITS, shape (n,), as are codes (of groups), measurable and strata; Labelled: each label
            is a stratum, of which a row may have several.
        place, movable: of each group; only groups that lie in one split may be movable.
    """
    rows = np.flatnonzero(measurable)
    if isinstance(strata, Labelled):
        members_of = strata.members(rows)
    else:
        rows = rows[np.argsort(strata[rows], kind="stable")]
        members_of = np.split(rows, np.flatnonzero(np.diff(strata[rows])) + 1)
    moved, goes = np.zeros(len(place), bool), np.zeros(len(place), np.int8)
    for target, direction in ((SPLITS.index(DEV), 1), (SPLITS.index(TEST), -1)):
        for members in members_of:
            if len(members) <= 2 * params.min_per_class:
                continue
            group = codes[members]
            # Looked up anew for each stratum, because a group that spans several helps all of them.
            now = np.where(moved[group], goes[group], split[members])
            lacking = params.min_per_class - np.count_nonzero(now == target)
            if lacking > 0:
                spare = (now <= SPLITS.index(TRAIN_DEV)) & movable[group]
                groups, sizes = np.unique(group[spare], return_counts=True)
                order = np.argsort(direction * place[groups], kind="stable")
                nearest = groups[order[: np.searchsorted(np.cumsum(sizes[order]), lacking) + 1]]
                moved[nearest], goes[nearest] = True, target
    return np.where(moved[codes], goes[codes], split)


def small_strata(
    manifest: pd.DataFrame,
    strata: npt.NDArray[np.int64],
    split: npt.NDArray[np.int8],
    measurable: Flags,
    params: SplitParams,
) -> list[str]:
    """A line for each stratum that has too few images in dev or test; classes alone are left to `check_sizes`."""
    if not params.stratify_by:
        return []
    rows = np.flatnonzero(measurable)
    numbers, first, totals = np.unique(strata[rows], return_index=True, return_counts=True)
    problems = []
    for name in (DEV, TEST):
        inside = rows[split[rows] == SPLITS.index(name)]
        found = np.bincount(strata[inside], minlength=int(numbers.max()) + 1)[numbers]
        for stratum in np.flatnonzero(found < params.min_per_class):
            row = manifest.iloc[rows[first[stratum]]]
            values = ", ".join(f"{column} {row[stratum_column(column, row.index)]!r}" for column in params.stratify_by)
            problems.append(
                f"class {row['label']} with {values} has {found[stratum]} production images in {name}, "
                f"split.min_per_class is {params.min_per_class} (of {totals[stratum]} in all)"
            )
    return problems


def check_sizes(
    labelled: Labelled,
    split: npt.NDArray[np.int8],
    measurable: Flags,
    unmeasured: Sequence[str],
    problems: Sequence[str],
    params: SplitParams,
) -> None:
    """Raise DataError unless every split and class has enough images.

    Args:
        split: shape (n,), positions in SPLITS; others are in no split.
        problems: found before, reported with those found here.

    Raises:
        DataError: naming each class that lacks images, and how many there are.
    """
    labels, what = labelled.names, "class" if labelled.sets is None else "label"
    counts = {name: labelled.counts(split == number) for number, name in enumerate(SPLITS)}
    totals = labelled.counts(measurable)
    there = totals + sum(counts.values()) > 0
    found = [
        f"{what} {label} has {counts[name][code]} production images in {name}, split.min_per_class is "
        f"{params.min_per_class} (of {totals[code]} in all{_advice(name, params)})"
        for name in (DEV, TEST)
        for code, label in enumerate(labels)
        if there[code] and counts[name][code] < params.min_per_class and label not in unmeasured
    ]
    found += [
        f"{what} {label} has no image in train"
        for code, label in enumerate(labels)
        if there[code] and not counts[TRAIN][code]
    ]
    if not (split == SPLITS.index(TRAIN_DEV)).any():
        images = int((split == SPLITS.index(TRAIN)).sum())
        found.append(f"train_dev is empty: split.train_dev is {params.train_dev} of {images} images")
    if problems or found:
        raise DataError("the splits are too small:\n  " + "\n  ".join([*problems, *found]))


def _advice(split: str, params: SplitParams) -> str:
    if not isinstance(params.production, ProductionShares):
        return ""
    share = params.production.dev if split == DEV else params.production.test
    if params.folds is not None and split == DEV:
        share = (1 - params.production.test) / params.folds.count
    return f"; about {enough_images(params.min_per_class, share)} give enough"


def enough_images(needed: int, share: float) -> int:
    """Fewest images of which a share holds `needed` even two standard deviations below its mean (binomial).

    The root of n share - 2 sqrt(n share (1 - share)) = needed.
    """
    deviation = np.sqrt(share * (1 - share))
    return int(np.ceil(((deviation + np.sqrt(deviation**2 + share * needed)) / share) ** 2))
