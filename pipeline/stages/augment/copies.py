"""The plan of copies: how many variants each row of train gets, and what they weigh. No pixels here."""

from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import ParamsError, listing
from pipeline.randomness import keyed_uniform
from pipeline.stages.augment.params import PerClass, PerImage, UpTo

# As in stages/balance/balancing.py: what a manifest holds.
MAX_ROWS = 20_000_000


def plan_copies(rows: pd.DataFrame, copies: PerImage | PerClass | UpTo, seed: int) -> pd.DataFrame:
    """Each row and its variants, sorted by id and copy number; all columns are the parent's but two.

    copy: of the rows of one image the first keeps 0, the image itself; all others are numbered on, so
    that rows that balancing repeated become pictures of their own. The number says which key a variant is
    drawn from, so that a longer plan starts with the pictures of a shorter one.

    weight: the parent's. But where balancing gave classes different weights, each class keeps its share
    of the weight whatever its number of copies; otherwise what one evens out, the other would do again.

    Raises:
        ParamsError: a class that train does not have, or more rows than a manifest holds.
    """
    label = rows["label"].astype("category").cat.remove_unused_categories()
    names, codes = label.cat.categories.astype(str).tolist(), label.cat.codes.to_numpy()
    times = 1 + _variants(rows, names, codes, copies, seed)
    if times.sum() > MAX_ROWS:
        raise ParamsError(
            f"augment.copies would give {times.sum():,} rows, and a manifest holds {MAX_ROWS:,}: ask for fewer"
        )
    weights = rows["weight"].to_numpy() * _factors(rows["weight"].to_numpy(), codes, times)[codes]
    repeated = rows.assign(weight=weights.astype(np.float32)).iloc[np.repeat(np.arange(len(rows)), times)]
    planned = repeated.sort_values(["id", "copy"], kind="stable", ignore_index=True)
    return planned.assign(copy=planned.groupby("id").cumcount().astype(np.int32))


def _variants(
    rows: pd.DataFrame,
    names: list[str],
    codes: npt.NDArray[Any],
    copies: PerImage | PerClass | UpTo,
    seed: int,
) -> npt.NDArray[np.int64]:
    """How many variants each row gets, shape (n,)."""
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
            return np.take(np.array([counts.get(name, otherwise) for name in names], np.int64), codes)
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
    each, more = np.divmod(needed, sizes)
    variants = np.empty(len(rows), np.int64)
    variants[order] = each[codes[order]] + (rank < more[codes[order]])
    return variants


def _factors(
    weights: npt.NDArray[np.floating[Any]], codes: npt.NDArray[Any], times: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """What each class's weights are multiplied by, shape (classes,): 1 unless balancing weighed classes."""
    before = np.bincount(codes)
    mean = np.bincount(codes, weights) / before
    if np.ptp(mean) <= 1e-3 * mean.max(initial=0):
        return np.ones(len(before))
    after = np.bincount(codes, times).astype(np.int64)
    return np.asarray((before * times.sum()) / (after * len(times)))
