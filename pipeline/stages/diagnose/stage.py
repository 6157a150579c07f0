"""Diagnose what holds the model back and what to try next, from the results of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.diagnosis.diagnosis import all_levels, diagnosis
from pipeline.diagnosis.feedback import tables_of
from pipeline.diagnosis.inputs import PARAMS, READS
from pipeline.diagnosis.param_changes import Run
from pipeline.diagnosis.rendering import gaps_table, metrics_of, page, report, sentence
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.store.curves import Curves
from pipeline.store.spreadsheets import Spreadsheet


@dataclass(frozen=True)
class DiagnoseOutputs:
    """The whole diagnosis as JSON, numbers for `dvc metrics`, a table for a plot, and the text for people."""

    diagnosis: dict[str, Any]
    metrics: dict[str, Any]
    gaps: pd.DataFrame
    text: str
    summary: str


def diagnose(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    curves: Curves,
    label_issues: Mapping[str, Any],
    feedback: Mapping[str, Spreadsheet],
    params: DiagnoseParams,
    run: Run,
) -> DiagnoseOutputs:
    """Find the gaps, other findings and the next experiments, without the test set (final_diagnosis uses it)."""
    levels = all_levels(predictions, manifest, tables_of(feedback), run.evaluate, params)
    found = diagnosis(levels, predictions, manifest, curves, label_issues, run, params)
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
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
