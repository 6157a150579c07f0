"""Fit many models to the current training set, and rank them on dev in one table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.predictions import predict_rows, prediction_table
from pipeline.errors import DataError, MissingInputError, ParamsError
from pipeline.manifest import DEV
from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import MIN_GROUPS, metric_interval
from pipeline.metrics.metric import Metric, check_defined, metric_of
from pipeline.metrics.multiple_comparisons import judged_together
from pipeline.metrics.predictions import Predictions, checked_predictions
from pipeline.models.files import save_model
from pipeline.models.params import Model
from pipeline.problem.framing import decision
from pipeline.problem.problem import check_has_classes, is_multi_label
from pipeline.project.params_file import Params
from pipeline.stages.train.params import TrainParams
from pipeline.store.artifacts import table
from pipeline.store.writing import check_writable, replacing
from pipeline.tools.spot_check.candidates import candidates
from pipeline.tools.training_data import read_data
from pipeline.training.embedded import EmbeddedModel, Rows, cross_fitted
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import fit_model
from pipeline.training.semi_supervised import fit_with_unlabelled
from pipeline.workers.engine import Engine

NO_EMBEDDINGS = "there are no embeddings (embed.backbone: null): `pipeline init` chooses a backbone for photos"


@dataclass(frozen=True)
class Trial:
    """The result of one model: its values, or why there are none.

    train: of a model on embeddings, out of fold. ends: of the 95 % interval on dev, None where too few groups tell.
    influence: of each image of dev on the value, shape (n,).
    """

    name: str
    value: float = float("nan")
    train: float = float("nan")
    ends: tuple[float, float] | None = None
    influence: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False)
    seconds: float = 0.0
    megabytes: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Dev:
    """What a spot check measures on: the group of each image, codes from 0, and how many groups tell of the metric."""

    codes: npt.NDArray[np.intp]
    groups: int
    seed: int


def check_all(
    params: Params,
    names: Sequence[str],
    csv: Path | None,
    engine: Engine,
    on_trial: Callable[[Trial], object] = lambda _: None,
) -> tuple[pd.DataFrame, int]:
    """A row a model by name (all if none is named), the best on dev first; and the images of dev.

    Args:
        csv: a file that the table is written to as well.
        on_trial: called with each result as it comes.

    Raises:
        StorageError: the file cannot be written; said before any model is fitted.
    """
    check_has_classes(params.problem, "`pipeline spot-check`")
    if is_multi_label(params.problem):
        raise ParamsError(
            "a spot check compares models that give each image one class, and with problem multi_label an image may "
            "have several labels: compare networks with `dvc exp run`, or search with `pipeline tune`"
        )
    if csv is not None:
        check_writable(csv)
    data = read_data(params)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    check_defined(metric, data.dev.labels, data.classes, DEV)
    tried = []
    for name, model in candidates(params.train.model, list(names)).items():
        tried.append(_trial(name, model, data, params, metric, engine))
        on_trial(tried[-1])
    found = table_of(tried, metric, _dev(data, metric, params.evaluate.seed))
    if csv is not None:
        with replacing(csv) as half:
            table(str(csv)).write(found, half)
    return found, len(data.dev_rows)


def table_of(trials: Sequence[Trial], metric: Metric, dev: Dev) -> pd.DataFrame:
    """The trials as a table, the best first, those with problems last.

    low, high: ends of the 95 % interval of the value on dev; NaN where too few groups tell.
    noise: true where the difference from the first may be chance. All models are judged together
        (metrics/multiple_comparisons.py).
    """
    sign = -1 if metric.maximise else 1
    ranked = sorted((trial for trial in trials if not trial.problem), key=lambda trial: sign * trial.value)
    reach = _reach(ranked, dev)
    rows = []
    for trial, uncertain in zip(ranked, reach, strict=True):
        low, high = trial.ends or (float("nan"), float("nan"))
        rows.append(
            {
                "model": trial.name,
                metric.key: trial.value,
                "low": low,
                "high": high,
                "noise": abs(trial.value - ranked[0].value) <= uncertain,
                "train": trial.train,
                "seconds": round(trial.seconds, 1),
                "megabytes": trial.megabytes,
                "problem": "",
            }
        )
    return pd.DataFrame(
        [*rows, *({"model": trial.name, "problem": trial.problem} for trial in trials if trial.problem)]
    )


def trial_line(trial: Trial) -> str:
    """One line about a result, while the others are still to come."""
    return f"{trial.name}: {trial.problem or f'{trial.value:.4f} on dev'} ({trial.seconds:.1f} s)"


def _dev(data: TrainingData, metric: Metric, seed: int) -> Dev:
    codes = pd.factorize(data.dev_rows["group"].astype(str), sort=True)[0]
    perfect = Predictions(data.classes, data.dev.labels, data.dev.labels, None)
    return Dev(codes, len(np.unique(codes[metric.counted(perfect)])), seed)


def _reach(ranked: Sequence[Trial], dev: Dev) -> list[float]:
    """How far each model's difference from the first is uncertain; infinite where too few groups tell."""
    if not ranked or dev.groups < MIN_GROUPS:
        return [np.inf] * len(ranked)
    # In the order of names: draws depend on no other.
    order = sorted(range(len(ranked)), key=lambda place: ranked[place].name)
    influences = np.stack([ranked[place].influence for place in order])
    reach = judged_together(influences, dev.codes, dev.groups, ALPHA, dev.seed).reach[order.index(0)]
    return [float(reach[order.index(place)]) for place in range(len(ranked))]


def _trial(
    name: str, model: Model | EmbeddedModel, data: TrainingData, params: Params, metric: Metric, engine: Engine
) -> Trial:
    begun = time.perf_counter()
    try:
        if isinstance(model, EmbeddedModel):
            predictions, train, megabytes = _on_embeddings(model, data, params, metric)
        else:
            predictions, train, megabytes = _on_pixels(name, model, data, params, metric, engine)
    except (DataError, ParamsError, MissingInputError) as error:
        return Trial(name, problem=str(error))
    seconds = time.perf_counter() - begun
    seen = checked_predictions(predictions, data.classes)
    return Trial(
        name,
        value=metric.value(seen),
        train=train,
        ends=metric_interval(metric, seen, predictions["group"]),
        influence=image_influence(metric, seen),
        seconds=seconds,
        megabytes=megabytes,
    )


Measured = tuple[pd.DataFrame, float, float]
"""Predictions of dev, the metric on train, and the size of the model's file in MB, NaN without one."""


def _on_pixels(name: str, model: Model, data: TrainingData, params: Params, metric: Metric, engine: Engine) -> Measured:
    train: TrainParams = params.train.model_copy(update={"model": model})
    # Only the model of params is one that may learn from images without a label.
    fit_as_params_say = fit_with_unlabelled if model == params.train.model else fit_model
    trained, fit = fit_as_params_say(data, train, metric, engine)
    predictions = predict_rows(trained, data.dev_rows, data.dev.images, train.threads, engine, name)
    return predictions, fit.epochs[fit.epoch]["train/optimizing"], len(save_model(trained)) / 1e6


def _on_embeddings(model: EmbeddedModel, data: TrainingData, params: Params, metric: Metric) -> Measured:
    """The same by a model on embeddings: it sees each image of train once, whatever its variants are."""
    rows = data.rows.groupby("id", sort=True, observed=True).agg(
        {"sha256": "first", "label": "first", "group": "first", "weight": "sum"}
    )
    embeddings = catalogue.EMBEDDINGS.read(Path(catalogue.EMBEDDINGS.path))
    vectors, asked = (
        embeddings.of(contents.astype(str).tolist()) for contents in (rows["sha256"], data.dev_rows["sha256"])
    )
    if vectors is None or asked is None:
        raise MissingInputError(NO_EMBEDDINGS)
    labels = pd.Index(data.classes).get_indexer(pd.Index(rows["label"].astype(str)))
    weights = rows["weight"].to_numpy(np.float32)
    fitted = cross_fitted(
        model,
        Rows(vectors, labels, weights / weights.mean(), rows["group"].to_numpy(str), len(data.classes)),
        asked,
        params.train.seed,
        params.train.threads,
    )
    own: Any = Predictions(data.classes, labels, decision(data.framing, len(data.classes))(fitted.own), fitted.own)
    return (
        prediction_table(data.dev_rows, data.classes, fitted.asked.astype(np.float32), data.framing),
        metric.value(own),
        float("nan"),
    )
