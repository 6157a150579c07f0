"""The training set and dev of the last run, for the commands that fit models."""

from pathlib import Path

from pipeline import catalogue
from pipeline.manifest import may_teach
from pipeline.project.params_file import Params
from pipeline.store.shards import ShardReader
from pipeline.training.fitting import FitParams, TrainingData, training_data
from pipeline.training.unlabelled import UNLABELLED


def read_data(params: Params) -> TrainingData:
    """The training set and dev, as the last run of the stages before train left them."""
    augmented, manifest, originals, copies = (
        artifact.read(Path(artifact.path))
        for artifact in (catalogue.AUGMENTED, catalogue.SPLIT, catalogue.ORIGINALS, catalogue.COPIES)
    )
    unlabelled = None
    if UNLABELLED.of(params.train.unlabelled).learns:
        # Not what augment left: a search may try ways to learn from such images where params have none.
        unlabelled = may_teach(catalogue.SPLIT_UNUSED.read(Path(catalogue.SPLIT_UNUSED.path)))
    images = ShardReader(*originals.folders, *copies.folders)
    return training_data(augmented, manifest, images, fit_params(params), unlabelled)


def fit_params(params: Params) -> FitParams:
    """The params that a fit depends on."""
    return FitParams(params.train, params.augment.variants, params.ingest, params.evaluate.optimizing)
