"""Findings where images have numbers: parts of dev with larger errors than the rest, and a model that knows nothing."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.error_levels import ALPHA
from pipeline.diagnosis.failing_slices import RANGE, note_unless_worth_work, slice_name, slices_of, with_kinds
from pipeline.diagnosis.findings import NO_SKILL, SLICE, Finding
from pipeline.diagnosis.run import Run
from pipeline.diagnosis.units import NUMBERS
from pipeline.manifest import DEV, TRAIN
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import metric_of
from pipeline.metrics.number_evaluation import bins_of_truth
from pipeline.metrics.number_measures import numbers_of
from pipeline.metrics.predictions import checked_predictions, classes_of
from pipeline.problem.quantities import Quantity, numbers_in
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.training.loss_functions import guessing_loss

Floats = npt.NDArray[np.float64]


def failing_numbers(
    predictions: pd.DataFrame, manifest: pd.DataFrame, params: EvaluateParams, relevant: float
) -> tuple[list[Finding], int]:
    """Slices of dev whose mean absolute error is above that of the rest by what is worth work; how many were tested.

    Args:
        predictions: of the rows of the manifest, by id.
    """
    rows = with_kinds(predictions, manifest, params)
    seen = checked_predictions(rows, classes_of(predictions))
    rows = rows.assign(**{f"by {RANGE}": bins_of_truth(seen)})
    errors, groups = np.abs(numbers_of(seen).errors), rows["group"].astype(str).to_numpy()
    found: list[Finding] = []
    tests = 0
    # A model that says much the same of all images errs most at the ends of the range, which says nothing of them.
    skilled = not no_skill(predictions)
    for column, value, inside in slices_of(rows):
        if column == RANGE and not skilled:
            continue
        tests += 1
        part = inside.to_numpy(bool)
        error, rest = float(errors[part].mean()), float(errors[~part].mean())
        if error - rest < relevant:
            continue
        p = larger(_of_groups(errors[part], groups[part]), _of_groups(errors[~part], groups[~part]))
        images, excess = int(part.sum()), error - rest
        what = slice_name(rows, column, value, inside)
        words = (
            f"{what}: their mean absolute error is {NUMBERS.level(error)} ({images:,} images), "
            f"{NUMBERS.size(excess)} more than that of the rest"
        )
        figures = {"error": error, "images": images, "excess": excess}
        gain = excess * float(part.mean())
        each = Finding(SLICE, words, figures, p, gain=gain, subject=f"{column}={value}")
        found.append(note_unless_worth_work(each, column, params, relevant, NUMBERS))
    return found, tests


def larger(part: Floats, rest: Floats) -> float:
    """Welch's test, one-sided: the chance of a mean so much larger than the rest's by chance; 1 of single values."""
    if min(len(part), len(rest)) < 2 or (np.ptp(part) == 0 and np.ptp(rest) == 0):
        return 1.0
    from scipy.stats import ttest_ind_from_stats

    # From their means and deviations: of values that are all equal on one side scipy's other function warns.
    sides = [value for side in (part, rest) for value in (side.mean(), side.std(ddof=1), len(side))]
    return float(ttest_ind_from_stats(*sides, equal_var=False, alternative="greater").pvalue)


def _of_groups(values: Floats, groups: npt.NDArray[Any]) -> Floats:
    """The mean of each group: near copies and images of one patient are one observation."""
    return np.asarray(pd.Series(values).groupby(groups).mean().to_numpy(np.float64))


def no_skill(predictions: pd.DataFrame) -> list[Finding]:
    """Whether dev does not show that predictions are better than always the mean of its numbers."""
    dev = predictions[predictions["split"].astype(str) == DEV]
    seen = checked_predictions(dev, classes_of(predictions))
    metric = metric_of(METRICS["r2"].params(name="r2"), seen.classes)
    value, ends = metric.value(seen), metric_interval(metric, seen, dev["group"], ALPHA)
    if math.isnan(value) or ends is None or ends[0] > 0:
        return []
    words = (
        f"dev does not show that the model is better than always the mean number: R2 is {value:.3f} (95 % interval "
        f"{ends[0]:.3f} to {ends[1]:.3f}), and 0 is the mean. Either the images do not show the number, or the model "
        "has not learnt to read it"
    )
    return [Finding(NO_SKILL, words, {"r2": value, "low": ends[0], "high": ends[1]})]


def guessing(predictions: pd.DataFrame, run: Run) -> float | None:
    """The loss of always the same number, where images have numbers."""
    if not isinstance(classes_of(predictions), Quantity):
        return None
    train = predictions.loc[predictions["split"].astype(str) == TRAIN, "label"].astype(str)
    return guessing_loss(run.train.loss, numbers_in(train.to_numpy()))
