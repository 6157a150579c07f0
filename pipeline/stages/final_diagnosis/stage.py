"""Diagnose once more, with the test set: overfitting to dev, and a good test score with bad results in production.

It is in final/dvc.yaml and reads the predictions of the test evaluation. So diagnose, which guides experiments, never
sees the test set, and this stage adds no test evaluation.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.diagnosis import diagnosed
from pipeline.diagnosis.inputs import PARAMS, READS, TOGETHER, Evidence
from pipeline.diagnosis.rendering import page, report, sentence
from pipeline.diagnosis.run import Run
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams


@dataclass(frozen=True)
class FinalDiagnosisOutputs:
    """The diagnosis with test, as JSON for programs and as text."""

    diagnosis: dict[str, Any]
    text: str
    summary: str


def final_diagnosis(evidence: Evidence, test: pd.DataFrame, params: DiagnoseParams, run: Run) -> FinalDiagnosisOutputs:
    """The gaps, those from dev to test and from test to production among them.

    Args:
        test: predictions of test, by the same model.
    """
    found = diagnosed(evidence, run, params, test)
    return FinalDiagnosisOutputs(report(found), page(found, run.evaluate), sentence(found))


STAGE = Stage(
    name="final_diagnosis",
    function=final_diagnosis,
    params=PARAMS,
    reads={**READS, "test": catalogue.TEST_PREDICTIONS},
    together=TOGETHER,
    writes={"diagnosis": catalogue.FINAL_DIAGNOSIS, "text": catalogue.FINAL_DIAGNOSIS_TEXT},
)
