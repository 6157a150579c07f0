"""Plan the copies: how many variants each row of train gets, and their weights. No pixels here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.errors import ParamsError, listing
from pipeline.manifest import MAX_ROWS
from pipeline.randomness import keyed_uniform
from pipeline.registry import Choice, Registry
from pipeline.section import EACH_ONCE, Label, Section

P = TypeVar("P", bound="Copies")
Counts = npt.NDArray[np.int64]

MAX_COPIES = 100
Variants = Annotated[int, Field(ge=0, le=MAX_COPIES)]


class Copies(Section):
    """Params of any copy policy."""

    name: str


class PerImage(Copies):
    """The same number of variants for each row."""

    name: Literal["per_image"]
    count: Variants


class PerClass(Copies):
    """A number of variants per row for each class named, and `otherwise` for the others."""

    name: Literal["per_class"]
    counts: Annotated[Mapping[Label, Variants], EACH_ONCE]
    otherwise: Variants


class UpTo(Copies):
    """Enough variants to bring each class to `rows` rows, spread evenly over its rows."""

    name: Literal["up_to"]
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)]


@dataclass(frozen=True)
class Train:
    """The rows of train (n,), the names of its classes (k,), and each row's class, a position among them (n,)."""

    rows: pd.DataFrame
    names: list[str]
    codes: npt.NDArray[Any]


@dataclass(frozen=True)
class CopiesRow(Choice[P]):
    """A policy.

    variants: (params, train, seed) -> how many variants each row gets, shape (n,).
    makes_any: whether it asks for any, by its params alone.
    """

    variants: Callable[[P, Train, int], Counts]
    makes_any: Callable[[P], bool]


def plan_copies(rows: pd.DataFrame, copies: Copies, seed: int) -> pd.DataFrame:
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
    times = 1 + COPIES.of(copies).variants(copies, Train(rows, names, codes), seed)
    if times.sum() > MAX_ROWS:
        raise ParamsError(
            f"augment.copies would give {times.sum():,} rows, but a manifest has at most {MAX_ROWS:,}: ask for fewer"
        )
    weights = rows["weight"].to_numpy() * _factors(rows["weight"].to_numpy(), codes, times)[codes]
    repeated = rows.assign(weight=weights.astype(np.float32)).iloc[np.repeat(np.arange(len(rows)), times)]
    planned = repeated.sort_values(["id", "copy"], kind="stable", ignore_index=True)
    return planned.assign(copy=planned.groupby("id").cumcount().astype(np.int32))


def _per_image(params: PerImage, train: Train, seed: int) -> Counts:
    return np.full(len(train.rows), params.count, np.int64)


def _per_class(params: PerClass, train: Train, seed: int) -> Counts:
    unknown = sorted(set(params.counts) - set(train.names))
    if unknown:
        raise ParamsError(
            f"augment.copies.counts names classes that train does not have: {listing(unknown)}; "
            f"its classes are {listing(train.names, 20)}"
        )
    counts = [params.counts.get(name, params.otherwise) for name in train.names]
    return np.take(np.array(counts, np.int64), train.codes)


def _up_to(params: UpTo, train: Train, seed: int) -> Counts:
    sizes = np.bincount(train.codes, minlength=len(train.names))
    return _dealt(train.rows, train.codes, np.maximum(0, params.rows - sizes), seed)


def _some_per_image(params: PerImage) -> bool:
    return params.count > 0


def _some_per_class(params: PerClass) -> bool:
    return any([*params.counts.values(), params.otherwise])


def _some_up_to(params: UpTo) -> bool:
    return True


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


COPIES: Registry[CopiesRow[Any]] = Registry(
    (
        CopiesRow(PerImage, _per_image, _some_per_image),
        CopiesRow(PerClass, _per_class, _some_per_class),
        CopiesRow(UpTo, _up_to, _some_up_to),
    )
)
