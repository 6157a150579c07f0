"""Fit many models to the current training set, and rank them on dev in one table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.data.loader import predict_rows
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import DEV
from pipeline.metrics.bootstrap import Values, interval
from pipeline.metrics.metric import Metric, check_defined, metric_of
from pipeline.metrics.predictions import checked_predictions
from pipeline.models.files import save_model
from pipeline.models.params import Model
from pipeline.project.params_file import Params
from pipeline.stages.train.params import TrainParams
from pipeline.store.artifacts import table
from pipeline.store.writing import check_writable, replacing
from pipeline.tools.spot_check.candidates import OWN, candidates
from pipeline.tools.training_data import read_data
from pipeline.training.fitting import TrainingData, fit_model
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class Trial:
    """The result of one model: its values, or why there are none."""

    name: str
    model: Model
    value: float = float("nan")
    train: float = float("nan")
    resampled: Values = field(default_factory=lambda: np.empty(0))
    seconds: float = 0.0
    megabytes: float = 0.0
    problem: str = ""


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
    if csv is not None:
        check_writable(csv)
    data = read_data(params)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    check_defined(metric, data.dev.labels, data.classes, DEV)
    tried = []
    for name, model in candidates(params.train.model, list(names)).items():
        tried.append(_trial(name, model, data, params, metric, engine))
        on_trial(tried[-1])
    found = table_of(tried, metric)
    if csv is not None:
        with replacing(csv) as half:
            table(str(csv)).write(found, half)
    return found, len(data.dev_rows)


def table_of(trials: Sequence[Trial], metric: Metric) -> pd.DataFrame:
    """The trials as a table, the best first, those with problems last.

    low, high: ends of the 95 % interval of the value on dev (bootstrap over groups).
    noise: true where the interval of the paired bootstrap difference from the first holds 0.
    """
    sign = -1 if metric.maximise else 1
    ranked = sorted((trial for trial in trials if not trial.problem), key=lambda trial: sign * trial.value)
    rows = []
    for trial in ranked:
        low, high = interval(trial.resampled)
        below, above = interval(trial.resampled - ranked[0].resampled)
        rows.append(
            {
                "model": trial.name,
                metric.key: trial.value,
                "low": low,
                "high": high,
                "noise": below <= 0 <= above,
                "train": trial.train,
                "seconds": round(trial.seconds, 1),
                "megabytes": trial.megabytes,
                "problem": "",
            }
        )
    return pd.DataFrame(
        [*rows, *({"model": trial.name, "problem": trial.problem} for trial in trials if trial.problem)]
    )


def print_table(ranked: pd.DataFrame, params: Params, images: int, console: Console) -> None:
    """Print it, and how to take a model over."""
    name = str(ranked.columns[1]) if len(ranked.columns) > 2 else "problem"
    shown = Table(title=f"{params.evaluate.optimizing.name} on dev ({images:,} images)", title_justify="left")
    shown.add_column("model")
    for column in (name, "95 % interval", "train", "seconds", "MB"):
        shown.add_column(column, justify="right")
    shown.add_column("remark")
    for number, row in enumerate(ranked.to_dict("records")):
        if row["problem"]:
            shown.add_row(row["model"], "", "", "", "", "", escape(str(row["problem"])))
            continue
        shown.add_row(
            row["model"],
            f"{row[name]:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
            f"{row['train']:.4f}",
            f"{row['seconds']:.1f}",
            f"{row['megabytes']:.2f}",
            "within noise of the first" if number and row["noise"] else "",
        )
    console.print(shown)
    console.print("train: on the balanced and augmented rows; of networks, measured during training")
    best = str(ranked["model"].iloc[0])
    if not ranked["problem"].iloc[0] and best != OWN:
        values = candidates(params.train.model, [best])[best].model_dump_json()
        console.print(f"To use {best}, set in params.yaml: train.model: {escape(values)}", soft_wrap=True)


def trial_line(trial: Trial) -> str:
    """One line about a result, while the others are still to come."""
    return f"{trial.name}: {trial.problem or f'{trial.value:.4f} on dev'} ({trial.seconds:.1f} s)"


def _trial(name: str, model: Model, data: TrainingData, params: Params, metric: Metric, engine: Engine) -> Trial:
    begun = time.perf_counter()
    train: TrainParams = params.train.model_copy(update={"model": model})
    try:
        trained, fit = fit_model(data, train, metric, engine)
        seconds = time.perf_counter() - begun
        predictions = predict_rows(trained, data.dev_rows, data.dev.images, train.threads, engine, name)
    except (DataError, ParamsError) as error:
        return Trial(name, model, problem=str(error))
    seen = checked_predictions(predictions, data.classes)
    evaluate = params.evaluate
    return Trial(
        name,
        model,
        value=metric.value(seen),
        train=fit.epochs[fit.epoch]["train/optimizing"],
        resampled=metric.resampled(seen, predictions["group"], evaluate.bootstrap, evaluate.seed, DEV),
        seconds=seconds,
        megabytes=len(save_model(trained)) / 1e6,
    )
