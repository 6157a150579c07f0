"""Manifests, shards and params -> a fitted model: what the stage train does, and what tries models out."""

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from pipeline.data.loader import Batch, batches
from pipeline.data.predictions import PREDICTION_BATCH
from pipeline.data.statistics import channel_statistics
from pipeline.errors import ParamsError
from pipeline.metrics.metric import Metric
from pipeline.models.baselines import Baseline, baseline_has_one_class, baseline_problem, features_of
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel
from pipeline.models.layers import split_frozen
from pipeline.models.network import Network, Pretrained
from pipeline.models.networks import NETWORKS, Factory
from pipeline.models.own import digest_of_factory
from pipeline.models.prediction import predict
from pipeline.models.thresholds import Thresholds, criterion_of
from pipeline.problem.framing import Numeric, decision
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.randomness import keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.store.reading import hashed_file
from pipeline.store.shard_plan import digest
from pipeline.training import training
from pipeline.training.checkpoint import Progress
from pipeline.training.checks import check_last_batch
from pipeline.training.features import RowFeatures, computed_features, feature_batches
from pipeline.training.fit_data import FitParams, TrainingData, data_key, training_data
from pipeline.training.fit_rows import FitRows
from pipeline.training.forecast import Length, announced
from pipeline.training.loop import TrainBatches
from pipeline.training.losses import row_weights
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine
from pipeline.workers.libraries import keep_freed_tensors
from pipeline.workers.progress import progress
from pipeline.workers.stopping import stop_deferred

# Of features that are kept in memory, 4 bytes each: 2 GB, which is 400,000 rows of 1,280.
MAX_FEATURE_NUMBERS = 512_000_000


def fit_key(data: TrainingData, params: FitParams) -> str:
    """A digest of all that shapes the weights: code, params, rows and, by the names of shards, pixels."""
    code = version_of(fit_model, training_data)
    if isinstance(params.train.model, Factory):
        code += digest_of_factory(params.train.model)
    return digest(code, data_key(data, params), json.dumps(params.train.model_dump(), sort_keys=True))


def fit_model(
    data: TrainingData,
    params: TrainParams,
    metric: Metric,
    engine: Engine,
    checkpoint: Progress | None = None,
    tell: Callable[[str], None] = lambda _: None,
    start: nn.Module | None = None,
) -> tuple[TrainedModel, training.Fit]:
    """The model of params, fitted to labelled images; semi_supervised.py goes on from there.

    Args:
        checkpoint: where a network's fit goes on from, and where it saves its state: with it, SIGTERM and Ctrl-C wait
            until the state is saved.
        tell: takes lines that say how long it will take.
        start: a network to begin from, which is changed; None: from fresh weights.
    """
    begun = time.perf_counter()
    keep_freed_tensors()
    metric = fitted_by(metric, data)
    if not features_stay(data, params):
        data.train.keep_pixels()
        data.dev.keep_pixels()
    if isinstance(params.model, Baseline):
        if isinstance(data.classes, LabelNames):
            raise ParamsError(baseline_has_one_class(params.model.name))
        if problem := baseline_problem(params.model.name, isinstance(data.classes, Quantity)):
            raise ParamsError(problem)
        fit = _fit_baseline(params.model, data, params, metric, engine)
        fit = replace(fit, seconds=time.perf_counter() - begun)
        return TrainedModel(fit.network, data.classes, data.ingest, params.model, data.framing), fit
    network = fresh_network(params.model, data, params, engine) if start is None else start
    trained, known = _trained_part(network, data, params, engine)
    rows = FitRows(data.train, loss_weights(data, params), data.train.keeps_pixels, known and known[0], params)
    with (
        _shared_by_devices(trained, rows, metric, engine),
        _rows_for(data, known, rows, engine) as (train, dev),
        _checkpoints(checkpoint) as checkpoints,
        progress("train", len(train) * params.epochs, before=checkpoints.batches_done(len(train))) as advance,
    ):
        done = checkpoints.batches_done(len(train))
        dev_batches = math.ceil(len(data.dev) / params.batch_size)
        length = Length(len(data.rows), len(train), dev_batches, params.epochs, params.patience, done)
        count = announced(length, tell, advance)
        fit = training.fit(trained, train, dev, params, metric, len(data.classes), count, checkpoints)
        # Of a fit that went on after a stop as if it had not been stopped.
        whole = len(fit.epochs) * len(train)
        fit = replace(fit, seconds=(time.perf_counter() - begun) * whole / max(whole - done, 1))
    if trained is not network:
        fit = replace(fit, network=network.cpu().eval())
    model = TrainedModel(fit.network, data.classes, data.ingest, params.model, data.framing)
    return (
        _with_thresholds(model, data, params, metric, engine) if isinstance(data.classes, LabelNames) else model
    ), fit


def fitted_by(metric: Metric, data: TrainingData) -> Metric:
    """The metric with what it needs of the data while a model is fitted: how to decide, or the spread of numbers."""
    if isinstance(data.framing, Numeric):
        return replace(metric, deviation=data.framing.deviation)
    return replace(metric, decide=decision(data.framing, len(data.classes)))


def _with_thresholds(
    model: TrainedModel, data: TrainingData, params: TrainParams, metric: Metric, engine: Engine
) -> TrainedModel:
    """The model with the thresholds of its labels that are best on dev."""
    with batches(data.dev, PREDICTION_BATCH, engine) as dev:
        probabilities = predict(model.network, dev, params.threads, lambda _: None, engine.workers, "labels")
    criterion = criterion_of(metric)
    return replace(
        model, thresholds=Thresholds.chosen(data.dev.labels > 0, probabilities.astype(np.float64), criterion)
    )


def with_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network with other weights, of all of its layers or of those behind its frozen ones."""
    found = copy.deepcopy(network)
    _, head = split_frozen(found)
    own = found if found.state_dict().keys() == weights.keys() else head
    own.load_state_dict(weights)
    return found.eval()


def features_stay(data: TrainingData, params: TrainParams) -> bool:
    """Whether frozen layers would give each row the same features in every epoch, so that once is enough.

    Not if there are so many pictures that their features would fill the memory.
    """
    numbers = params.model.frozen_numbers if isinstance(params.model, Pretrained | Baseline) else None
    if numbers is None or data.pairs is not None:
        return False
    stored = data.train.variants is None or not (data.train.copies > 0).any()
    fits = (len(data.train) + len(data.dev)) * numbers <= MAX_FEATURE_NUMBERS
    return bool(stored) and params.mixing.name == "none" and fits


def _trained_part(
    network: nn.Module, data: TrainingData, params: TrainParams, engine: Engine
) -> tuple[nn.Module, tuple[RowFeatures, RowFeatures] | None]:
    """What is trained: the network, or the layers behind its frozen ones, with what these make of train and dev."""
    if not features_stay(data, params):
        return network, None
    frozen, head = split_frozen(network)
    return head, data.known or _features(frozen, data, params, engine)


@contextmanager
def _shared_by_devices(trained: nn.Module, rows: FitRows, metric: Metric, engine: Engine) -> Iterator[None]:
    """Inside, the processes that `train.devices` asks for share each batch; with one nothing is different."""
    if rows.params.devices == 1:
        yield
        return
    # torch.distributed takes half a second to import.
    from pipeline.training.data_parallel.other_processes import Share, helped

    workers = max(1, engine.workers // rows.params.devices)
    opened = partial(rows.opened, Engine(workers))
    with helped(Share(trained, rows.params, opened, metric)):
        yield


@contextmanager
def _rows_for(
    data: TrainingData, known: tuple[RowFeatures, RowFeatures] | None, rows: FitRows, engine: Engine
) -> Iterator[tuple[TrainBatches, Iterable[Batch]]]:
    """The batches of train and dev."""
    params = rows.params
    with rows.opened(engine) as train:
        if known is not None:
            yield train, feature_batches(known[1], data.dev.labels, params.batch_size)
            return
        with batches(data.dev, params.batch_size, engine, params.epochs) as dev:
            if data.pairs is None:
                yield train, dev
                return
            from pipeline.training.consistency import PairedBatches, pair_loader

            with pair_loader(data.pairs, data.train, params, len(train), engine) as pairs:
                yield PairedBatches(train, pairs), dev


def features_of_rows(data: TrainingData, params: TrainParams, engine: Engine) -> tuple[RowFeatures, RowFeatures]:
    """What the frozen layers of params make of train and of dev; `features_stay` must hold."""
    model = params.model
    if isinstance(model, Baseline):
        return _features(features_of(model), data, params, engine)
    frozen, _ = split_frozen(fresh_network(model, data, params, engine))
    return _features(frozen, data, params, engine)


def _features(
    frozen: nn.Module, data: TrainingData, params: TrainParams, engine: Engine
) -> tuple[RowFeatures, RowFeatures]:
    return (
        computed_features(frozen, data.train, params.threads, engine, "train: features"),
        computed_features(frozen, data.dev, params.threads, engine, "dev: features"),
    )


def fresh_network(model: Network, data: TrainingData, params: TrainParams, engine: Engine) -> nn.Module:
    """The network of params before its first step.

    Raises:
        PipelineError: there is no such file of pretrained weights, or it cannot be used.
    """
    mean, std = channel_statistics(data.train, engine) if model.of_train else (np.zeros(3), np.ones(3))
    classes, size, seed = len(data.classes), data.ingest.size, keyed_seed(params.seed, "weights")
    network = build_model(model, classes, size, mean, std, seed, data.framing)
    load = NETWORKS.of(model).load
    if load is not None:
        load(model, network, lambda file, sha256: hashed_file(Path(file), sha256))
    check_last_batch(network, len(data.train), data.ingest.size, params.batch_size)
    return network


def loss_weights(data: TrainingData, params: TrainParams) -> npt.NDArray[np.float32]:
    """What each row of train weighs in the loss, shape (n,): balance's weight times that of its class."""
    weights = data.rows["weight"].to_numpy(np.float32, copy=True)  # torch takes no read-only memory
    return row_weights(weights, data.train.labels, data.classes, params.class_weights)


def _fit_baseline(
    model: Baseline, data: TrainingData, params: TrainParams, metric: Metric, engine: Engine
) -> training.Fit:
    # scikit-learn takes a second to import, and networks do without.
    from pipeline.training.baselines import TrainRows, fit_baseline

    weights, first = loss_weights(data, params), data.train.copies == 0
    if features_stay(data, params):
        parts = [
            feature_batches(known, of.labels, params.batch_size)
            for known, of in zip(
                data.known or features_of_rows(data, params, engine), (data.train, data.dev), strict=True
            )
        ]
        rows = TrainRows(parts[0], weights, first)
        return fit_baseline(model, rows, parts[1], params, metric, len(data.classes), lambda _: None)
    with (
        batches(data.train, params.batch_size, engine) as train,
        batches(data.dev, params.batch_size, engine) as dev,
        progress("train", len(train)) as advance,
    ):
        rows = TrainRows(train, weights, first)
        return fit_baseline(model, rows, dev, params, metric, len(data.classes), advance)


@contextmanager
def _checkpoints(checkpoint: Progress | None) -> Iterator[training.Checkpoints]:
    if checkpoint is None:
        yield training.Checkpoints()
        return
    with stop_deferred() as stopping:
        yield training.Checkpoints(checkpoint.load(), checkpoint.save, checkpoint.due, stopping)
