"""Repeat, drop or weight rows of train so that its classes count alike; other splits do not change."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import ParamsError, listing
from pipeline.images.pixels import decode
from pipeline.manifest import EXTRA_COLUMNS, NO_LABEL, SPLIT, TRAIN, select_columns
from pipeline.problem.params import Problem
from pipeline.problem.problem import is_regression
from pipeline.problem.quantities import binned_texts, equal_edges, numbers_among
from pipeline.stage import Stage
from pipeline.stages.balance.balancing import choose_rows, count_classes, train_rows
from pipeline.stages.balance.cleaning import picture_features
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.balance.strategies import STRATEGIES
from pipeline.store.manifests import TableSlice
from pipeline.store.row_parts import RowParts
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

# All other columns go from file to file a part at a time. Of these, those that take memory stay there, too.
COLUMNS_READ = ("id", "label", "role", "shard", "row", "split")
STAY = ("id", "shard", "row")
# Columns that are in every manifest and say of what kind an image is; beside those of people's tables, and issues.
KINDS_OF_IMAGES = ("source", "role", "format")
# Pictures a task reads: far more work than handing it to a process.
PICTURES = 1000
# Parts of one width in which numbers of train are counted.
PARTS = 8


@dataclass(frozen=True)
class BalanceOutputs:
    """Rows of train with copy number and weight, and class counts before and after."""

    manifest: TableSlice
    counts: pd.DataFrame
    metrics: dict[str, Any]

    @property
    def summary(self) -> str:
        before, after = self.metrics["before"], self.metrics["after"]
        times = f"{after['weighted_imbalance']:.3g}"
        sizes = "all classes weigh the same" if times == "1" else f"largest class {times} times the smallest by weight"
        return f"{before['rows']} rows -> {after['rows']}, {sizes}, {after['production_share']:.0%} of it production"


def balance(
    manifest: RowParts, originals: ShardReader, params: BalanceParams, problem: Problem, engine: Engine
) -> BalanceOutputs:
    """The balanced rows of train.

    Raises:
        ParamsError: the strategy would give more rows, or compare more pictures, than are allowed.
        DataError: train is empty, or a class has too few rows for the strategy.
    """
    columns = [*COLUMNS_READ, *_further_column(manifest, params)]
    in_order = "id" not in manifest.schema.names or manifest.ascending("id")
    looked_at = select_columns(manifest, SPLIT, columns, stay=STAY if in_order else STAY[1:])
    if is_regression(problem):
        looked_at = _with_parts(looked_at)
    chosen = choose_rows(
        looked_at,
        params,
        lambda rows: _features(manifest.take(rows, ["shard", "row"]).to_pandas(), originals, engine),
        lambda rows: manifest.take(rows, ["id"])["id"].to_pandas(),
    )
    train = train_rows(looked_at)
    before = count_classes(looked_at, train, np.ones(len(train)))
    after = count_classes(looked_at, chosen.rows, chosen.weights)
    return BalanceOutputs(
        manifest=TableSlice(
            manifest, chosen.rows, {"copy": pa.array(chosen.copies), "weight": pa.array(chosen.weights)}
        ),
        counts=_counts(before, after),
        metrics={"before": _summed(before), "after": _summed(after)},
    )


def _with_parts(manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows with the part of train's range in which their number lies as label.

    Nothing is evened out among parts: they count what train has, and production weighs alike in each.
    """
    labels = manifest["label"].astype(str)
    known = labels.unique().tolist()
    numbers = numbers_among(labels[manifest["split"].astype(str) == TRAIN].tolist(), NO_LABEL)
    edges = equal_edges(numbers, PARTS) if len(numbers) else []
    texts = dict(zip(known, binned_texts(known, edges, NO_LABEL), strict=True))
    return manifest.assign(label=labels.map(texts).astype("category"))


def _further_column(manifest: RowParts, params: BalanceParams) -> list[str]:
    """The column that the strategy weighs within, if it does.

    Raises:
        ParamsError: there is none, or it holds no texts.
    """
    column = STRATEGIES.of(params.strategy).within(params.strategy)
    if column is None:
        return []
    fits = [
        name
        for name, kind in zip(manifest.schema.names, manifest.schema.types, strict=True)
        if name in KINDS_OF_IMAGES or name.startswith(EXTRA_COLUMNS) or pa.types.is_boolean(kind)
    ]
    if column not in fits:
        own = f"{EXTRA_COLUMNS}{column}"
        hint = f", did you mean {own}?" if own in fits else ""
        raise ParamsError(
            f"balance.strategy weights_within names the column {column!r}, which does not group images into "
            f"kinds{hint}; you can use {listing(fits, 30)}"
        )
    return [] if column in COLUMNS_READ else [column]


def _features(rows: pd.DataFrame, originals: ShardReader, engine: Engine) -> npt.NDArray[np.uint8]:
    located = list(zip(rows["shard"].astype(str), rows["row"].tolist(), strict=True))
    tasks = [located[start : start + PICTURES] for start in range(0, len(located), PICTURES)]
    return np.concatenate(engine.map(FeatureReader(originals), tasks, "balance", size=len))


@dataclass(frozen=True)
class FeatureReader:
    """Places of pictures -> their features; it travels to worker processes."""

    originals: ShardReader

    def __call__(self, located: list[tuple[str, int]]) -> npt.NDArray[np.uint8]:
        return np.stack([picture_features(decode(self.originals.image(shard, row))) for shard, row in located])


def _counts(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Two rows per class; `bar` names them so that a plot shows them side by side, in order."""
    table = pd.concat([before.assign(when="before", bar="1 before"), after.assign(when="after", bar="2 after")])
    table = table.reset_index().sort_values(["label", "bar"], ignore_index=True)
    return table.assign(bar=table["label"] + ", " + table["bar"])[["label", "when", "rows", "weight", "bar"]]


def _summed(classes: pd.DataFrame) -> dict[str, float]:
    return {
        "rows": int(classes["rows"].sum()),
        "imbalance": float(classes["rows"].max() / classes["rows"].min()),
        "weighted_imbalance": float(classes["weight"].max() / classes["weight"].min()),
        "production_share": float(classes["production"].sum() / classes["weight"].sum()),
    }


STAGE = Stage(
    name="balance",
    function=balance,
    params={"params": "balance", "problem": "problem"},
    reads={"manifest": catalogue.SPLIT_ROWS, "originals": catalogue.ORIGINALS},
    writes={
        "manifest": catalogue.BALANCED_TABLE,
        "counts": catalogue.BALANCE_COUNTS,
        "metrics": catalogue.BALANCE_METRICS,
    },
)
