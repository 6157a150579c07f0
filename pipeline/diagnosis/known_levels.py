"""All error levels that are known of a run: of its predictions, of what people said, and of test."""

from collections.abc import Mapping

import pandas as pd

from pipeline.diagnosis.error_levels import HUMAN, Level, given, levels_of, measured, metric_of_errors
from pipeline.diagnosis.error_levels import PRODUCTION as LIVE
from pipeline.diagnosis.feedback import Table, answers, outcomes
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.manifest import TEST
from pipeline.metrics.predictions import classes_of
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.evaluate.params import EvaluateParams


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


def _check_images(predictions: pd.DataFrame, manifest: pd.DataFrame) -> None:
    lost = predictions.loc[~predictions["id"].isin(manifest["id"]), "id"]
    if len(lost):
        raise DataError(
            f"{len(lost)} of {len(predictions)} predictions are of images that the manifest lacks ({listing(lost)}), "
            "so they are from another run: run `dvc repro evaluate`"
        )
