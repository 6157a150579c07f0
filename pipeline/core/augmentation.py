"""The plan of copies: how many variants each row of train gets."""

from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core.randomness import keyed_uniform
from pipeline.errors import ParamsError, listing
from pipeline.params import PerClass, PerImage, UpTo


def plan_copies(rows: pd.DataFrame, copies: PerImage | PerClass | UpTo, seed: int) -> pd.DataFrame:
    """Each row and its variants, sorted by id and copy number.

    Of the rows of one image the first keeps copy number 0, the image itself; all others are numbered
    on, so that rows that balancing repeated become pictures of their own. A number says which key a
    variant is drawn from, so that a longer plan starts with the pictures of a shorter one.
    """
    times = np.repeat(np.arange(len(rows)), 1 + _variants(rows, copies, seed))
    repeated = rows.iloc[times].sort_values(["id", "copy"], kind="stable", ignore_index=True)
    return repeated.assign(copy=repeated.groupby("id").cumcount().astype(np.int32))


def _variants(rows: pd.DataFrame, copies: PerImage | PerClass | UpTo, seed: int) -> npt.NDArray[np.int64]:
    """How many variants each row gets, shape (n,)."""
    label = rows["label"].astype("category").cat.remove_unused_categories()
    names, codes = label.cat.categories.astype(str).tolist(), label.cat.codes.to_numpy()
    match copies:
        case PerImage(count=count):
            return np.full(len(rows), count, np.int64)
        case PerClass(counts=counts, otherwise=otherwise):
            unknown = sorted(set(counts) - set(names))
            if unknown:
                raise ParamsError(
                    f"augment.copies.counts names classes that train does not have: {listing(unknown)}; "
                    f"it has {listing(names, 20)}"
                )
            return np.array([counts.get(name, otherwise) for name in names], np.int64)[codes]
        case UpTo(rows=target):
            return _dealt(rows, codes, np.maximum(0, target - np.bincount(codes, minlength=len(names))), seed)
        case unknown_kind:
            assert_never(unknown_kind)


def _dealt(
    rows: pd.DataFrame, codes: npt.NDArray[Any], needed: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """So many variants of each class, evenly over its rows; who gets one more is a matter of keyed chance."""
    keys = rows["id"].astype(str) + "#" + rows["copy"].astype(str)
    order = np.lexsort((keyed_uniform(seed, "copies", keys), codes))
    sizes = np.bincount(codes, minlength=len(needed))
    rank = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[codes[order]]
    each, more = np.divmod(needed, np.maximum(sizes, 1))
    variants = np.empty(len(rows), np.int64)
    variants[order] = each[codes[order]] + (rank < more[codes[order]])
    return variants
