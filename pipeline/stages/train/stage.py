"""Fit the model to the augmented training rows; dev decides which epoch is best."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.manifest import DEV
from pipeline.metrics.metric import check_defined, metric_of
from pipeline.metrics.params import Limit
from pipeline.models.baselines import Baseline
from pipeline.models.files import save_model
from pipeline.problem.framing import Nested, Ranked
from pipeline.stage import Group, Stage
from pipeline.stages.augment.params import VariantParams
from pipeline.store.curves import Curves
from pipeline.store.shards import ShardReader
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.ensembles.fits import Fits
from pipeline.training.ensembles.limits import check_limits_can_hold
from pipeline.training.ensembles.rendering import report_of, sentence_of
from pipeline.training.ensembles.setup import Setup, dev_metric, fit_any
from pipeline.training.fit_data import FitParams, training_data
from pipeline.training.semi_supervised import key_of
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine
from pipeline.workers.progress import say


@dataclass(frozen=True)
class TrainOutputs:
    """The model as a safetensors file, numbers per epoch, and what became of an ensemble.

    seconds: how long the fit took. images: the rows of an epoch.
    """

    model: bytes
    curves: Curves
    ensemble: dict[str, Any]
    seconds: float
    images: int
    summary: str


@dataclass(frozen=True)
class FitProgress:
    """Where a run goes on from: a single training's file, and the folder of an ensemble's fits.

    limits: evaluate.satisficing; asked only whether an ensemble can hold them, before it begins.
    """

    checkpoint: Checkpoint
    members: Path
    limits: Mapping[str, Limit] = field(default_factory=dict)


def train(
    augmented: pd.DataFrame,
    manifest: pd.DataFrame,
    originals: ShardReader,
    copies: ShardReader,
    unlabelled: pd.DataFrame,
    params: FitParams,
    progress: FitProgress,
    engine: Engine,
) -> TrainOutputs:
    """Fit the model and keep the weights of the epoch that is best on dev; continues from the last checkpoint."""
    images = ShardReader(*originals.folders, *copies.folders)
    data = training_data(augmented, manifest, images, params, unlabelled)
    metric = metric_of(params.optimizing, data.classes)
    check_defined(metric, data.dev.labels, data.classes, DEV)
    checkpoint = progress.checkpoint.under(key_of(data, params))
    fits = Fits(data, params, progress.members, engine, say)
    setup = Setup(data, params, metric, engine, checkpoint, fits, say)
    check_limits_can_hold(setup, progress.limits)
    found = fit_any(setup)
    fit = found.fit
    epochs, batches = fit.done_before
    begun = f" and {batches} batches" if batches else ""
    resumed = f", {epochs} of them{begun} before it was stopped" if epochs or batches else ""
    done = f"{len(fit.epochs)} epochs{resumed}, {params.train.keep} {fit.epoch + 1}"
    if isinstance(found.model.params, Baseline):
        related = isinstance(data.framing, Ranked | Nested)
        learns = ", which ignores the order or tree of the classes" if related else ""
        done = f"{found.model.params.name}{learns}"
    kept = fit.epochs[fit.epoch]
    on_dev = kept["dev/optimizing"]
    if found.outcome is not None:
        fits.drop_stale()
    if found.outcome is not None and found.outcome.kept:
        done = f"ensemble ({found.outcome.name})"
        on_dev = dev_metric(found.model, setup)
        kept = {}
    sparse = f"; {kept['train/near_zero']:.0%} of its weights are near zero" if "train/near_zero" in kept else ""
    return TrainOutputs(
        model=save_model(found.model),
        curves=Curves(fit.epochs, fit.epoch, {"unlabelled": fit.unlabelled} if fit.unlabelled else {}),
        ensemble=report_of(found.outcome),
        seconds=fit.seconds,
        images=len(augmented),
        summary=f"{done}: dev {metric.key} {on_dev:.4f}{sparse}"
        f"{_unlabelled(fit, metric.key)}{sentence_of(found.outcome)}",
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
    writes={"model": catalogue.MODEL, "curves": catalogue.CURVES, "ensemble": catalogue.ENSEMBLE},
    together={"params": FitParams, "progress": FitProgress},
    resumes={"checkpoint": catalogue.CHECKPOINT},
    caches={"members": catalogue.MEMBERS},
    asks={"limits": "evaluate.satisficing"},
)
