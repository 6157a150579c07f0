"""Fits the model to the augmented training rows; dev says which epoch was best."""

import logging
import math
import warnings
from dataclasses import dataclass

import pandas as pd

from pipeline import catalogue
from pipeline.core import training
from pipeline.core.manifest import BALANCED, DEV, SPLIT, check_manifest
from pipeline.core.models import TrainedModel, build_model, save_model
from pipeline.core.randomness import keyed_seed
from pipeline.engine import progress
from pipeline.loader import RowDataset, batches, channel_statistics, weighted_batches
from pipeline.params import TrainParams
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
    size: int,
    optimizing: str,
) -> TrainOutputs:
    """The model with the weights of the epoch that was best on dev."""
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    check_manifest(manifest, SPLIT)
    classes = tuple(sorted(rows["label"].astype(str).unique()))
    images = ShardReader(*originals.folders, *copies.folders)
    train_set = RowDataset(rows, images, classes)
    dev_set = RowDataset(manifest[manifest["split"] == DEV], images, classes)
    mean, std = channel_statistics(train_set)
    network = build_model(params.model, len(classes), size, mean, std, keyed_seed(params.seed, "weights"))
    _hush_lightning()
    order = training.KeyedOrder(len(train_set), params.seed)
    with progress("train", math.ceil(len(train_set) / params.batch_size) * params.epochs) as advance:
        fit = training.fit(
            network,
            weighted_batches(train_set, rows["weight"].to_numpy(), params.batch_size, order),
            batches(dev_set, params.batch_size),
            params,
            optimizing,
            len(classes),
            advance,
        )
    best = fit.epochs[fit.best_epoch]
    return TrainOutputs(
        model=save_model(TrainedModel(fit.network, classes, size, params.model)),
        curves=fit.epochs,
        summary=f"{len(fit.epochs)} epochs, best {fit.best_epoch}: dev {optimizing} {best['dev/optimizing']:.4f}",
    )


def _hush_lightning() -> None:
    """Lightning's hints (other loggers, more loader workers) are not for users of a stage."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


STAGE = Stage(
    name="train",
    function=train,
    params={"params": "train", "size": "ingest.size", "optimizing": "evaluate.optimizing"},
    reads={
        "augmented": catalogue.AUGMENTED,
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "copies": catalogue.COPIES,
    },
    writes={"model": catalogue.MODEL, "curves": catalogue.CURVES},
)
