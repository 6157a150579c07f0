"""Says what holds the model back, from the errors of train, train_dev and dev."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.diagnose.diagnosis import errors_of_splits, find_gaps, next_steps, page, sentence
from pipeline.params import AugmentParams, DiagnoseParams, EvaluateParams, SplitParams, TrainParams
from pipeline.stages import Stage


@dataclass(frozen=True)
class DiagnoseOutputs:
    """Numbers for `dvc metrics`, a table for a plot, and the words."""

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
    errors = errors_of_splits(predictions, evaluate)
    gaps = find_gaps(errors, params)
    steps = next_steps(gaps, split, augment, train)
    return DiagnoseOutputs(
        metrics={
            "errors": {"human": params.human_error, **{name: error.value for name, error in errors.items()}},
            **{gap.name: {"gap": gap.value, "low": gap.low, "high": gap.high} for gap in gaps},
        },
        gaps=pd.DataFrame([asdict(gap) for gap in gaps]),
        text=page(errors, gaps, steps, params, evaluate),
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
        "metrics": catalogue.DIAGNOSIS,
        "gaps": catalogue.DIAGNOSIS_GAPS,
        "text": catalogue.DIAGNOSIS_TEXT,
    },
)
