"""Says what holds the model back, from the errors of train, train_dev and dev."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.gaps import find_gaps
from pipeline.core.diagnose.levels import HUMAN, given, levels_of, metric_of_errors
from pipeline.core.diagnose.steps import next_steps
from pipeline.core.diagnose.words import page, report, sentence
from pipeline.core.evaluate.judged import classes_of
from pipeline.params import AugmentParams, DiagnoseParams, EvaluateParams, SplitParams, TrainParams
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
    params: DiagnoseParams,
    evaluate: EvaluateParams,
    split: SplitParams,
    augment: AugmentParams,
    train: TrainParams,
) -> DiagnoseOutputs:
    """The gaps, a sentence and the next experiments."""
    levels = {HUMAN: given(HUMAN, params.human_error), **levels_of(predictions, evaluate)}
    gaps = find_gaps(levels, metric_of_errors(evaluate, classes_of(predictions)), params, evaluate)
    steps = next_steps(gaps, Run(split, augment, train))
    return DiagnoseOutputs(
        diagnosis=report(levels, gaps, steps),
        metrics={
            "errors": {name: level.error for name, level in levels.items()},
            **{gap.name: {"gap": gap.value, "low": gap.low, "high": gap.high} for gap in gaps},
        },
        gaps=pd.DataFrame(
            [{key: getattr(gap, key) for key in ("name", "value", "low", "high", "verdict")} for gap in gaps]
        ),
        text=page(levels, gaps, steps, evaluate),
        summary=sentence(gaps),
    )


STAGE = Stage(
    name="diagnose",
    function=diagnose,
    params={
        "params": "diagnose",
        "evaluate": "evaluate",
        "split": "split",
        "augment": "augment",
        "train": "train",
    },
    reads={"predictions": catalogue.PREDICTIONS},
    writes={
        "diagnosis": catalogue.DIAGNOSIS,
        "metrics": catalogue.DIAGNOSIS_METRICS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
