"""Keep the images of an earlier split where they were."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import SPLITS
from pipeline.names import clean

# A new image that would join frozen groups of different splits.
JOINS = "joins_frozen_groups"


def keep_frozen(
    manifest: pd.DataFrame, codes: npt.NDArray[Any], split: npt.NDArray[np.int8], frozen: pd.DataFrame
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The splits, where a frozen image has its old one, and new images go where their group's frozen ones are.

    Args:
        codes: group number of each row, shape (n,).
        split: as the params alone would have it, shape (n,), positions in SPLITS.
        frozen: columns id, label, split.

    Returns:
        Splits, shape (n,); groups without frozen images, shape (groups,); new images whose group has frozen
        ones in several splits, shape (n,), which fit nowhere.

    Raises:
        DataError: frozen images are gone, or have another label.
    """
    rows = pd.Index(manifest["id"]).get_indexer(pd.Index(frozen["id"]))
    there = frozen[rows >= 0]
    _check_frozen(manifest, frozen.loc[rows < 0, "id"], there, rows[rows >= 0])
    rows = rows[rows >= 0]
    held = pd.Index(SPLITS).get_indexer(pd.Index(there["split"].astype(str))).astype(np.int8)
    groups = int(codes.max(initial=-1)) + 1
    pairs = pd.DataFrame({"group": codes[rows], "split": held}).drop_duplicates()
    several = np.bincount(pairs["group"], minlength=groups) > 1
    place = np.zeros(groups, np.int8)
    place[codes[rows]] = held
    free = np.ones(groups, bool)
    free[codes[rows]] = False
    kept = np.where(free[codes], split, place[codes])
    kept[rows] = held
    joins = several[codes]
    joins[rows] = False
    return kept, free, joins


def _check_frozen(
    manifest: pd.DataFrame, gone: "pd.Series[Any]", there: pd.DataFrame, rows: npt.NDArray[np.intp]
) -> None:
    now = manifest["label"].iloc[rows].astype(str).to_numpy()
    # An earlier split may have labels as they were written, before ingest took them without what nobody sees.
    before = there["label"].astype(str)
    changed = there.loc[before.map({label: clean(label) for label in before.unique()}).to_numpy() != now, "id"]
    problems = []
    if len(gone):
        problems.append(f"{len(gone)} images are missing: {listing(gone)}")
    if len(changed):
        problems.append(f"{len(changed)} images have a different label now: {listing(changed)}")
    if problems:
        raise DataError(
            "split.frozen_from names a split that no longer fits:\n  "
            + "\n  ".join(problems)
            + "\nRestore the images or labels, or freeze a later split"
        )
