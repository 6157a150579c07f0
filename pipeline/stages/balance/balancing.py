"""Choose how often each row of train is used and its weight in the loss: balancing is choosing rows.

Drawing is done here, because imbalanced-learn's random samplers break two laws: they draw in the
order of rows, so that one more image would change the whole choice, and with replacement, so that
one image stands five times while another of its class is never repeated. Here each image has a
number of its own, the hash of its id, and the lowest of a class stay or are repeated first.
What compares pictures is stages/balance/cleaning.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, ParamsError
from pipeline.manifest import MAX_ROWS, PRODUCTION, TRAIN, is_sorted_by_id
from pipeline.randomness import Ids, keyed_uniform
from pipeline.stages.balance.cleaning import clean
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.balance.strategies import STRATEGIES
from pipeline.stages.balance.targets import Counts

PART = 1_000_000
# Values of a column within which classes are weighed.
MAX_VALUES = 1_000

Features = Callable[[npt.NDArray[np.intp]], npt.NDArray[np.uint8]]
IdsAt = Callable[[npt.NDArray[np.intp]], Ids]


@dataclass(frozen=True)
class Chosen:
    """The balanced rows, shape (m,) each.

    rows: positions in the manifest, sorted by id; a repeat means that the row counts twice.
    copies: 0 at a row's first appearance, 1 at its second, and so on.
    weights: of a row's loss; their mean is 1.
    """

    rows: npt.NDArray[np.intp]
    copies: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


def choose_rows(
    manifest: pd.DataFrame, params: BalanceParams, features: Features, ids_at: IdsAt | None = None
) -> Chosen:
    """The balanced rows of train, a function of its rows and not of their order.

    Args:
        manifest: columns id (unique), label, role and split, and the strategy's own; what is not in train does not
            count. Without the column id the rows are sorted by it.
        ids_at: positions of rows, ascending -> their ids; None: those of the manifest's column.
        features: positions of n rows to the features of their pictures, shape (n, f), whole numbers; asked by
            strategies that compare pictures.

    Raises:
        ParamsError: the strategy would give more rows, or compare more pictures, than are allowed; or its column has
            too many values.
        DataError: train is empty, or a class has too few rows for the strategy, or would lose all.
    """
    places = train_rows(manifest)
    if not len(places):
        raise DataError("the manifest has no rows in train: run `dvc repro split`")
    cells = _Cells.of(manifest, places)
    strategy = STRATEGIES.of(params.strategy)
    if strategy.weighs:
        column = strategy.within(params.strategy)
        values = None if column is None else _values(manifest, places, column)
        weights = _class_weights(cells, params.production_weight, values)
        return Chosen(places, np.zeros(len(places), np.int32), weights)
    kept = np.ones(len(places), dtype=bool)
    if strategy.sampler is not None:
        kept = clean(cells.of_rows // 2, cells.names, params.strategy, lambda: features(places))
    return _repeated(places, _draw(ids_at or manifest["id"].iloc.__getitem__, places, cells, kept, params))


def train_rows(manifest: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Positions of the rows of train, sorted by id."""
    places = np.flatnonzero(manifest["split"] == TRAIN)
    if "id" not in manifest or is_sorted_by_id(manifest):
        return places
    return places[manifest["id"].iloc[places].argsort(kind="stable")]


def count_classes(
    manifest: pd.DataFrame, rows: npt.NDArray[np.intp], weights: npt.NDArray[np.floating[Any]]
) -> pd.DataFrame:
    """A row for each class, named and sorted by it: rows, their weight, and the weight of those from production.

    Args:
        rows: positions in the manifest, shape (m,).
        weights: shape (m,).
    """
    cells = _Cells.of(manifest, rows)
    weight = np.bincount(cells.of_rows, weights, minlength=2 * len(cells.names)).reshape(-1, 2)
    columns = {"rows": cells.counts().sum(axis=1), "weight": weight.sum(axis=1), "production": weight[:, 1]}
    return pd.DataFrame(columns, index=pd.Index(cells.names, name="label"))


@dataclass(frozen=True)
class _Cells:
    """Each row's class and role: number 2 x class for raw, one more for production."""

    names: list[str]
    of_rows: npt.NDArray[np.int32]

    @classmethod
    def of(cls, manifest: pd.DataFrame, places: npt.NDArray[np.intp]) -> "_Cells":
        labels = manifest["label"].iloc[places].astype("category").cat.remove_unused_categories()
        names = sorted(labels.cat.categories)
        codes = labels.cat.reorder_categories(names).cat.codes.to_numpy().astype(np.int32)
        production = (manifest["role"].iloc[places] == PRODUCTION).to_numpy()
        return cls([str(name) for name in names], 2 * codes + production)

    def counts(self, kept: npt.NDArray[np.bool_] | None = None) -> Counts:
        """Rows of each class and role, shape (k, 2)."""
        rows = self.of_rows if kept is None else self.of_rows[kept]
        return np.bincount(rows, minlength=2 * len(self.names)).reshape(-1, 2)


def _repeated(places: npt.NDArray[np.intp], times: Counts) -> Chosen:
    rows = np.repeat(places, times)
    # Counted up from the first of each row's repeats: by steps of one, and back where a row begins.
    copies = np.ones(len(rows), np.int32)
    kept = times[times > 0]
    starts = np.cumsum(kept) - kept
    copies[starts] -= np.append(0, kept[:-1]).astype(np.int32)[: len(starts)]
    copies[:1] = 0
    return Chosen(rows, np.cumsum(copies, dtype=np.int32), np.ones(len(rows), np.float32))


def _class_weights(
    cells: _Cells, production_weight: float, values: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[np.float32]:
    """n / (k n_c): scikit-learn's `class_weight="balanced"` (King and Zeng, 2001).

    A production row counts `production_weight` times in n_c and weighs so many times as much, so
    that each class weighs n / k all the same.

    Args:
        values: shape (n,), from 0: then n_v / (k_v n_cv), of the rows and classes of each value.
    """
    count = len(cells.names)
    counts_as = np.where(cells.of_rows % 2 == 1, production_weight, 1.0)
    if values is None:
        counted = np.bincount(cells.of_rows // 2, counts_as, minlength=count)
        of_cells = len(counts_as) / np.count_nonzero(counted) / np.repeat(counted, 2)
        of_cells *= np.tile([1.0, production_weight], count)
        return of_cells.astype(np.float32)[cells.of_rows]
    pairs = values * count + cells.of_rows // 2
    counted = np.bincount(pairs, counts_as, minlength=(values.max(initial=0) + 1) * count).reshape(-1, count)
    rows, classes = np.bincount(values), (counted > 0).sum(axis=1)
    weights = (rows / np.maximum(classes, 1))[values] / counted.reshape(-1)[pairs] * counts_as
    return np.asarray(weights, np.float32)


def _values(manifest: pd.DataFrame, places: npt.NDArray[np.intp], column: str) -> npt.NDArray[np.intp]:
    """The value of a column in each row of train, as numbers from 0, in the order of the values."""
    values = pd.factorize(manifest[column].iloc[places].astype(str), sort=True)[0].astype(np.intp)
    if len(np.unique(values)) > MAX_VALUES:
        raise ParamsError(
            f"balance.strategy weights_within: the column {column} has {len(np.unique(values)):,} values in "
            f"train, but may have at most {MAX_VALUES:,}: choose a column that groups images into kinds"
        )
    return values


def _draw(
    ids_at: IdsAt,
    places: npt.NDArray[np.intp],
    cells: _Cells,
    kept: npt.NDArray[np.bool_],
    params: BalanceParams,
) -> Counts:
    """How often each row stands, shape (n,).

    The rows of a class and role differ by one at most; which have one more, their hashes say.
    """
    counts = cells.counts(kept)
    quotas = _quotas(counts, params).reshape(-1)
    whole, rest = np.divmod(quotas, np.maximum(counts.reshape(-1), 1))
    times = np.where(kept, whole[cells.of_rows], 0)
    drawn = np.flatnonzero(kept & (rest > 0)[cells.of_rows])
    # In parts, because Python strings take ten times the memory of Arrow's.
    parts = np.array_split(places[drawn], len(drawn) // PART + 1)
    chance = np.concatenate([keyed_uniform(params.seed, "balance", ids_at(part)) for part in parts])
    # Small numbers are sorted by radix, ten times faster.
    order = np.argsort(cells.of_rows[drawn].astype(np.uint16 if len(rest) < 2**16 else np.uint32), kind="stable")
    ends = np.cumsum(np.where(rest > 0, counts.reshape(-1), 0))
    for cell in np.flatnonzero(rest):
        members = order[ends[cell] - counts.reshape(-1)[cell] : ends[cell]]
        lowest = np.argpartition(chance[members], rest[cell] - 1)[: rest[cell]]
        times[drawn[members[lowest]]] += 1
    return times


def _quotas(counts: Counts, params: BalanceParams) -> Counts:
    """Rows that each class and role will have, shape (k, 2)."""
    raw, counted = counts[:, 0], counts[:, 1].astype(np.float64) * params.production_weight
    sizes: Counts = raw + _rounded(counted)
    wanted = STRATEGIES.of(params.strategy).sizes(params.strategy, sizes)
    if wanted.sum() > max(MAX_ROWS, counts.sum()):
        raise ParamsError(
            f"balance would give {wanted.sum():,} rows ({len(wanted):,} classes of up to {wanted.max():,}), "
            f"but at most {MAX_ROWS:,} are allowed: lower balance.strategy.target or balance.production_weight, "
            "or use the strategy weights"
        )
    from_production = _rounded(wanted * (counted / (raw + counted)))
    return np.stack([wanted - from_production, from_production], axis=1)


def _rounded(values: npt.NDArray[np.float64]) -> Counts:
    return np.floor(values + 0.5).astype(np.int64)
