"""Says what holds the model back, and what to try next, from all that the run left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.diagnosis import all_levels, diagnosis
from pipeline.core.diagnose.feedback import tables_of
from pipeline.core.diagnose.words import gaps_table, metrics_of, page, report, sentence
from pipeline.files.curves import Curves
from pipeline.files.spreadsheets import Spreadsheet
from pipeline.params import (
    AugmentParams,
    BalanceParams,
    CurateParams,
    DiagnoseParams,
    EvaluateParams,
    SplitParams,
    TrainParams,
)
from pipeline.stages import Stage


@dataclass(frozen=True)
class DiagnoseOutputs:
    """All of it for programs, numbers for `dvc metrics`, a table for a plot, and the words."""

    diagnosis: dict[str, Any]
    metrics: dict[str, Any]
    gaps: pd.DataFrame
    text: str
    summary: str


def diagnose(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    curves: Curves,
    suspects: Mapping[str, Any],
    feedback: Mapping[str, Spreadsheet],
    params: DiagnoseParams,
    curate: CurateParams,
    split: SplitParams,
    balance: BalanceParams,
    augment: AugmentParams,
    train: TrainParams,
    evaluate: EvaluateParams,
) -> DiagnoseOutputs:
    """The gaps, what else is found, and the next experiments. Test is not looked at: that is the stage conclude's."""
    levels = all_levels(predictions, manifest, tables_of(feedback), evaluate, params)
    run = Run(curate, split, balance, augment, train, evaluate)
    found = diagnosis(levels, predictions, manifest, curves.epochs, suspects, run, params)
    return DiagnoseOutputs(
        diagnosis=report(found),
        metrics=metrics_of(found),
        gaps=gaps_table(found),
        text=page(found, evaluate),
        summary=sentence(found.gaps, found.findings),
    )


STAGE = Stage(
    name="diagnose",
    function=diagnose,
    params={
        "params": "diagnose",
        "curate": "curate",
        "split": "split",
        "balance": "balance",
        "augment": "augment",
        "train": "train",
        "evaluate": "evaluate",
    },
    reads={
        "predictions": catalogue.PREDICTIONS,
        "manifest": catalogue.SPLIT,
        "curves": catalogue.CURVES,
        "suspects": catalogue.SUSPECTS_METRICS,
        "feedback": catalogue.FEEDBACK,
    },
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
