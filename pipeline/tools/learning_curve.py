"""Fit train.model to nested parts of the training set, and say whether twice the images would help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline import catalogue
from pipeline.data.predictions import predict_rows, prediction_table
from pipeline.diagnosis.error_levels import ALPHA, metric_of_errors
from pipeline.diagnosis.learning_curve import ALL, CURVES, Answer, answer, check_images, images_in, part_of, sizes_of
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import DEV
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import check_defined, metric_of
from pipeline.metrics.predictions import checked_predictions, probability_columns
from pipeline.models.thresholds import halves_for
from pipeline.problem.problem import check_has_classes
from pipeline.project.params_file import Params
from pipeline.stages.train.params import TrainParams
from pipeline.store.writing import remove
from pipeline.tools.figures import write_figure
from pipeline.tools.training_data import fit_params, read_data
from pipeline.training.checkpoint import Checkpoint, KeyedCheckpoint
from pipeline.training.fit_data import TrainingData, part_of_data
from pipeline.training.semi_supervised import fit_with_unlabelled, key_of
from pipeline.workers.engine import Engine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = npt.NDArray[np.float64]
COLOURS = {"all": "#0072B2", "raw": "#E69F00", "production": "#009E73"}
TWICE = {"present": "twice would help", "absent": "twice would not help", "cannot tell": "cannot tell"}


@dataclass(frozen=True)
class PlannedFit:
    """A fit to make: the part of train, its number of rows, and where its predictions on dev are kept.

    The file's key is a digest of all that shapes the fit.
    """

    params: Params
    kept: KeyedCheckpoint
    curve: str
    share: float
    seed: int
    rows: int
    images: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """The fits of a learning curve, and why a curve was left out."""

    fits: Sequence[PlannedFit]
    curves: Sequence[str]
    notes: Sequence[str]
    missing: Sequence[PlannedFit]

    def summary(self) -> str:
        """One line that says how many fits there are and how many are left."""
        finished = len(self.fits) - len(self.missing)
        kept = f"{finished} finished before and kept in {catalogue.LEARNING_CURVE}, " if finished else ""
        return f"{len(self.fits)} fits of train.model: {kept}{len(self.missing)} to make"


@dataclass(frozen=True)
class LearningCurve:
    """The points, one row per fit; the answers; and why a curve was left out."""

    points: pd.DataFrame
    answers: Sequence[Answer]
    notes: Sequence[str]


def plan(params: Params, sizes: int, seeds: int) -> Plan:
    """Plan the fits for the error on dev by number of images: of all, of raw and of production images.

    Raises:
        DataError: train has too few images.
        ParamsError: a batch is larger than the smallest part.
    """
    check_has_classes(params.problem, "`pipeline learning-curve`")
    data = read_data(params)
    check_defined(metric_of(params.evaluate.optimizing, data.classes), data.dev.labels, data.classes, DEV)
    shares = sizes_of(sizes)
    check_images(data.rows, ALL, shares[0])
    curves, notes = _curves(data.rows, shares[0])
    folder = _folder_of_run(data, params)
    # All of train is the last point of every curve.
    places = [(ALL, 1.0, seed) for seed in range(seeds)]
    places += [(curve, share, seed) for curve in curves for share in shares[:-1] for seed in range(seeds)]
    fits = [_planned_fit(data, params, folder, *place) for place in places]
    smallest = min(planned_fit.rows for planned_fit in fits)
    if params.train.batch_size > smallest:
        raise ParamsError(
            f"train.batch_size is {params.train.batch_size}, and the smallest part of train has {smallest} rows: lower "
            "it, or use fewer sizes (--sizes)"
        )
    missing = {planned_fit.kept.key: planned_fit for planned_fit in fits if planned_fit.kept.load() is None}
    # The largest first, so that workers end at about the same time.
    return Plan(fits, curves, notes, sorted(missing.values(), key=lambda planned_fit: -planned_fit.rows))


def learning_curve(params: Params, planned: Plan, engine: Engine) -> LearningCurve:
    """Make the missing fits, and answer whether more images would help."""
    engine.map(_fit, planned.missing, "learning-curve", size=lambda planned_fit: planned_fit.rows)
    data = read_data(params)
    finished = [_measured(planned_fit, data, ALPHA / len(planned.curves)) for planned_fit in planned.fits]
    points, resampled = pd.DataFrame([one.point for one in finished]), np.stack([one.resampled for one in finished])
    ends = np.array([one.ends for one in finished])
    answers = [_answer(curve, planned.curves, points, resampled, ends, params) for curve in planned.curves]
    _drop_stale(_folder_of_run(data, params))
    return LearningCurve(points, answers, planned.notes)


def _answer(
    curve: str, curves: Sequence[str], points: pd.DataFrame, resampled: Numbers, ends: Numbers, params: Params
) -> Answer:
    own = points[_of(points, curve)]
    places = [own.index[own["share"] == share] for share in sorted(own["share"].unique())]
    images = [round(own.loc[rows, curve].mean()) for rows in places]
    errors = np.stack([own.loc[rows, "error"].to_numpy() for rows in places])
    drawn = np.stack([resampled[rows] for rows in places])
    evaluate, relevant = params.evaluate, params.diagnose.relevant_gap
    return answer(curve, images, errors, drawn, ends[places[-1]], len(curves), evaluate.seed, relevant)


def _curves(rows: pd.DataFrame, smallest: float) -> tuple[list[str], list[str]]:
    """The curves that train has images for, and why the others are not among them."""
    roles = rows["role"].astype(str).unique()
    if len(roles) < 2:
        return [ALL], [f"train has only {roles[0]} images, so one curve is enough"]
    curves, notes = [ALL], []
    for curve in CURVES[1:]:
        try:
            check_images(rows, curve, smallest)
            curves.append(curve)
        except DataError as error:
            notes.append(str(error))
    return curves, notes


def _folder_of_run(data: TrainingData, params: Params) -> Path:
    """Where fits lie that have one training set, dev, params and code in common."""
    return Path(catalogue.LEARNING_CURVE) / _key(data, params, 0)


def _drop_stale(folder: Path) -> None:
    """Remove the fits of other runs, and what a killed one left half-written."""
    for entry in sorted(folder.parent.glob("*")):
        if entry != folder:
            remove(entry)
    for half in folder.glob(".*.partial"):
        remove(half)


def _planned_fit(data: TrainingData, params: Params, folder: Path, curve: str, share: float, seed: int) -> PlannedFit:
    few = part_of_data(data, part_of(data.rows, curve, share, seed))
    images = {name: images_in(few.rows, name) for name in CURVES}
    key = _key(few, params, seed)
    return PlannedFit(params, Checkpoint(folder / f"{key}.pt").under(key), curve, share, seed, len(few.rows), images)


def _key(data: TrainingData, params: Params, seed: int) -> str:
    return key_of(data, replace(fit_params(params), train=_seeded(params, seed)))


def _seeded(params: Params, seed: int) -> TrainParams:
    return params.train.model_copy(update={"seed": params.train.seed + seed})


def _fit(planned_fit: PlannedFit) -> None:
    """Fit a part, and keep what it says of dev."""
    here, params = Engine(1), planned_fit.params
    data = read_data(params)
    few = part_of_data(data, part_of(data.rows, planned_fit.curve, planned_fit.share, planned_fit.seed))
    if _key(few, params, planned_fit.seed) != planned_fit.kept.key:
        raise DataError("train, dev or the code has changed since the learning curve was started: run it again")
    train = _seeded(params, planned_fit.seed)
    trained, _ = fit_with_unlabelled(few, train, metric_of(params.evaluate.optimizing, data.classes), here)
    predictions = predict_rows(trained, data.dev_rows, data.dev.images, train.threads, here, "dev")
    probabilities = predictions[probability_columns(trained.classes)].to_numpy()
    planned_fit.kept.save({"probabilities": torch.from_numpy(probabilities)})


class _Measured(NamedTuple):
    """A row of the points; the error in resamples of dev, shape (m,); and the ends of its interval, NaN without one."""

    point: dict[str, Any]
    resampled: Numbers
    ends: tuple[float, float]


def _measured(planned_fit: PlannedFit, data: TrainingData, alpha: float) -> _Measured:
    kept, classes = planned_fit.kept.load(), data.classes
    if kept is None:
        raise DataError(f"{catalogue.LEARNING_CURVE} was emptied while the learning curve was running: run it again")
    evaluate = planned_fit.params.evaluate
    halves = halves_for(classes, evaluate.optimizing)
    predictions = prediction_table(data.dev_rows, classes, kept["probabilities"].numpy(), data.framing, halves)
    metric, seen = metric_of_errors(evaluate, classes), checked_predictions(predictions, classes)
    resampled = 1 - metric.resampled(seen, predictions["group"], evaluate.bootstrap, evaluate.seed, DEV)
    point = {
        "curve": planned_fit.curve,
        "share": planned_fit.share,
        "seed": planned_fit.seed,
        **planned_fit.images,
        "error": 1 - metric.value(seen),
    }
    low, high = metric_interval(metric, seen, predictions["group"], alpha) or (np.nan, np.nan)
    return _Measured(point, resampled, (1 - high, 1 - low))


def write_result(found: LearningCurve, path: Path) -> tuple[Path, Path]:
    """Write the points to a CSV file and the curves to a picture of the same name; return both paths."""
    return write_figure(found.points, partial(_draw, found), "Would twice the images help?", path)


def _draw(found: LearningCurve, axes: "Axes") -> None:
    # It takes a second to import, and fitting does without.
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    for one in found.answers:
        rows = found.points[_of(found.points, one.curve)]
        axes.plot(rows[one.curve], 100 * rows["error"], "o", color=COLOURS[one.curve], alpha=0.5)
        images = np.geomspace(max(rows[one.curve].min(), 1), 2 * one.images, 50)
        fitted = [100 * float(one.law.at(size)[0]) for size in images]
        axes.plot(images, fitted, color=COLOURS[one.curve], label=f"{one.curve}: {TWICE[one.verdict]}")
        axes.axvline(one.images, color=COLOURS[one.curve], linestyle=":", linewidth=1)
    axes.set(xscale="log", xlabel="training images of the kind (dotted: now)", ylabel="error on dev, %", ylim=(0, None))
    axes.xaxis.set(
        major_locator=LogLocator(subs=(1, 2, 5)),
        minor_locator=NullLocator(),
        major_formatter=StrMethodFormatter("{x:,.0f}"),
    )


def _of(points: pd.DataFrame, curve: str) -> "pd.Series[bool]":
    """The points of a curve: its own parts, and all of train."""
    return (points["curve"] == curve) | (points["share"] == 1)
