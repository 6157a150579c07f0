"""The members of the ensembles' benchmark: fitted to vectors instead of pictures, and kept on disk."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ensemble_sets import Values
from torch import nn

from pipeline.data.order import KeyedOrder
from pipeline.metrics.metric import metric_of
from pipeline.models.baseline_fits import Rows
from pipeline.models.baselines import Baseline
from pipeline.models.files import TrainedModel
from pipeline.project.params_file import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.training.baselines import fitted
from pipeline.training.ensembles.fits import Fitted, Task
from pipeline.training.features import RowFeatures, TrainFeatures, feature_batches
from pipeline.training.training import Fit, fit

UNITS = 64


class VectorFits:
    """Stands where fits to pictures are made: the same tasks, fitted to vectors."""

    def __init__(self, data: Any, vectors: Values, folder: Path | None = None) -> None:
        self._data, self._vectors, self._folder = data, vectors, folder
        self._known: dict[str, Fitted] = {}

    @property
    def seconds(self) -> float:
        """CPU seconds of all fits that were asked for, each counted once."""
        return sum(fitted.seconds for fitted in self._known.values())

    def of(self, tasks: Sequence[Task], _: str) -> list[Fitted]:
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Fitted:
        parts = task.params.model_dump_json().encode(), task.factors.tobytes(), task.asked.tobytes()
        key = hashlib.sha256(b"".join(parts)).hexdigest()
        if key not in self._known:
            file = self._folder / f"{key}.pt" if self._folder else None
            if file and file.exists():
                self._known[key] = torch.load(file, weights_only=False)
                return self._known[key]
            begun = time.process_time()
            self._known[key] = replace(self._fit(task), seconds=time.process_time() - begun)
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                torch.save(self._known[key], file)
        return self._known[key]

    def _fit(self, task: Task) -> Fitted:
        inside = task.factors > 0
        vectors, labels = self._vectors[inside], self._data.train.labels[inside]
        network = fitted_network(task.params, vectors, labels, task.factors[inside], len(self._data.classes))[0]
        asked = self._vectors[task.asked]
        found = probabilities(network, asked) if len(asked) else np.empty((0, len(self._data.classes)))
        model = TrainedModel(network, self._data.classes, load_params().ingest, task.params.model)
        return Fitted(found, model, [{}], 0, 0.0)


def fitted_network(
    params: TrainParams, vectors: Values, labels: Values, weights: Values, classes: int
) -> tuple[nn.Module, Fit | None]:
    """What params make of vectors: a baseline, or a network of one hidden layer, by the pipeline's own loop."""
    model = params.model
    if isinstance(model, Baseline):
        rows = Rows(vectors, labels, weights, np.ones(len(labels), np.bool_))
        return nn.Sequential(fitted(model, rows, classes, params.seed, 1)[1]), None
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
    torch.manual_seed(params.seed)
    network = nn.Sequential(
        Scaled(mean, deviation),
        nn.Linear(vectors.shape[1], UNITS),
        nn.BatchNorm1d(UNITS),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(UNITS, classes),
    )
    known = RowFeatures(torch.from_numpy(vectors), torch.arange(len(vectors)))
    size = params.batch_size - (len(vectors) % params.batch_size == 1)
    train = TrainFeatures(known, labels.astype(np.int64), weights, size, KeyedOrder(len(vectors), params.seed))
    # The last epoch is kept: dev, which is train here, has no part in the result.
    dev = feature_batches(known, labels.astype(np.int64), 4096)
    metric = metric_of(load_params().evaluate.optimizing, tuple(map(str, range(classes))))
    found = fit(network, train, dev, params.model_copy(update={"keep": "last"}), metric, classes, lambda _: None)
    return found.network, found


class Scaled(nn.Module):
    """Vectors of mean 0 and deviation 1."""

    def __init__(self, mean: Values, deviation: Values) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("deviation", torch.from_numpy(deviation.astype(np.float32)))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return (vectors - self.get_buffer("mean")) / self.get_buffer("deviation")


@torch.inference_mode()
def probabilities(network: nn.Module, vectors: Values) -> Values:
    return network.eval()(torch.from_numpy(vectors)).softmax(dim=1).numpy().astype(np.float64)
