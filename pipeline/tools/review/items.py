"""The images to review, in the order of what a decision on each is worth. Those of test are never among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import DEV, NO_LABEL
from pipeline.randomness import keyed_uniform

KINDS = ("labels", "errors", "queue")


@dataclass(frozen=True)
class Item:
    """An image to review: where its picture is, its label in the source, and what the model says of it."""

    sha256: str
    id: str
    shard: str
    row: int
    source: str
    role: str
    split: str
    label: str
    predicted: str
    confidence: float | None
    is_error: bool | None


def items(kind: str, seed: int) -> tuple[list[Item], list[str]]:
    """The images of a kind, one per content, and the labels of all sources.

    Raises:
        MissingInputError: the stages that the kind needs have not run.
        DataError: there is nothing to review.
    """
    chosen = {"labels": _label_issues, "errors": _errors, "queue": _unlabelled}[kind](seed)
    rows = catalogue.CURATED.read(Path(catalogue.CURATED.path)).set_index("id")
    closed = set(catalogue.SPLIT_TEST.read(Path(catalogue.SPLIT_TEST.path))["id"])
    chosen = chosen[chosen["id"].isin(rows.index) & ~chosen["id"].isin(closed)]
    chosen = chosen.join(rows[["sha256", "shard", "row", "source", "role"]], on="id").drop_duplicates("sha256")
    if chosen.empty:
        raise DataError(f"there is nothing to review for {kind}: see `pipeline summary`")
    labels = _source_labels()
    columns = ["sha256", "id", "shard", "row", "source", "role", "split", "predicted", "confidence", "is_error"]
    found = [_item(dict(zip(columns, values, strict=True)), labels) for values in chosen[columns].to_numpy().tolist()]
    return found, sorted({*labels.values()} - {NO_LABEL})


def _item(row: Mapping[str, Any], labels: Mapping[str, str]) -> Item:
    names = {name: str(row[name]) for name in ("sha256", "id", "shard", "source", "role", "split", "predicted")}
    confidence = None if row["confidence"] is None else float(row["confidence"])
    return Item(**names, row=int(row["row"]), label=labels[row["id"]], confidence=confidence, is_error=row["is_error"])


def _source_labels() -> dict[str, str]:
    """Id -> label as the source has it: decisions are on these, before `problem` makes classes of them."""
    folders = catalogue.INGESTED_SOURCES.read(Path(catalogue.INGESTED_SOURCES.path))
    tables = [read()[0] for read in folders.values()]
    return {key: str(label) for table in tables for key, label in zip(table["id"], table["label"], strict=True)}


def _label_issues(seed: int) -> pd.DataFrame:
    table: pd.DataFrame = catalogue.LABEL_ISSUES.read(Path(catalogue.LABEL_ISSUES.path))
    table = table.sort_values(["quality", "id"]).rename(columns={"suggested": "predicted"})
    return table[["id", "split", "predicted"]].assign(confidence=None, is_error=None)


def _errors(seed: int) -> pd.DataFrame:
    """dev's errors and as many right ones, drawn and mixed by keyed chance: errors alone would flatter dev."""
    table: pd.DataFrame = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    table = table[table["split"].astype(str) == DEV].reset_index(drop=True)
    wrong = (table["predicted"].astype(str) != table["label"].astype(str)).to_numpy()
    drawn = table.assign(is_error=wrong, key=keyed_uniform(seed, "review", table["id"]))
    right = drawn[~wrong].nsmallest(int(wrong.sum()), "key")
    mixed = pd.concat([drawn[wrong], right]).sort_values(["key", "id"])
    return mixed[["id", "split", "predicted", "confidence", "is_error"]]


def _unlabelled(seed: int) -> pd.DataFrame:
    table: pd.DataFrame = catalogue.SPLIT_UNUSED.read(Path(catalogue.SPLIT_UNUSED.path))
    table = table[table["label"].astype(str) == NO_LABEL]
    table = table.assign(key=keyed_uniform(seed, "review", table["id"])).sort_values(["key", "id"])
    return table[["id", "split"]].assign(predicted="", confidence=None, is_error=None)
