"""The images to review, in the order of what a decision on each is worth. Those of test are never among them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.vectors import image_vectors
from pipeline.errors import DataError
from pipeline.manifest import DEV, NO_LABEL
from pipeline.randomness import keyed_uniform
from pipeline.tools.lineage import check_is_of_model
from pipeline.tools.outliers import find_outliers
from pipeline.tools.review.pairs import doubtful_pairs
from pipeline.workers.engine import Engine, choose_workers

KINDS = ("labels", "copies", "errors", "outliers", "queue")
# How a pair was found, as the page says it.
_FOUND = {"near_duplicate": "near-duplicates", "scene": "one scene"}


@dataclass(frozen=True)
class Item:
    """An image to review: where its picture is, its label in the source, and what the model says of it.

    other: of a pair the image beside it, of which is asked whether it shows the same. found_as: how the pair was found.
    """

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
    other: "Item | None" = None
    found_as: str = ""


def items(kind: str, seed: int) -> tuple[list[Item], Mapping[str, str]]:
    """The images of a kind, one per content, or pairs of them; and id -> label as the source has it, of all images.

    Raises:
        MissingInputError: the stages that the kind needs have not run.
        DataError: there is nothing to review.
    """
    makers = {"labels": _label_issues, "errors": _errors, "outliers": _outliers, "queue": _unlabelled}
    rows = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    closed = set(catalogue.SPLIT_TEST.read(Path(catalogue.SPLIT_TEST.path))["id"])
    rows, labels = rows[~rows["id"].isin(closed)], _source_labels()
    found = _pairs(rows, labels) if kind == "copies" else _items(makers[kind](seed), rows, labels)
    if not found:
        raise DataError(f"there is nothing to review for {kind}: see `pipeline summary`")
    return found, labels


def _items(chosen: pd.DataFrame, rows: pd.DataFrame, labels: Mapping[str, str]) -> list[Item]:
    """One for each content that is chosen and among rows."""
    rows = rows.set_index("id")
    chosen = chosen[chosen["id"].isin(rows.index)]
    chosen = chosen.join(rows[["sha256", "shard", "row", "source", "role"]], on="id").drop_duplicates("sha256")
    columns = ["sha256", "id", "shard", "row", "source", "role", "split", "predicted", "confidence", "is_error"]
    return [_item(dict(zip(columns, values, strict=True)), labels) for values in chosen[columns].to_numpy().tolist()]


def classes_of_sources(labels: Mapping[str, str]) -> list[str]:
    """The labels to choose from."""
    return sorted({*labels.values()} - {NO_LABEL})


def _item(row: Mapping[str, Any], labels: Mapping[str, str]) -> Item:
    names: dict[str, Any] = {
        name: str(row[name]) for name in ("sha256", "id", "shard", "source", "role", "split", "predicted")
    }
    confidence = None if row["confidence"] is None else float(row["confidence"])
    is_error, label = row["is_error"], labels[row["id"]]
    return Item(**names, row=int(row["row"]), label=label, confidence=confidence, is_error=is_error)


def _source_labels() -> dict[str, str]:
    """Id -> label as the source has it: decisions are on these, before `problem` makes classes of them."""
    folders = catalogue.INGESTED_SOURCES.read(Path(catalogue.INGESTED_SOURCES.path))
    tables = [read()[0] for read in folders.values()]
    return {key: str(label) for table in tables for key, label in zip(table["id"], table["label"], strict=True)}


def _label_issues(seed: int) -> pd.DataFrame:
    table: pd.DataFrame = catalogue.LABEL_ISSUES.read(Path(catalogue.LABEL_ISSUES.path))
    table = table.sort_values(["quality", "id"]).rename(columns={"suggested": "predicted"})
    return table[["id", "split", "predicted"]].assign(confidence=None, is_error=None)


def _pairs(rows: pd.DataFrame, labels: Mapping[str, str]) -> list[Item]:
    """Pairs of images that curate took for the same, each as its first image with the other one beside it."""
    table = doubtful_pairs(rows)
    shown = pd.DataFrame({"id": pd.unique(table[["one", "other"]].to_numpy().ravel())}, dtype="str")
    shown = shown.assign(predicted="", confidence=None, is_error=None, split=_splits(shown["id"]))
    images = {item.id: item for item in _items(shown, rows, labels)}
    pairs = table[["one", "other", "found_as", "places"]].itertuples(index=False, name=None)
    return [
        replace(images[one], other=images[other], found_as=_found_as(found, places))
        for one, other, found, places in pairs
        if one in images and other in images
    ]


def _found_as(kind: str, places: int) -> str:
    return _FOUND[kind] + (f", {places} details agree" if places else "")


def _outliers(seed: int) -> pd.DataFrame:
    """Images that look like few others of their class, the most unusual first."""
    rows = catalogue.SPLIT.read(Path(catalogue.SPLIT.path)).sort_values("id", ignore_index=True)
    embeddings, originals = (each.read(Path(each.path)) for each in (catalogue.EMBEDDINGS, catalogue.ORIGINALS))
    vectors = image_vectors(rows, embeddings, originals, Engine(choose_workers(None))).vectors
    table = find_outliers(rows, vectors).table
    # What it is more like, if that is another class.
    other = table["nearest_class"].where(table["nearest_class"] != table["label"], "")
    return table[["id", "split"]].assign(predicted=other, confidence=None, is_error=None)


def _splits(ids: "pd.Series[Any]") -> "pd.Series[Any]":
    """The split of each image; "" of one that is in none, or in test."""
    rows = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    known = dict(zip(rows["id"].astype(str), rows["split"].astype(str), strict=True))
    return ids.astype(str).map(known).fillna("")


def _errors(seed: int) -> pd.DataFrame:
    """dev's errors and as many right ones, drawn and mixed by keyed chance: errors alone would flatter dev."""
    check_is_of_model()
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
