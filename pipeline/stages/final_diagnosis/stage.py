"""The diagnosis once more, with test: overfitting to dev, and what is good on test and bad in production.

In final/dvc.yaml, after the look at test, whose predictions it reads: so diagnose, by which people steer, never
sees test, and this one never looks at it anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.diagnosis import all_levels, diagnosis
from pipeline.diagnosis.feedback import tables_of
from pipeline.diagnosis.param_changes import Run
from pipeline.diagnosis.rendering import page, report, sentence
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.diagnose.stage import STAGE as DIAGNOSE
from pipeline.store.curves import Curves
from pipeline.store.spreadsheets import Spreadsheet


@dataclass(frozen=True)
class FinalDiagnosisOutputs:
    """The same as of diagnose, for programs and in words."""

    diagnosis: dict[str, Any]
    text: str
    summary: str


def final_diagnosis(
    predictions: pd.DataFrame,
    test: pd.DataFrame,
    manifest: pd.DataFrame,
    curves: Curves,
    label_issues: Mapping[str, Any],
    feedback: Mapping[str, Spreadsheet],
    params: DiagnoseParams,
    run: Run,
) -> FinalDiagnosisOutputs:
    """The gaps, those from dev to test and from test to production among them.

    Args:
        test: predictions of test, by the same model.
    """
    levels = all_levels(predictions, manifest, tables_of(feedback), run.evaluate, params, test)
    found = diagnosis(levels, predictions, manifest, curves, label_issues, run, params)
    return FinalDiagnosisOutputs(report(found), page(found, run.evaluate), sentence(found))


STAGE = Stage(
    name="final_diagnosis",
    function=final_diagnosis,
    params=DIAGNOSE.params,
    reads={**DIAGNOSE.reads, "test": catalogue.TEST_PREDICTIONS},
    writes={"diagnosis": catalogue.FINAL_DIAGNOSIS, "text": catalogue.FINAL_DIAGNOSIS_TEXT},
)
