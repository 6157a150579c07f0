"""Diagnose what holds the model back and what to try next, from the results of the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.pictures import pictures_of
from pipeline.diagnosis.diagnosis import diagnosed
from pipeline.diagnosis.inputs import PARAMS, READS, TOGETHER, Evidence
from pipeline.diagnosis.rendering import gaps_table, metrics_of, page, report, sentence
from pipeline.diagnosis.run import Run
from pipeline.images.pixels import Pixels
from pipeline.stage import Stage
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.diagnose.sheets import clusters_sheet
from pipeline.store.shards import ShardReader


@dataclass(frozen=True)
class DiagnoseOutputs:
    """The whole diagnosis as JSON, numbers for `dvc metrics`, a table for a plot, and the text for people."""

    diagnosis: dict[str, Any]
    metrics: dict[str, Any]
    gaps: pd.DataFrame
    text: str
    clusters: bytes
    """A contact sheet of the clusters of dev on which the model fails."""
    summary: str


def diagnose(evidence: Evidence, originals: ShardReader, params: DiagnoseParams, run: Run) -> DiagnoseOutputs:
    """Find the gaps, other findings and the next experiments, without the test set (final_diagnosis uses it)."""
    found = diagnosed(evidence, run, params)
    return DiagnoseOutputs(
        diagnosis=report(found),
        metrics=metrics_of(found),
        gaps=gaps_table(found),
        text=page(found, run.evaluate),
        clusters=clusters_sheet(found.clusters, evidence.predictions, partial(_pictures, evidence.manifest, originals)),
        summary=sentence(found),
    )


def _pictures(manifest: pd.DataFrame, originals: ShardReader, ids: Sequence[str]) -> Sequence[Pixels]:
    return [*pictures_of(ids, manifest, originals)]


STAGE = Stage(
    name="diagnose",
    function=diagnose,
    params=PARAMS,
    reads={**READS, "originals": catalogue.ORIGINALS},
    together=TOGETHER,
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
        "clusters": catalogue.DIAGNOSIS_CLUSTERS,
    },
)
