"""What a diagnosis reads, and which params it needs; the final one reads the predictions on test as well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.run import Run
from pipeline.stage import Group
from pipeline.store.curves import Curves
from pipeline.store.spreadsheets import Spreadsheet
from pipeline.store.vectors import Embeddings


@dataclass(frozen=True)
class Evidence:
    """What a run left that a diagnosis reads.

    predictions, manifest: of train, train_dev and dev. scenes: the images that show a scene with others, and its
    `family`; empty where scenes were not looked for. label_issues: metrics of the stage label_issues.
    feedback: people's tables, by name. unused: images in no split. augmented: metrics of the stage augment.
    """

    predictions: pd.DataFrame
    manifest: pd.DataFrame
    scenes: pd.DataFrame
    curves: Curves
    label_issues: Mapping[str, Any]
    feedback: Mapping[str, Spreadsheet]
    embeddings: Embeddings | None = None
    unused: pd.DataFrame | None = None
    augmented: Mapping[str, Any] | None = None


PARAMS: Mapping[str, str | Group] = {
    "params": "diagnose",
    "run": Group(
        Run, {name: name for name in ("problem", "curate", "split", "balance", "augment", "train", "evaluate")}
    ),
}
READS = {
    "predictions": catalogue.PREDICTIONS,
    "manifest": catalogue.SPLIT,
    "scenes": catalogue.CURATE_SCENES,
    "curves": catalogue.CURVES,
    "label_issues": catalogue.LABEL_ISSUES_METRICS,
    "feedback": catalogue.FEEDBACK,
    "embeddings": catalogue.EMBEDDINGS,
    "unused": catalogue.SPLIT_UNUSED,
    "augmented": catalogue.AUGMENT_METRICS,
}
TOGETHER = {"evidence": Evidence}
