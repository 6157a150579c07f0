"""The diagnosis once more, with test: overfitting to dev, and what is good on test and bad in production.

In final/dvc.yaml, after the look at test, whose predictions it reads: so diagnose, by which people steer, never
sees test, and this one never looks at it anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.diagnosis import all_levels, diagnosis
from pipeline.core.diagnose.feedback import tables_of
from pipeline.core.diagnose.words import page, report, sentence
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
from pipeline.stages.diagnose import STAGE as DIAGNOSE


@dataclass(frozen=True)
class ConcludeOutputs:
    """The same as of diagnose, for programs and in words."""

    diagnosis: dict[str, Any]
    text: str
    summary: str


def conclude(
    predictions: pd.DataFrame,
    test: pd.DataFrame,
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
) -> ConcludeOutputs:
    """The gaps, those from dev to test and from test to production among them.

    Args:
        test: predictions of test, by the same model.
    """
    levels = all_levels(predictions, manifest, tables_of(feedback), evaluate, params, test)
    run = Run(curate, split, balance, augment, train, evaluate)
    found = diagnosis(levels, predictions, manifest, curves.epochs, suspects, run, params)
    return ConcludeOutputs(report(found), page(found, evaluate), sentence(found.gaps, found.findings))


STAGE = Stage(
    name="conclude",
    function=conclude,
    params=DIAGNOSE.params,
    reads={**DIAGNOSE.reads, "test": catalogue.TEST_PREDICTIONS},
    writes={"diagnosis": catalogue.CONCLUSION, "text": catalogue.CONCLUSION_TEXT},
)
