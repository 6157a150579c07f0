"""Fits of an ensemble's members: in parallel processes, and kept on disk, so that none is made twice.

A fit is kept under a key of all that shapes it: its params, rows, their weights, dev and the code. So a run that was
killed goes on with what is missing, and another choice of members fits the new ones alone. Fits to other rows, or by
other code, go once a run is finished.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.data.loader import batches
from pipeline.data.predictions import PREDICTION_BATCH
from pipeline.errors import DataError
from pipeline.metrics.metric import metric_of
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.layers import split_frozen
from pipeline.models.network import Network
from pipeline.models.prediction import predict
from pipeline.stages.train.params import TrainParams
from pipeline.store.shard_plan import digest
from pipeline.store.writing import remove
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.features import RowFeatures
from pipeline.training.fit_data import FitParams, TrainingData, data_key, part_of_data
from pipeline.training.fitting import features_of_rows, features_stay, fit_key, fit_model
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine, Files

# Between two lines that say how far it is.
SECONDS_BETWEEN_LINES = 30
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """A fit that is asked for.

    params: of its training. factors: shape (n,), what the weight of each row of train is multiplied by; rows of 0 are
    left out. asked: shape (n,), the rows that it is to predict. keeps_model: whether its network is needed.
    """

    params: TrainParams
    factors: npt.NDArray[np.float32] = field(repr=False)
    asked: Mask = field(repr=False)
    keeps_model: bool = False


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    probabilities: of the asked rows, in their order, shape (a, k). epochs, epoch: numbers of each epoch, and the one
    whose weights were kept, from 0. seconds: that it took when it was made.
    """

    probabilities: Floats = field(repr=False)
    model: TrainedModel | None
    epochs: list[dict[str, float]] = field(repr=False)
    epoch: int
    seconds: float


class Told:
    """Tells how many models are to be fitted, and about every half minute how many are left, and how long they take."""

    def __init__(
        self,
        title: str,
        models: int,
        kept: int,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._title, self._models, self._tell, self._clock = title, models, tell, clock
        self._done, self._begun = 0, clock()
        self._said = self._begun
        before = f", {kept:,} kept from before" if kept else ""
        tell(f"train: {title}: {models:,} model{'s' * (models != 1)} to fit{before}")

    def count(self, _: object, __: object) -> None:
        """One more is fitted."""
        self._done += 1
        now, left = self._clock(), self._models - self._done
        if not left or now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        minutes = (now - self._begun) / self._done * left / 60
        about = "less than a minute" if minutes < 1 else f"about {minutes:,.0f} minute{'s' * (round(minutes) != 1)}"
        self._tell(f"train: {self._title}: {self._done:,} of {self._models:,} models fitted, {about} left")


Known = tuple[RowFeatures, RowFeatures]


class Fits:
    """Makes and keeps fits to one training set.

    Args:
        folder: where fits are kept.
        tell: takes lines that say how far it is.
    """

    def __init__(
        self,
        data: TrainingData,
        params: FitParams,
        folder: Path,
        engine: Engine,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._data, self._params, self._engine, self._tell = data, params, engine, tell
        self._parent = folder
        self._known: dict[str, Known] = {}
        # Of all fits that were asked for, also of those that were kept.
        self.seconds = 0.0
        self.made = 0

    @cached_property
    def _folder(self) -> Path:
        return self._parent / digest(data_key(self._data, self._params), version_of(_fit, fit_model))

    def of(self, tasks: Sequence[Task], title: str) -> list[Fitted]:
        """What came of the tasks, in their order; those that are not kept are made first, in parallel."""
        places = [self._place(task) for task in tasks]
        missing = {place.key: (task, place) for task, place in zip(tasks, places, strict=True) if place.load() is None}
        if missing:
            known = {_model_key(task.params): self._features(task.params) for task, _ in missing.values()}
            fit = partial(_fit, self._data, self._params, known)
            # The longest first, so that workers end at about the same time.
            order = sorted(missing.values(), key=lambda each: -int((each[0].factors > 0).sum()) * each[0].params.epochs)
            # Minutes pass, in which a bar is not seen by who reads a log.
            told = Told(title, len(missing), len(tasks) - len(missing), self._tell)
            work = [(task, place.checkpoint.path, place.key) for task, place in order]
            self._engine.map(fit, work, title, files=Files(lambda _: [], told.count))
            self.made += len(missing)
        found = [self._read(task, place.load()) for task, place in zip(tasks, places, strict=True)]
        self.seconds += sum(fitted.seconds for fitted in found)
        return found

    def drop_stale(self) -> None:
        """Remove fits to other rows or by other code, and what a killed fit left of its own progress."""
        for entry in sorted(self._parent.glob("*")):
            if entry != self._folder:
                remove(entry)
        for entry in [*self._folder.glob("*.progress"), *self._folder.glob(".*")]:
            remove(entry)

    def _place(self, task: Task) -> Any:
        part = _rows_of(self._data, task)
        asked = task.asked.astype(np.uint8).tobytes().hex() if task.asked.any() else ""
        key = digest(fit_key(part, replace(self._params, train=task.params)), asked, str(task.keeps_model))
        return Checkpoint(self._folder / f"{key}.pt").under(key)

    def _read(self, task: Task, state: Mapping[str, Any] | None) -> Fitted:
        if state is None:
            raise DataError(f"{self._folder} was emptied while its models were fitted: run the command again")
        model = load_model(state["model"].numpy().tobytes(), task.params.model) if "model" in state else None
        probabilities = state["probabilities"].numpy()
        return Fitted(probabilities, model, list(state["epochs"]), int(state["epoch"]), float(state["seconds"]))

    def _features(self, params: TrainParams) -> Known | None:
        """What frozen layers make of train and dev, computed once for all fits behind the same layers."""
        data = self._data
        if not features_stay(data, params) or (isinstance(params.model, Network) and params.model.of_train):
            return None
        key = _model_key(params)
        if key not in self._known:
            self._known[key] = features_of_rows(data, params, self._engine)
        return self._known[key]


def _model_key(params: TrainParams) -> str:
    return f"{params.model.model_dump_json()} {params.threads}"


def _rows_of(data: TrainingData, task: Task) -> TrainingData:
    """The rows that a task is fitted to, with their weights."""
    inside = task.factors > 0
    part = part_of_data(data, inside)
    weights = part.rows["weight"].to_numpy(np.float32) * task.factors[inside]
    return replace(part, rows=part.rows.assign(weight=weights.astype(np.float32)))


def _fit(
    data: TrainingData, params: FitParams, known: Mapping[str, Known | None], asked: tuple[Task, Path, str]
) -> None:
    """Make a fit, and keep what came of it."""
    task, place, key = asked
    here = Engine(1)
    # In this process each picture is decoded once for all of its fits.
    features = known[_model_key(task.params)]
    if features is None:
        data.train.keep_pixels()
        data.dev.keep_pixels()
    part = _rows_of(data, task)
    if features is not None:
        part = replace(part, known=(features[0].part(task.factors > 0), features[1]))
    train = task.params.model_copy(update={"batch_size": _batch_size(task.params.batch_size, len(part.rows))})
    progress = Checkpoint(place.with_suffix(".progress"))
    metric = metric_of(params.optimizing, data.classes)
    model, fit = fit_model(part, train, metric, here, progress.under(key))
    state: dict[str, Any] = {
        "probabilities": torch.from_numpy(_predicted(model, data, task, features)),
        "epochs": fit.epochs,
        "epoch": fit.epoch,
        "seconds": fit.seconds,
    }
    if task.keeps_model:
        state["model"] = torch.frombuffer(bytearray(save_model(model)), dtype=torch.uint8)
    Checkpoint(place).save(key, state)
    progress.drop()


def _batch_size(asked: int, rows: int) -> int:
    """A batch that the rows fill, and that leaves no single row for the last batch, which batch norm cannot take."""
    size = min(asked, rows)
    while size > 2 and rows % size == 1:
        size -= 1
    return size


@torch.inference_mode()
def _predicted(model: TrainedModel, data: TrainingData, task: Task, known: Known | None) -> Floats:
    """Probabilities of the asked rows, shape (a, k)."""
    numbers = np.flatnonzero(task.asked)
    if not len(numbers):
        return np.empty((0, len(data.classes)))
    if known is None:
        dataset = data.train.part(task.asked)
        found = predict(
            model.network, batches(dataset, PREDICTION_BATCH, Engine(1)), task.params.threads, _advance_nothing
        )
        return found.astype(np.float64)
    _, head = split_frozen(model.network)
    parts = [numbers[start : start + PREDICTION_BATCH].tolist() for start in range(0, len(numbers), PREDICTION_BATCH)]
    return torch.cat([head(known[0].of(part)) for part in parts]).softmax(dim=1).numpy().astype(np.float64)


def _advance_nothing(_: int) -> None:
    """Bars are those of the whole."""
