"""All that is said of a run, put together from its levels, curves and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.curves import Epochs, read_curves
from pipeline.core.diagnose.findings import CALIBRATION, CLASS, Finding, sure
from pipeline.core.diagnose.gaps import Gap, find_gaps
from pipeline.core.diagnose.levels import HUMAN, Level, metric_of_errors
from pipeline.core.diagnose.parts import failing, hidden
from pipeline.core.diagnose.steps import Step, next_steps
from pipeline.core.diagnose.trust import miscalibrated, shared_pictures, too_good, too_small
from pipeline.core.evaluate.judged import classes_of
from pipeline.core.manifest import DEV, PRODUCTION
from pipeline.params import DiagnoseParams, EvaluateParams


@dataclass(frozen=True)
class Diagnosis:
    """Levels by name; gaps, findings and steps, the most important first."""

    levels: Mapping[str, Level]
    gaps: Sequence[Gap]
    findings: Sequence[Finding]
    steps: Sequence[Step]


def diagnosis(
    levels: Mapping[str, Level],
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    epochs: Epochs,
    run: Run,
    params: DiagnoseParams,
) -> Diagnosis:
    """The diagnosis of a run.

    Args:
        predictions, manifest: of train, train_dev and dev.
        epochs: the curves of training.
    """
    evaluate, classes = run.evaluate, classes_of(predictions)
    gaps = find_gaps(levels, metric_of_errors(evaluate, classes), params, evaluate)
    asked = run.train.epochs
    run = replace(run, stopped_early=len(epochs) < asked, dated=_dated(manifest))
    ill = _errs(levels, params) and run.network
    curves = read_curves(epochs, asked, len(classes)) if ill else []
    found = [*curves, *shared_pictures(manifest), *of_predictions(predictions, manifest, params, evaluate)]
    found += too_small(levels[DEV], params.relevant_gap)
    failing_class = next((each.subject for each in found if each.name == CLASS), None)
    bold = next((float(each.figures["bold"]) > 0 for each in found if each.name == CALIBRATION), None)
    known = replace(run, failing=failing_class, bold=bold)
    return Diagnosis(levels, gaps, found, next_steps(gaps, found, levels, known))


def of_predictions(
    predictions: pd.DataFrame, manifest: pd.DataFrame, params: DiagnoseParams, evaluate: EvaluateParams
) -> list[Finding]:
    """What tests on predictions find, all of them in one family."""
    dev = predictions[predictions["split"] == DEV]
    tested = [
        failing(predictions, manifest, evaluate, params.relevant_gap),
        too_good(predictions, manifest, params.relevant_gap),
        miscalibrated(dev, evaluate, params.relevant_gap),
    ]
    found = sure([each for candidates, _ in tested for each in candidates], sum(count for _, count in tested))
    return [*hidden(found, evaluate, params.relevant_gap), *found]


def _errs(levels: Mapping[str, Level], params: DiagnoseParams) -> bool:
    """Whether dev's error is above human level by what is worth work, and surely above it."""
    dev, human = levels[DEV], levels[HUMAN]
    return dev.error - human.error >= params.relevant_gap and dev.low > human.high


def _dated(manifest: pd.DataFrame) -> bool:
    production = manifest[manifest["role"] == PRODUCTION]
    return len(production) > 0 and bool(production["captured_at"].notna().all())
