"""Diagnose once more, with the test set: overfitting to dev, and a good test score with bad results in production.

It is in final/dvc.yaml and reads the predictions of the test evaluation. So diagnose, which guides experiments, never
sees the test set, and this stage adds no test evaluation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.diagnosis import all_levels, diagnosis
from pipeline.diagnosis.feedback import tables_of
from pipeline.diagnosis.inputs import PARAMS, READS
from pipeline.diagnosis.param_changes import Run
from pipeline.diagnosis.rendering import page, report, sentence
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams
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
    params=PARAMS,
    reads={**READS, "test": catalogue.TEST_PREDICTIONS},
    writes={"diagnosis": catalogue.FINAL_DIAGNOSIS, "text": catalogue.FINAL_DIAGNOSIS_TEXT},
)
