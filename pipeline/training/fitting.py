"""Manifests, shards and params -> a fitted model: what the stage train does, and what tries models out."""

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor, nn

from pipeline.data.dataset import RowDataset, Variants, channel_statistics
from pipeline.data.loader import PREDICTION_BATCH, batches, weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.errors import DataError, ParamsError
from pipeline.framing import UNRELATED, Framing, decision
from pipeline.label_sets import LabelNames, names_in
from pipeline.manifest import BALANCED, DEV, SPLIT, check_manifest
from pipeline.metrics.metric import Metric
from pipeline.metrics.params import AnyMetric
from pipeline.models.baselines import Baseline, features_of
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel
from pipeline.models.layers import split_frozen
from pipeline.models.network import Network, Pretrained
from pipeline.models.networks import NETWORKS, Factory
from pipeline.models.own import digest_of_factory
from pipeline.models.prediction import predict
from pipeline.models.thresholds import Thresholds, criterion_of
from pipeline.problem import Problem, framed, is_multi_label
from pipeline.problem_rules import baseline_has_one_class
from pipeline.randomness import keyed_seed
from pipeline.stages.augment.params import VariantParams
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.train.params import TrainParams
from pipeline.store.reading import hashed_file
from pipeline.store.shard_plan import digest
from pipeline.store.shards import ShardReader
from pipeline.training import training
from pipeline.training.checkpoint import Progress, library_versions, table_digest
from pipeline.training.features import RowFeatures, TrainFeatures, computed_features, feature_batches
from pipeline.training.forecast import Length, announced
from pipeline.training.loop import Batch, TrainBatches
from pipeline.training.losses import row_weights
from pipeline.training.unlabelled import UNLABELLED, Unlabelled
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine
from pipeline.workers.libraries import keep_freed_tensors
from pipeline.workers.progress import progress
from pipeline.workers.stopping import stop_deferred

# Of features that are kept in memory, 4 bytes each: 2 GB, which is 400,000 rows of 1,280.
MAX_FEATURE_NUMBERS = 512_000_000


@dataclass(frozen=True)
class FitParams:
    """The params that a fit depends on: sections of params.yaml, the metric that chooses the epoch, and variants.

    problem: what the model tells apart; None for classes as they are.
    """

    train: TrainParams
    variants: VariantParams
    ingest: IngestParams
    optimizing: AnyMetric
    problem: Problem


@dataclass(frozen=True)
class TrainingData:
    """What a model is fitted to, and what says which epoch was best.

    rows: of train, as balanced and augmented; dev_rows: of dev, as they were photographed.
    classes: in the order of their numbers. framing: how they relate. known: what the frozen layers make of train and of
    dev, where an earlier fit to the same pictures has computed it. unlabelled: images without a label that training may
    learn from. pairs: those of which each batch gets some, as a weak and a strong variant.
    """

    rows: pd.DataFrame
    dev_rows: pd.DataFrame
    classes: tuple[str, ...]
    ingest: IngestParams
    train: RowDataset
    dev: RowDataset
    known: tuple[RowFeatures, RowFeatures] | None = None
    unlabelled: pd.DataFrame | None = None
    pairs: pd.DataFrame | None = None
    framing: Framing = UNRELATED


def training_data(
    augmented: pd.DataFrame,
    manifest: pd.DataFrame,
    images: ShardReader,
    params: FitParams,
    unlabelled: pd.DataFrame | None = None,
) -> TrainingData:
    """The rows of both sets, checked.

    Args:
        unlabelled: images without a label that training may learn from; they are left where params use none.

    Raises:
        DataError: train has one class, or lacks one that dev has; or params ask for images without a label, and there
            are none.
        ParamsError: a batch would be larger than train.
    """
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    check_manifest(manifest, SPLIT)
    used = check_unlabelled(params.train.unlabelled, unlabelled)
    dev_rows = manifest[manifest["split"] == DEV]
    several = is_multi_label(params.problem)
    check_fits(rows, dev_rows, params.train.batch_size, several)
    classes, framing = framed(params.problem, _rows_of_classes(rows, several))
    train_set = RowDataset(rows, images, classes, params.ingest.size, _online_variants(params.variants))
    dev_set = RowDataset(dev_rows, images, classes, params.ingest.size)
    return TrainingData(rows, dev_rows, classes, params.ingest, train_set, dev_set, framing=framing, unlabelled=used)


def check_unlabelled(params: Unlabelled, unlabelled: pd.DataFrame | None) -> pd.DataFrame | None:
    """The images without a label that training learns from; None where it learns from none.

    Raises:
        DataError: params ask for some, and there are none.
    """
    if unlabelled is None or not UNLABELLED.of(params).learns:
        return None
    if unlabelled.empty:
        raise DataError(
            f"train.unlabelled is {params.name}, and no production image without a label is there to learn from "
            "(those that share a group with train_dev, dev or test do not count): add a production source with labels: "
            "{name: none}, or set train.unlabelled to {name: none}"
        )
    return check_manifest(unlabelled, SPLIT)


def check_fits(rows: pd.DataFrame, dev_rows: pd.DataFrame, batch_size: int, several: bool = False) -> None:
    """Check that a model can be fitted to rows of train and measured on those of dev.

    Raises:
        DataError: train has one class, or lacks one that dev has.
        ParamsError: a batch would be larger than train.
    """
    counts, in_dev = (_rows_of_classes(part, several) for part in (rows, dev_rows))
    training.check_rows(counts, in_dev, batch_size, len(rows), several)


def part_of_data(data: TrainingData, inside: npt.NDArray[np.bool_]) -> TrainingData:
    """The same with some rows of train, shape (n,), alone."""
    return replace(data, known=None, rows=data.rows[inside], train=data.train.part(inside))


def data_key(data: TrainingData, params: FitParams) -> str:
    """A digest of what shapes a fit beside the code and the params of train: rows and, by names of shards, pixels."""
    columns = ["id", "label", "shard", "row"]
    tables = [table_digest(data.rows, [*columns, "copy", "weight"]), table_digest(data.dev_rows, columns)]
    tables += [] if data.unlabelled is None else [table_digest(data.unlabelled, columns)]
    variants = params.variants
    made = [variants.mode, variants.seed, [transform.model_dump() for transform in variants.transforms]]
    related = [data.classes, data.framing.model_dump()]
    shaping: list[Any] = [data.ingest.size, params.optimizing.model_dump(), related, *made]
    if isinstance(data.classes, LabelNames):
        shaping.append("several labels")
    return digest(*library_versions(), *tables, json.dumps(shaping, sort_keys=True))


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
    metric = replace(metric, decide=decision(data.framing, len(data.classes)))
    if not features_stay(data, params):
        data.train.keep_pixels()
        data.dev.keep_pixels()
    if isinstance(params.model, Baseline):
        if isinstance(data.classes, LabelNames):
            raise ParamsError(baseline_has_one_class(params.model.name))
        fit = _fit_baseline(params.model, data, params, metric, engine)
        fit = replace(fit, seconds=time.perf_counter() - begun)
        return TrainedModel(fit.network, data.classes, data.ingest, params.model, data.framing), fit
    network = fresh_network(params.model, data, params, engine) if start is None else start
    with (
        _rows_for(network, data, params, engine) as (trained, train, dev),
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


def _with_thresholds(
    model: TrainedModel, data: TrainingData, params: TrainParams, metric: Metric, engine: Engine
) -> TrainedModel:
    """The model with the thresholds of its labels that are best on dev."""
    with batches(data.dev, PREDICTION_BATCH, engine) as dev:
        probabilities = predict(model.network, dev, params.threads, lambda _: None, engine.workers, several=True)
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


@contextmanager
def _rows_for(
    network: nn.Module, data: TrainingData, params: TrainParams, engine: Engine
) -> Iterator[tuple[nn.Module, TrainBatches, Iterable[Batch]]]:
    """What is trained, the network or the layers behind its frozen ones, and the batches of train and dev for it."""
    order, weights = KeyedOrder(len(data.train), params.seed), loss_weights(data, params)
    if features_stay(data, params):
        frozen, head = split_frozen(network)
        seen, seen_dev = data.known or _features(frozen, data, params, engine)
        train = TrainFeatures(seen, data.train.labels, weights, params.batch_size, order)
        yield head, train, feature_batches(seen_dev, data.dev.labels, params.batch_size)
        return
    with (
        weighted_batches(data.train, weights, params.batch_size, order, engine, params.epochs) as rows,
        batches(data.dev, params.batch_size, engine, params.epochs) as dev,
    ):
        if data.pairs is None:
            yield network, rows, dev
            return
        from pipeline.training.consistency import PairedBatches, pair_loader

        with pair_loader(data.pairs, data.train, params, len(rows), engine) as pairs:
            yield network, PairedBatches(rows, pairs), dev


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
    training.check_last_batch(network, len(data.train), data.ingest.size, params.batch_size)
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


def _rows_of_classes(rows: pd.DataFrame, several: bool) -> dict[str, int]:
    """How many rows each class has, or each label."""
    counts = rows["label"].astype(str).value_counts()
    found: dict[str, int] = {}
    for text, count in zip(counts.index, counts.tolist(), strict=True):
        for name in names_in(text) if several else (text,):
            found[name] = found.get(name, 0) + count
    return found


def _online_variants(params: VariantParams) -> Variants | None:
    if params.mode != "online":
        return None
    # albumentations takes a second to import, and only online mode needs it.
    from pipeline.transforms.online import online_variants

    return online_variants(params.transforms, params.seed)


@contextmanager
def _checkpoints(checkpoint: Progress | None) -> Iterator[training.Checkpoints]:
    if checkpoint is None:
        yield training.Checkpoints()
        return
    with stop_deferred() as stopping:
        yield training.Checkpoints(checkpoint.load(), checkpoint.save, checkpoint.due, stopping)
