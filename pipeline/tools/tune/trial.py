"""One trial: changed params -> a fitted model -> its value on dev, and how far it breaks limits."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.predictions import predict_rows
from pipeline.metrics.limits import LATENCY, check_limits, needs_latency
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import Limit, SliceError
from pipeline.metrics.predictions import checked_predictions, probability_columns
from pipeline.metrics.slices import with_slices
from pipeline.models.files import save_model
from pipeline.models.latency import p95_milliseconds
from pipeline.problem.framing import outputs_of
from pipeline.project.params_file import Params
from pipeline.tools.training_data import balanced_rows, read_data
from pipeline.training.fit_data import TrainingData, check_fits
from pipeline.training.semi_supervised import fit_with_unlabelled
from pipeline.workers.engine import Engine

# Called with the number of epochs done and dev's best metric so far; it may raise to end the trial.
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class TrialResult:
    """What a trial brought.

    value: of the optimizing metric on dev. broken: limit -> by how much it is broken; 0 or less: it holds.
    probabilities: of dev's images, in the order of their rows, shape (n, k). epochs: how many were run.
    """

    value: float
    broken: dict[str, float]
    epochs: int
    seconds: float
    probabilities: npt.NDArray[np.float32] = field(repr=False)


class _Watch:
    """Stands where a fit keeps its progress: a trial is not resumed, it is told about."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def load(self) -> Any:
        """Nothing: each trial begins anew."""
        return

    def due(self) -> bool:
        """Epochs are enough."""
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        """Report a finished epoch, counted on from fits that came before."""
        before, state = state.get("done", ()), state.get("fit", state)
        if state is None:
            return
        if state["epochs"] and not state["batches"]:
            self._report(
                sum(len(fit["epochs"]) for fit in before) + len(state["epochs"]),
                state["epochs"][state["best_epoch"]]["dev/optimizing"],
            )


class Shared:
    """The rows and decoded pictures that trials have in common; read once in a process."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._data = read_data(params)
        manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
        self.rows = manifest.reset_index(drop=True)

    def of(self, params: Params) -> TrainingData:
        """The data of a trial: the same as all others', unless its rows, variants or pictures are others."""
        if params.balance != self._params.balance:
            return read_data(params, balanced_rows(params))
        same_way = params.train.unlabelled.name == self._params.train.unlabelled.name
        if same_way and params.augment.variants == self._params.augment.variants:
            outputs = outputs_of(self._data.classes)
            check_fits(self._data.rows, self._data.dev_rows, params.train.batch_size, outputs)
            return self._data
        return read_data(params)


def run_trial(params: Params, shared: Shared, report: Report) -> TrialResult:
    """Fit the model of params and measure it on dev.

    Raises:
        PipelineError: it cannot be fitted: the loss is no number, memory ran out.
    """
    begun = time.perf_counter()
    data, evaluate, engine = shared.of(params), params.evaluate, Engine(1)
    metric = metric_of(evaluate.optimizing, data.classes)
    trained, fit = fit_with_unlabelled(data, params.train, metric, engine, _Watch(report))
    predictions = predict_rows(trained, data.dev_rows, data.dev.images, params.train.threads, engine, "dev")
    facts = {"model_megabytes": len(save_model(trained)) / 1e6}
    if needs_latency(evaluate):
        facts[LATENCY.name] = p95_milliseconds(trained, params.train.threads)
    dev = predictions.reset_index(drop=True)
    if any(isinstance(limit.metric, SliceError) for limit in evaluate.satisficing.values()):
        dev = _sliced(shared.rows, dev, params)
    limits = check_limits(dev, data.classes, facts, evaluate)
    return TrialResult(
        value=metric.value(checked_predictions(predictions, data.classes)),
        broken={name: _excess(evaluate.satisficing[name], limit.value, limit.held) for name, limit in limits.items()},
        epochs=len(fit.epochs),
        seconds=time.perf_counter() - begun,
        probabilities=predictions[probability_columns(data.classes)].to_numpy(np.float32),
    )


def _sliced(rows: pd.DataFrame, dev: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Dev's predictions with the columns to slice by, cut as for all splits together, as evaluate does."""
    called = dev.set_index("id")["predicted"]
    whole = rows[["id", "group", "split", "label"]].assign(predicted=rows["id"].map(called).fillna(rows["label"]))
    sliced = with_slices(whole, rows, params.evaluate)
    ordered: pd.DataFrame = sliced.set_index("id").loc[dev["id"].tolist()].reset_index()
    columns = [name for name in dev.columns if name not in ordered.columns]
    return ordered.assign(**{name: dev[name].to_numpy() for name in columns})


def _excess(limit: Limit, value: float, held: bool) -> float:
    """By how much a value breaks its limit; 0 or less where it holds."""
    if held:
        return 0.0
    return max(
        -math.inf if limit.min is None else limit.min - value,
        -math.inf if limit.max is None else value - limit.max,
    )
