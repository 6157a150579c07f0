"""Fits the model to the augmented training rows; dev says which epoch was best."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline import catalogue
from pipeline.core import training
from pipeline.core.manifest import BALANCED, DEV, SPLIT, check_manifest
from pipeline.core.models import TrainedModel, build_model, save_model
from pipeline.core.optimizing import check_defined, metric_of
from pipeline.core.order import KeyedOrder
from pipeline.core.randomness import keyed_seed
from pipeline.dataset import RowDataset, Variants, channel_statistics
from pipeline.engine import Engine, progress
from pipeline.loader import batches, weighted_batches
from pipeline.params import AnyMetric, AnyTransform, IngestParams, TrainParams
from pipeline.shards import ShardReader
from pipeline.stages import Stage


@dataclass(frozen=True)
class TrainOutputs:
    """The model as a safetensors file, and numbers per epoch."""

    model: bytes
    curves: list[dict[str, float]]
    summary: str


def train(
    augmented: pd.DataFrame,
    manifest: pd.DataFrame,
    originals: ShardReader,
    copies: ShardReader,
    params: TrainParams,
    mode: Literal["materialise", "online"],
    transforms: Sequence[AnyTransform],
    augment_seed: int,
    ingest: IngestParams,
    optimizing: AnyMetric,
    engine: Engine,
) -> TrainOutputs:
    """The model with the weights of the epoch that was best on dev."""
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    check_manifest(manifest, SPLIT)
    classes = tuple(sorted(rows["label"].astype(str).unique()))
    metric = metric_of(optimizing, classes)
    images = ShardReader(*originals.folders, *copies.folders)
    size = ingest.size
    variants = _online_variants(transforms, augment_seed) if mode == "online" else None
    train_set = RowDataset(rows, images, classes, size, variants)
    dev_set = RowDataset(manifest[manifest["split"] == DEV], images, classes, size)
    check_defined(metric, dev_set.labels, classes, DEV)
    mean, std = channel_statistics(train_set, engine)
    network = build_model(params.model, len(classes), size, mean, std, keyed_seed(params.seed, "weights"))
    _hush_lightning()
    order = KeyedOrder(len(train_set), params.seed)
    weights = rows["weight"].to_numpy()
    with (
        weighted_batches(train_set, weights, params.batch_size, order, engine, params.epochs) as train_batches,
        batches(dev_set, params.batch_size, engine, params.epochs) as dev_batches,
        progress("train", len(train_batches) * params.epochs) as advance,
    ):
        fit = training.fit(network, train_batches, dev_batches, params, metric, len(classes), advance)
    best = fit.epochs[fit.best_epoch]
    return TrainOutputs(
        model=save_model(TrainedModel(fit.network, classes, ingest, params.model)),
        curves=fit.epochs,
        summary=f"{len(fit.epochs)} epochs, best {fit.best_epoch}: dev {metric.key} {best['dev/optimizing']:.4f}",
    )


def _online_variants(transforms: Sequence[AnyTransform], seed: int) -> Variants:
    # albumentations takes a second to import, and only online mode needs it.
    from pipeline.core.online import online_variants

    return online_variants(transforms, seed)


def _hush_lightning() -> None:
    """Lightning's hints (other loggers, more loader workers) are not for users of a stage."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


STAGE = Stage(
    name="train",
    function=train,
    params={
        "params": "train",
        "mode": "augment.mode",
        "transforms": "augment.transforms",
        "augment_seed": "augment.seed",
        "ingest": "ingest",
        "optimizing": "evaluate.optimizing",
    },
    reads={
        "augmented": catalogue.AUGMENTED,
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "copies": catalogue.COPIES,
    },
    writes={"model": catalogue.MODEL, "curves": catalogue.CURVES},
)
