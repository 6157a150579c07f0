"""List the images of train and dev whose labels may be wrong, for you to check."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.dataset import pictures_of
from pipeline.errors import DataError
from pipeline.manifest import DEV, SPLIT, TRAIN, check_manifest
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import checked_predictions, class_codes, classes_of
from pipeline.metrics.probability_measures import probabilities_of
from pipeline.sheets.contact_sheets import MAX_GALLERY_IMAGES, gallery
from pipeline.sheets.drawing import Cell
from pipeline.stage import Stage
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.label_issues.params import LabelIssuesParams, OwnModel
from pipeline.stages.label_issues.table import Disagreements, label_issues_table, metrics_of
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.training.folds import folds_of
from pipeline.training.out_of_fold import FoldedRows, by_baseline, by_own_model
from pipeline.workers.engine import Engine

CAPTION_COLUMNS = ["label", "suggested", "split", "quality", "role"]


@dataclass(frozen=True)
class LabelIssuesOutputs:
    """One row per label issue, the worst first; a contact sheet; counts and estimates for `dvc metrics`."""

    table: pd.DataFrame
    sheet: bytes
    metrics: dict[str, Any]
    summary: str


def label_issues(
    manifest: pd.DataFrame,
    originals: ShardReader,
    predictions: pd.DataFrame,
    params: LabelIssuesParams,
    train: TrainParams,
    ingest: IngestParams,
    optimizing: AnyMetric,
    engine: Engine,
) -> LabelIssuesOutputs:
    """Suspects of train, by models that saw the other folds of train and dev, and of dev, by these and by the model."""
    # Models and sums are of rows in an order.
    manifest = check_manifest(manifest, SPLIT).sort_values("id", ignore_index=True)
    dev = predictions[predictions["split"] == DEV].sort_values("id", ignore_index=True)
    if dev["id"].tolist() != manifest.loc[manifest["split"] == DEV, "id"].tolist():
        raise DataError("the predictions do not belong to the manifest's dev: run `dvc repro evaluate`")
    classes = classes_of(predictions)
    seen = checked_predictions(dev, classes)
    doubts = [Disagreements(DEV, dev, seen.labels, probabilities_of(seen))]
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
            Disagreements(DEV, dev, seen.labels, probabilities_of(seen), [one[in_dev] for one in found]),
            Disagreements(
                TRAIN, rows[~in_dev], labels[~in_dev], found[0][~in_dev], [one[~in_dev] for one in found[1:]]
            ),
        ]
    table = label_issues_table(doubts, manifest, classes)
    metrics = metrics_of(doubts, table, manifest)
    return LabelIssuesOutputs(table, _sheet(table, manifest, originals), metrics, _words(metrics))


def _sheet(table: pd.DataFrame, manifest: pd.DataFrame, originals: ShardReader) -> bytes:
    shown = table.iloc[:MAX_GALLERY_IMAGES]
    pictures = pictures_of(shown["id"].tolist(), manifest, originals)
    cells = [
        Cell(pixels, (label, f"rather {suggested}", f"{split}, quality {quality:.2f}"), role)
        for pixels, (label, suggested, split, quality, role) in zip(
            pictures, shown[CAPTION_COLUMNS].to_numpy(), strict=True
        )
    ]
    lines = [
        "Under each: its label, the class that a model not trained on it predicts, and the probability of the label.",
        "Check each image: the label may be wrong, or the picture odd. Correct labels in the sources.",
    ]
    return gallery("Labels that may be wrong", lines, cells, len(table))


def _words(metrics: dict[str, Any]) -> str:
    return "; ".join(
        f"{split}: {part['label_issues']:,} of {part['images']:,} labels may be wrong"
        for split, part in metrics.items()
    )


STAGE = Stage(
    name="label_issues",
    function=label_issues,
    params={"params": "label_issues", "train": "train", "ingest": "ingest", "optimizing": "evaluate.optimizing"},
    reads={
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "predictions": catalogue.PREDICTIONS,
    },
    writes={
        "table": catalogue.LABEL_ISSUES,
        "sheet": catalogue.LABEL_ISSUES_SHEET,
        "metrics": catalogue.LABEL_ISSUES_METRICS,
    },
)
