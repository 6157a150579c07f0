"""Fit the model to the augmented training rows; dev decides which epoch is best."""

from dataclasses import dataclass

import pandas as pd

from pipeline import catalogue
from pipeline.framing import UNRELATED
from pipeline.manifest import DEV
from pipeline.metrics.metric import check_defined, metric_of
from pipeline.models.baselines import Baseline
from pipeline.models.files import save_model
from pipeline.stage import Group, Stage
from pipeline.stages.augment.params import VariantParams
from pipeline.store.curves import Curves
from pipeline.store.shards import ShardReader
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fitting import FitParams, training_data
from pipeline.training.semi_supervised import fit_with_unlabelled, key_of
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine
from pipeline.workers.progress import say


@dataclass(frozen=True)
class TrainOutputs:
    """The model as a safetensors file, numbers per epoch, how long the fit took, and the rows of an epoch."""

    model: bytes
    curves: Curves
    seconds: float
    images: int
    summary: str


def train(
    augmented: pd.DataFrame,
    manifest: pd.DataFrame,
    originals: ShardReader,
    copies: ShardReader,
    unlabelled: pd.DataFrame,
    params: FitParams,
    checkpoint: Checkpoint,
    engine: Engine,
) -> TrainOutputs:
    """Fit the model and keep the weights of the epoch that is best on dev; continues from the last checkpoint."""
    images = ShardReader(*originals.folders, *copies.folders)
    data = training_data(augmented, manifest, images, params, unlabelled)
    metric = metric_of(params.optimizing, data.classes)
    check_defined(metric, data.dev.labels, data.classes, DEV)
    key = key_of(data, params)
    model, fit = fit_with_unlabelled(data, params.train, metric, engine, checkpoint.under(key), say)
    epochs, batches = fit.done_before
    begun = f" and {batches} batches" if batches else ""
    resumed = f", {epochs} of them{begun} before it was stopped" if epochs or batches else ""
    done = f"{len(fit.epochs)} epochs{resumed}, {params.train.keep} {fit.epoch + 1}"
    if isinstance(params.train.model, Baseline):
        learns = "" if data.framing == UNRELATED else ", which learns the classes as unrelated"
        done = f"{params.train.model.name}{learns}"
    kept = fit.epochs[fit.epoch]
    sparse = f"; {kept['train/near_zero']:.0%} of its weights are near zero" if "train/near_zero" in kept else ""
    return TrainOutputs(
        model=save_model(model),
        curves=Curves(fit.epochs, fit.epoch, {"unlabelled": fit.unlabelled} if fit.unlabelled else {}),
        seconds=fit.seconds,
        images=len(augmented),
        summary=f"{done}: dev {metric.key} {kept['dev/optimizing']:.4f}{sparse}{_unlabelled(fit, metric.key)}",
    )


def _unlabelled(fit: Fit, metric: str) -> str:
    """What images without a label did, in a line of its own; empty: there are none."""
    if fit.unlabelled is None:
        return ""
    found = fit.unlabelled
    labelled = f"{found['labelled']:,} of {found['images']:,} images without a label got one"
    if "dev_with" not in found:
        return f"\n  {labelled}: the model is fitted to labelled images alone"
    numbers = f"dev {metric} {found['dev_with']:.4f} with them, {found['dev_without']:.4f} without"
    kept = "the model learns from them" if found["kept"] else "they do not help: the model without them is kept"
    return f"\n  {labelled}: {numbers}; {kept}"


STAGE = Stage(
    name="train",
    function=train,
    params={
        "train": "train",
        "variants": Group(
            VariantParams, {"mode": "augment.mode", "transforms": "augment.transforms", "seed": "augment.seed"}
        ),
        "ingest": "ingest",
        "optimizing": "evaluate.optimizing",
        "problem": "problem",
    },
    reads={
        "augmented": catalogue.AUGMENTED,
        "manifest": catalogue.SPLIT,
        "originals": catalogue.ORIGINALS,
        "copies": catalogue.COPIES,
        "unlabelled": catalogue.AUGMENT_UNLABELLED,
    },
    writes={"model": catalogue.MODEL, "curves": catalogue.CURVES},
    together={"params": FitParams},
    resumes={"checkpoint": catalogue.CHECKPOINT},
)
