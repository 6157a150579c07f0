"""Lists the images of train and dev whose labels may be wrong, for a person to look at."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.evaluate.judged import class_codes, classes_of, judged
from pipeline.core.evaluate.metrics import probabilities_of
from pipeline.core.look.drawing import Cell
from pipeline.core.look.sheets import MOST_OF_GALLERY, gallery
from pipeline.core.manifest import DEV, SPLIT, TRAIN, check_manifest
from pipeline.core.suspects.folds import folds_of
from pipeline.core.suspects.table import Doubts, metrics_of, suspects_table
from pipeline.errors import DataError
from pipeline.files.shards import ShardReader
from pipeline.learning.dataset import pictures_of
from pipeline.learning.out_of_fold import FoldedRows, by_baseline, by_own_model
from pipeline.params import AnyMetric, IngestParams, OwnModel, SuspectsParams, TrainParams
from pipeline.processes.engine import Engine
from pipeline.stages import Stage

WORDS = ["label", "suggested", "split", "quality", "role"]


@dataclass(frozen=True)
class SuspectsOutputs:
    """A row a suspect, the worst first; the same as pictures; counts and estimates for `dvc metrics`."""

    table: pd.DataFrame
    sheet: bytes
    metrics: dict[str, Any]
    summary: str


def suspects(
    manifest: pd.DataFrame,
    originals: ShardReader,
    predictions: pd.DataFrame,
    params: SuspectsParams,
    train: TrainParams,
    ingest: IngestParams,
    optimizing: AnyMetric,
    engine: Engine,
) -> SuspectsOutputs:
    """Suspects of train, by models that saw the other folds of train and dev, and of dev, by these and by the model."""
    # Models and sums are of rows in an order.
    manifest = check_manifest(manifest, SPLIT).sort_values("id", ignore_index=True)
    dev = predictions[predictions["split"] == DEV].sort_values("id", ignore_index=True)
    if dev["id"].tolist() != manifest.loc[manifest["split"] == DEV, "id"].tolist():
        raise DataError("predictions are of another dev than the manifest's: run `dvc repro evaluate`")
    classes = classes_of(predictions)
    seen = judged(dev, classes)
    doubts = [Doubts(DEV, dev, seen.labels, probabilities_of(seen))]
    if params.folds is not None:
        rows = manifest[manifest["split"].isin((TRAIN, DEV))].reset_index(drop=True)
        folds = folds_of(rows["label"].to_numpy(str), rows["group"].to_numpy(str), params.folds, params.seed)
        folded = FoldedRows(rows, folds, originals, classes, ingest)
        found = [
            by_own_model(train, folded, optimizing, engine)
            if isinstance(model, OwnModel)
            else by_baseline(model, folded, params.seed, train.threads, engine)
            for model in (params.model, params.second)
            if model is not None
        ]
        labels, in_dev = class_codes(rows["label"].to_numpy(), classes), (rows["split"] == DEV).to_numpy()
        doubts = [
            Doubts(DEV, dev, seen.labels, probabilities_of(seen), [one[in_dev] for one in found]),
            Doubts(TRAIN, rows[~in_dev], labels[~in_dev], found[0][~in_dev], [one[~in_dev] for one in found[1:]]),
        ]
    table = suspects_table(doubts, manifest, classes)
    metrics = metrics_of(doubts, table)
    return SuspectsOutputs(table, _sheet(table, manifest, originals), metrics, _words(metrics))


def _sheet(table: pd.DataFrame, manifest: pd.DataFrame, originals: ShardReader) -> bytes:
    shown = table.iloc[:MOST_OF_GALLERY]
    pictures = pictures_of(shown["id"].tolist(), manifest, originals)
    cells = [
        Cell(pixels, (label, f"rather {suggested}", f"{split}, quality {quality:.2f}"), role)
        for pixels, (label, suggested, split, quality, role) in zip(pictures, shown[WORDS].to_numpy(), strict=True)
    ]
    lines = [
        "Under each: its label, what a model prefers that was not trained on it, and the probability of the label.",
        "Look at each: an odd picture is as suspect as a wrong label. Mend labels in the sources.",
    ]
    return gallery("Labels that may be wrong", lines, cells, len(table))


def _words(metrics: dict[str, Any]) -> str:
    return "; ".join(
        f"{split}: {part['suspects']:,} of {part['images']:,} labels may be wrong" for split, part in metrics.items()
    )


STAGE = Stage(
    name="suspects",
    function=suspects,
    params={"params": "suspects", "train": "train", "ingest": "ingest", "optimizing": "evaluate.optimizing"},
    reads={
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "predictions": catalogue.PREDICTIONS,
    },
    writes={
        "table": catalogue.SUSPECTS,
        "sheet": catalogue.SUSPECTS_SHEET,
        "metrics": catalogue.SUSPECTS_METRICS,
    },
)
