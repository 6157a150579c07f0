"""List the images of train and dev whose labels may be wrong, for you to check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.pictures import pictures_of
from pipeline.diagnosis.wrong_labels import at_most, too_weak
from pipeline.errors import DataError
from pipeline.manifest import DEV, SPLIT, TRAIN, check_manifest
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import checked_predictions, class_codes, classes_of
from pipeline.metrics.probability_measures import probabilities_of
from pipeline.problem.params import Problem
from pipeline.problem.problem import is_multi_label, is_regression
from pipeline.sheets.contact_sheets import MAX_GALLERY_IMAGES, gallery
from pipeline.sheets.drawing import Cell
from pipeline.stage import Stage
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.label_issues.models import Checking, opinion_of
from pipeline.stages.label_issues.params import LabelIssuesParams, needs_vectors
from pipeline.stages.label_issues.table import COLUMNS, TOGETHER, Disagreements, label_issues_table, metrics_of
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings
from pipeline.training.folds import folds_of
from pipeline.training.out_of_fold import FoldedRows
from pipeline.workers.engine import Engine

NOT_CHECKED = "labels are not checked, because confident learning needs one class per image, and with problem {}"
SEVERAL_LABELS = NOT_CHECKED.format("multi_label an image may have several labels")
NUMBERS = NOT_CHECKED.format("regression an image has a number")
CAPTION_COLUMNS = ["label", "suggested", "split", "quality", "role"]


@dataclass(frozen=True)
class LabelIssuesOutputs:
    """One row per label issue, the worst first; a contact sheet; counts and estimates for `dvc metrics`."""

    table: pd.DataFrame
    sheet: bytes
    metrics: dict[str, Any]
    summary: str


@dataclass(frozen=True)
class Images:
    """All images as they were photographed, their vectors, and how files became pictures and labels classes."""

    originals: ShardReader
    embeddings: Embeddings
    ingest: IngestParams
    problem: Problem


def label_issues(
    manifest: pd.DataFrame,
    images: Images,
    predictions: pd.DataFrame,
    params: LabelIssuesParams,
    train: TrainParams,
    optimizing: AnyMetric,
    engine: Engine,
) -> LabelIssuesOutputs:
    """The label issues of train and dev, by models that saw the other folds of both; on dev `train`'s must agree.

    Raises:
        DataError: the predictions are of other images than dev's.
        MissingInputError: an image has no vector yet.
    """
    if is_multi_label(images.problem):
        return _not_checked(SEVERAL_LABELS)
    if is_regression(images.problem):
        return _not_checked(NUMBERS)
    # Models and sums are of rows in an order.
    manifest = check_manifest(manifest, SPLIT).sort_values("id", ignore_index=True)
    dev = predictions[predictions["split"] == DEV].sort_values("id", ignore_index=True)
    rows = manifest[manifest["split"].isin((TRAIN, DEV))].reset_index(drop=True)
    in_dev = (rows["split"] == DEV).to_numpy()
    if dev["id"].tolist() != rows.loc[in_dev, "id"].tolist():
        raise DataError("the predictions do not belong to the manifest's dev: run `dvc repro evaluate`")
    classes = classes_of(predictions)
    seen = checked_predictions(dev, classes)
    dev_rows, trained = rows[in_dev].reset_index(drop=True), probabilities_of(seen)
    if params.folds is None:
        doubts = [Disagreements(DEV, dev_rows, seen.labels, [trained])]
        model: dict[str, Any] = {"name": f"{train.model.name}, the model of train", "why": "label_issues.folds is null"}
    else:
        folds = folds_of(rows["label"].to_numpy(str), rows["group"].to_numpy(str), params.folds, params.seed)
        checking = Checking(
            folded=FoldedRows(rows, folds, images.originals, classes, images.ingest, images.problem),
            vectors=images.embeddings.of(rows["sha256"].tolist()) if needs_vectors(params) else None,
            train=train,
            optimizing=optimizing,
            seed=params.seed,
            engine=engine,
        )
        opinions = [opinion_of(one, checking) for one in (params.model, params.second) if one is not None]
        found = [one.probabilities for one in opinions]
        labels = class_codes(rows["label"].to_numpy(), classes)
        doubts = [
            Disagreements(DEV, dev_rows, seen.labels, [one[in_dev] for one in found], trained),
            Disagreements(
                TRAIN, rows[~in_dev].reset_index(drop=True), labels[~in_dev], [one[~in_dev] for one in found]
            ),
        ]
        model = {"name": opinions[0].model, "why": opinions[0].why, "accuracies": dict(opinions[0].accuracies)}
    table = label_issues_table(doubts, manifest, classes)
    metrics = {"model": model, **metrics_of(doubts, table)}
    return LabelIssuesOutputs(table, _sheet(table, manifest, images.originals), metrics, summary_of(metrics))


def _not_checked(why: str) -> LabelIssuesOutputs:
    """Why nothing is listed."""
    table = pd.DataFrame(columns=[*COLUMNS])
    sheet = gallery("Labels that may be wrong", [why], [], 0)
    return LabelIssuesOutputs(table, sheet, {"checked": False, "model": {"name": "none", "why": why}}, why)


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


TOO_WEAK = (
    "that is too few to tell how many labels are wrong: most of the list may be its own mistakes. A better "
    "label_issues.model tells more"
)


def summary_of(metrics: Mapping[str, Any]) -> str:
    """A summary: how many labels may be wrong, and by which model."""
    model, whole = metrics["model"], metrics.get(TOGETHER, metrics[DEV])
    why = f"; {model['why']}" if model["why"] else ""
    weak = too_weak(whole)
    counts = [
        f"{split}: {metrics[split]['label_issues']:,} of {metrics[split]['images']:,} labels "
        f"{'are listed' if weak else 'may be wrong'}"
        for split in (DEV, TRAIN)
        if split in metrics
    ]
    checked = (
        f"{'; '.join(counts)}\n  checked by {model['name']}, which agrees with {whole['accuracy']:.1%} of them{why}\n"
    )
    if weak:
        return f"{checked}  {TOO_WEAK}"
    share = f"{whole['wrong_share']:.1%} (95 % interval {whole['low']:.1%} to {whole['high']:.1%})"
    if at_most(whole) > whole["high"]:
        share += f", or up to {at_most(whole):.1%} if people err most on images that are hard to recognise"
    return f"{checked}  estimated share of wrong labels: {share}"


STAGE = Stage(
    name="label_issues",
    function=label_issues,
    params={
        "params": "label_issues",
        "train": "train",
        "ingest": "ingest",
        "optimizing": "evaluate.optimizing",
        "problem": "problem",
    },
    reads={
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "embeddings": catalogue.EMBEDDINGS,
        "predictions": catalogue.PREDICTIONS,
    },
    together={"images": Images},
    writes={
        "table": catalogue.LABEL_ISSUES,
        "sheet": catalogue.LABEL_ISSUES_SHEET,
        "metrics": catalogue.LABEL_ISSUES_METRICS,
    },
)
