"""The training set and dev of the last run, for the commands that fit models."""

from pathlib import Path

import pandas as pd

from pipeline import catalogue
from pipeline.manifest import may_teach
from pipeline.project.params_file import Params
from pipeline.stages.augment.copies import plan_copies
from pipeline.stages.balance.stage import balance
from pipeline.store.shards import ShardReader
from pipeline.training.fit_data import FitParams, TrainingData, training_data
from pipeline.training.unlabelled import UNLABELLED
from pipeline.workers.engine import Engine


def read_data(params: Params, rows: pd.DataFrame | None = None) -> TrainingData:
    """The training set and dev, as the last run of the stages before train left them.

    Args:
        rows: of train, where they are others than the stage augment left.
    """
    manifest, originals, copies = (
        artifact.read(Path(artifact.path)) for artifact in (catalogue.SPLIT, catalogue.ORIGINALS, catalogue.COPIES)
    )
    augmented = catalogue.AUGMENTED.read(Path(catalogue.AUGMENTED.path)) if rows is None else rows
    unlabelled = None
    if UNLABELLED.of(params.train.unlabelled).learns:
        # Not what augment left: a search may try ways to learn from such images where params have none.
        unlabelled = may_teach(catalogue.SPLIT_UNUSED.read(Path(catalogue.SPLIT_UNUSED.path)))
    images = ShardReader(*originals.folders, *copies.folders)
    return training_data(augmented, manifest, images, fit_params(params), unlabelled)


def balanced_rows(params: Params) -> pd.DataFrame:
    """The rows of train that params balance and augment to, where no picture has to be made for that.

    Raises:
        PipelineError: the strategy gives too many rows, or a class has too few.
    """
    table, originals = (artifact.read(Path(artifact.path)) for artifact in (catalogue.SPLIT_ROWS, catalogue.ORIGINALS))
    chosen = balance(table, originals, params.balance, params.problem, Engine(1)).manifest
    return plan_copies(chosen.part(0, len(chosen.rows)).to_pandas(), params.augment.copies, params.augment.seed)


def fit_params(params: Params) -> FitParams:
    """The params that a fit depends on."""
    variants, optimizing = params.augment.variants, params.evaluate.optimizing
    return FitParams(params.train, variants, params.ingest, optimizing, params.problem)
