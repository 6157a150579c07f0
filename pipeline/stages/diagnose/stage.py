"""Diagnose what holds the model back and what to try next, from the results of the run."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.diagnosis import diagnosed
from pipeline.diagnosis.inputs import PARAMS, READS, TOGETHER, Evidence
from pipeline.diagnosis.param_changes import Run
from pipeline.diagnosis.rendering import gaps_table, metrics_of, page, report, sentence
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams


@dataclass(frozen=True)
class DiagnoseOutputs:
    """The whole diagnosis as JSON, numbers for `dvc metrics`, a table for a plot, and the text for people."""

    diagnosis: dict[str, Any]
    metrics: dict[str, Any]
    gaps: pd.DataFrame
    text: str
    summary: str


def diagnose(evidence: Evidence, params: DiagnoseParams, run: Run) -> DiagnoseOutputs:
    """Find the gaps, other findings and the next experiments, without the test set (final_diagnosis uses it)."""
    found = diagnosed(evidence, run, params)
    return DiagnoseOutputs(
        diagnosis=report(found),
        metrics=metrics_of(found),
        gaps=gaps_table(found),
        text=page(found, run.evaluate),
        summary=sentence(found),
    )


STAGE = Stage(
    name="diagnose",
    function=diagnose,
    params=PARAMS,
    reads=READS,
    together=TOGETHER,
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
