"""All that is said of a run, put together from its levels, curves and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from pipeline.diagnosis.curves import Epochs, read_curves
from pipeline.diagnosis.error_levels import HUMAN, Level, given, levels_of, measured, metric_of_errors
from pipeline.diagnosis.error_levels import PRODUCTION as LIVE
from pipeline.diagnosis.failing_slices import MAX_SHOWN, failing, hidden
from pipeline.diagnosis.feedback import Table, answers, outcomes
from pipeline.diagnosis.findings import CALIBRATION, CLASS, EPOCHS, SLICE, UNDERFIT, Finding, sure
from pipeline.diagnosis.gaps import BIAS, MISMATCH, Gap, find_gaps, without_verdict
from pipeline.diagnosis.next_steps import Step, next_steps
from pipeline.diagnosis.param_changes import Run
from pipeline.diagnosis.sanity_checks import (
    better_than_dev,
    miscalibrated,
    shared_pictures,
    too_good,
    too_small,
    wrong_labels,
)
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.manifest import DEV, PRODUCTION, RAW, TEST
from pipeline.metrics.predictions import classes_of
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.evaluate.params import EvaluateParams


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
    label_issues: Mapping[str, Any],
    run: Run,
    params: DiagnoseParams,
) -> Diagnosis:
    """The diagnosis of a run.

    Args:
        predictions, manifest: of train, train_dev and dev.
        epochs: the curves of training.
        suspects: metrics of the stage suspects.
    """
    evaluate, classes = run.evaluate, classes_of(predictions)
    gaps = find_gaps(levels, metric_of_errors(evaluate, classes), params, evaluate)
    if run.split.method == "hash" and not (manifest["role"] == RAW).any():
        # Both sides are draws of the same images. The newest ones, though, may differ from those before them.
        gaps = without_verdict(gaps, MISMATCH)
    asked = run.train.epochs
    run = replace(run, stopped_early=len(epochs) < asked, dated=_dated(manifest))
    curves = read_curves(epochs, asked, len(classes)) if _errs(levels, params) and run.network else []
    # Neither more epochs nor a larger model helps one that knows train already.
    learnt = all(gap.value < params.relevant_gap for gap in gaps if gap.name == BIAS)
    found = [finding for finding in curves if finding.name not in {EPOCHS, UNDERFIT} or not learnt]
    found += [*shared_pictures(manifest), *of_predictions(levels, predictions, manifest, params, evaluate)]
    found += wrong_labels(label_issues, params.relevant_gap)
    found += too_small(levels[DEV], params.relevant_gap)
    failing_class = next((each.subject for each in found if each.name == CLASS), None)
    bold = next((float(each.figures["bold"]) > 0 for each in found if each.name == CALIBRATION), None)
    known = replace(run, failing=failing_class, bold=bold)
    return Diagnosis(levels, gaps, found, next_steps(gaps, found, levels, known))


def all_levels(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    tables: Mapping[str, Table],
    evaluate: EvaluateParams,
    params: DiagnoseParams,
    test: pd.DataFrame | None = None,
) -> dict[str, Level]:
    """The levels that the run, people's tables and, once it was looked at, test give.

    Args:
        tables: answers and outcomes, by level.
        test: predictions of test.

    Raises:
        MissingInputError: human level is to be measured, and there are no answers.
        DataError: a split has no predictions, they are of other images than the manifest, or a table cannot be used.
    """
    _check_images(predictions, manifest)
    levels = levels_of(predictions, evaluate)
    classes = classes_of(predictions)
    metric = metric_of_errors(evaluate, classes)
    extra_columns = {TEST: test} if test is not None else {}
    if params.human_error != "measured":
        levels[HUMAN] = given(HUMAN, params.human_error)
    elif HUMAN in tables:
        extra_columns[HUMAN] = answers(tables[HUMAN], manifest, classes)
    else:
        raise MissingInputError(
            "diagnose.human_error is measured, and feedback/answers.csv is missing: write it (feedback/README.md says "
            "how), or give diagnose.human_error a number"
        )
    if LIVE in tables:
        extra_columns[LIVE] = outcomes(tables[LIVE], manifest, classes)
    return {
        **levels,
        **{name: measured(name, frame, metric, classes, evaluate) for name, frame in extra_columns.items()},
    }


def of_predictions(
    levels: Mapping[str, Level],
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    params: DiagnoseParams,
    evaluate: EvaluateParams,
) -> list[Finding]:
    """What tests on predictions find, all of them in one family."""
    dev = predictions[predictions["split"] == DEV]
    relevant = params.relevant_gap
    tested = [
        failing(predictions, manifest, evaluate, relevant),
        too_good(predictions, manifest, relevant),
        better_than_dev(levels, relevant),
        miscalibrated(dev, evaluate, relevant),
    ]
    found = sure([each for candidates, _ in tested for each in candidates], sum(count for _, count in tested))
    error = float((dev["label"].astype(str) != dev["predicted"].astype(str)).mean())
    told = [each for name in (CLASS, SLICE) for each in [one for one in found if one.name == name][:MAX_SHOWN]]
    others = [each for each in found if each.name not in {CLASS, SLICE}]
    return [*others, *hidden(found, error, evaluate, relevant), *told]


def _check_images(predictions: pd.DataFrame, manifest: pd.DataFrame) -> None:
    lost = predictions.loc[~predictions["id"].isin(manifest["id"]), "id"]
    if len(lost):
        raise DataError(
            f"{len(lost)} of {len(predictions)} predictions are of images that the manifest lacks ({listing(lost)}), "
            "so they are from another run: run `dvc repro evaluate`"
        )


def _errs(levels: Mapping[str, Level], params: DiagnoseParams) -> bool:
    """Whether dev's error is above human level by what is worth work, and surely above it."""
    dev, human = levels[DEV], levels[HUMAN]
    return dev.error - human.error >= params.relevant_gap and dev.low > human.high


def _dated(manifest: pd.DataFrame) -> bool:
    production = manifest[manifest["role"] == PRODUCTION]
    return len(production) > 0 and bool(production["captured_at"].notna().all())
