"""The training set and dev of the last run, for the commands that fit models."""

from pathlib import Path

from pipeline import catalogue
from pipeline.project.params_file import Params
from pipeline.store.shards import ShardReader
from pipeline.training.fitting import FitParams, TrainingData, training_data


def read_data(params: Params) -> TrainingData:
    """The training set and dev, as the last run of the stages before train left them."""
    augmented, manifest, originals, copies = (
        artifact.read(Path(artifact.path))
        for artifact in (catalogue.AUGMENTED, catalogue.SPLIT, catalogue.ORIGINALS, catalogue.COPIES)
    )
    images = ShardReader(*originals.folders, *copies.folders)
    return training_data(augmented, manifest, images, fit_params(params))


def fit_params(params: Params) -> FitParams:
    """The params that a fit depends on."""
    variants, optimizing = params.augment.variants, params.evaluate.optimizing
    return FitParams(params.train, variants, params.ingest, optimizing, params.problem)
