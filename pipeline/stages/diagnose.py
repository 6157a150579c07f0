"""Says what holds the model back, and what to try next, from all that the run left."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.diagnosis import Diagnosis, diagnosis
from pipeline.core.diagnose.levels import HUMAN, given, levels_of
from pipeline.core.diagnose.words import page, report, sentence
from pipeline.files.curves import Curves
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
    params: DiagnoseParams,
    curate: CurateParams,
    split: SplitParams,
    balance: BalanceParams,
    augment: AugmentParams,
    train: TrainParams,
    evaluate: EvaluateParams,
) -> DiagnoseOutputs:
    """The gaps, what else is found, and the next experiments."""
    levels = {HUMAN: given(HUMAN, params.human_error), **levels_of(predictions, evaluate)}
    run = Run(curate, split, balance, augment, train, evaluate)
    found = diagnosis(levels, predictions, manifest, curves.epochs, run, params)
    return DiagnoseOutputs(
        diagnosis=report(found),
        metrics=metrics_of(found),
        gaps=gaps_table(found),
        text=page(found, evaluate),
        summary=sentence(found.gaps, found.findings),
    )


def metrics_of(found: Diagnosis) -> dict[str, Any]:
    """Errors and gaps as shares, with stable names."""
    return {
        "errors": {name: level.error for name, level in found.levels.items()},
        **{gap.name: {"gap": gap.value, "low": gap.low, "high": gap.high} for gap in found.gaps},
    }


def gaps_table(found: Diagnosis) -> pd.DataFrame:
    """A row a gap, for a plot."""
    columns = ("name", "value", "low", "high", "verdict")
    return pd.DataFrame([{name: getattr(gap, name) for name in columns} for gap in found.gaps])


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
    reads={"predictions": catalogue.PREDICTIONS, "manifest": catalogue.SPLIT, "curves": catalogue.CURVES},
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
