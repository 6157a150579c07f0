"""What the ensembles share: their data, out-of-fold predictions of members, and the final choice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from pipeline.data.loader import batches
from pipeline.data.predictions import PREDICTION_BATCH
from pipeline.errors import ParamsError
from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions
from pipeline.models.ensembles import EnsembleOf, ensemble_of
from pipeline.models.files import TrainedModel
from pipeline.models.prediction import predict
from pipeline.problem.label_sets import LabelNames
from pipeline.stages.train.params import TrainParams
from pipeline.training.checkpoint import Progress
from pipeline.training.ensembles.fits import Fits, Fitted, Task
from pipeline.training.ensembles.gain import Gain
from pipeline.training.ensembles.images import Images
from pipeline.training.ensembles.kinds import NoEnsemble
from pipeline.training.ensembles.members import Member, members_of
from pipeline.training.ensembles.table import ENSEMBLES
from pipeline.training.fit_data import FitParams, TrainingData
from pipeline.training.semi_supervised import fit_with_unlabelled
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """What an ensemble is fitted to and with.

    checkpoint: where a single training goes on from. fits: those of members, made in parallel and kept.
    tell: takes lines that say what is done.
    """

    data: TrainingData
    params: FitParams
    metric: Metric
    engine: Engine
    checkpoint: Progress | None
    fits: Fits
    tell: Callable[[str], None]

    @property
    def train(self) -> TrainParams:
        """The params of the single model."""
        return self.params.train


@dataclass(frozen=True)
class Outcome:
    """What became of an ensemble.

    name: its kind. kept: whether the model is the ensemble, not the single model. gain: the difference of the two;
    None: there was nothing to compare. measured: on what. members: of each its title, its log loss there, and its
    weight, 0 of one that the model does not have. why: a sentence.
    """

    name: str
    kept: bool
    gain: Gain | None
    measured: str
    members: list[dict[str, Any]]
    why: str


@dataclass(frozen=True)
class EnsembleFit:
    """The model, and the epochs of a training.

    fit: of the single model; of an ensemble, of its first member, whose curves stand for all. outcome: None without an
    ensemble.
    """

    model: TrainedModel
    fit: Fit = field(repr=False)
    outcome: Outcome | None = None


def fit_any(setup: Setup) -> EnsembleFit:
    """The model of params, be it one or several.

    Raises:
        ParamsError: images may have several labels, and there is an ensemble.
        PipelineError: what `fit_model` raises.
    """
    ensemble = setup.train.ensemble
    if isinstance(setup.data.classes, LabelNames) and not isinstance(ensemble, NoEnsemble):
        raise ParamsError(
            f"train.ensemble is {ensemble.name}, and images may have several labels (problem): ensembles combine "
            "models of one class per image. Set train.ensemble to {name: none}"
        )
    return ENSEMBLES.of(ensemble).fit(ensemble, setup)


def single_fit(setup: Setup) -> EnsembleFit:
    """One model, without anything of an ensemble."""
    model, fit = fit_with_unlabelled(setup.data, setup.train, setup.metric, setup.engine, setup.checkpoint, setup.tell)
    return EnsembleFit(model, fit)


def out_of_fold(setup: Setup, members: Sequence[Member], images: Images) -> Floats:
    """Each member's probabilities of images, shape (members, m, k): each image by a model that saw none of its group.

    Args:
        images: all of them in a fold.
    """
    folds = np.unique(images.folds).tolist()
    tasks = [fold_task(member.params, images, fold) for member in members for fold in folds]
    fitted = iter(setup.fits.of(tasks, "ensemble: out of fold"))
    found = np.empty((len(members), len(images.labels), len(setup.data.classes)))
    for number in range(len(members)):
        for fold in folds:
            found[number, images.folds == fold] = next(fitted).probabilities
    return found


def fold_task(params: TrainParams, images: Images, fold: int) -> Task:
    """A fit to all rows but those of a fold, which then predicts the fold's images."""
    factors = (images.row_folds != fold).astype(np.float32)
    return Task(params, factors, images.mask(images.folds == fold))


def whole_task(params: TrainParams, images: Images) -> Task:
    """A fit to all rows, whose model is kept."""
    rows = len(images.row_folds)
    return Task(params, np.ones(rows, np.float32), np.zeros(rows, np.bool_), keeps_model=True)


def fitted_to_all(setup: Setup, params: Sequence[TrainParams], images: Images) -> list[Fitted]:
    """Models of these params, fitted to all of train."""
    return setup.fits.of([whole_task(one, images) for one in params], "ensemble: models")


def single_of(setup: Setup, fitted: Fitted, outcome: Outcome) -> EnsembleFit:
    """A single model that was fitted."""
    assert fitted.model is not None  # noqa: S101 - it was asked for
    return EnsembleFit(fitted.model, _fit_of(setup, fitted), outcome)


def combined(setup: Setup, fitted: Sequence[Fitted], pool: nn.Module, outcome: Outcome) -> EnsembleFit:
    """Models that were fitted, as one."""
    models = [one.model for one in fitted if one.model is not None]
    return EnsembleFit(together(models, pool), _fit_of(setup, fitted[0]), outcome)


def together(models: Sequence[TrainedModel], pool: Any) -> TrainedModel:
    """Trained models as one."""
    first = models[0]
    made_of = EnsembleOf(tuple(model.params for model in models), pool.name)  # type: ignore[misc]
    return replace(first, network=ensemble_of([model.network for model in models], pool), params=made_of)


def _fit_of(setup: Setup, fitted: Fitted) -> Fit:
    assert fitted.model is not None  # noqa: S101 - it was asked for
    return Fit(fitted.model.network, fitted.epoch, fitted.epochs, seconds=setup.fits.seconds)


def on_dev(model: TrainedModel, setup: Setup) -> Floats:
    """Probabilities of dev's images, shape (d, k)."""
    with batches(setup.data.dev, PREDICTION_BATCH, setup.engine) as dev:
        return predict(model.network, dev, setup.train.threads, lambda _: None, setup.engine.workers).astype(np.float64)


def dev_metric(model: TrainedModel, setup: Setup) -> float:
    """The optimizing metric of dev."""
    found = on_dev(model, setup)
    labels = setup.data.dev.labels.astype(np.intp)
    return setup.metric.value(Predictions(setup.data.classes, labels, found.argmax(axis=1), found))


def members_in(setup: Setup) -> list[Member]:
    """The members that params name."""
    return members_of(setup.train)


def decision(use: str, gain: Gain) -> bool:
    """Whether to take the ensemble."""
    return use == "always" or gain.beyond_noise


def why(use: str, gain: Gain, single: str) -> str:
    """The sentence that says what was decided.

    Args:
        single: what the single model is.
    """
    if gain.beyond_noise:
        return "its log loss is lower beyond noise"
    if use == "always":
        return "`use: always` asks for it, although its log loss is not lower beyond noise"
    if gain.on_given_labels and gain.correct is not None:
        share = f"{100 * gain.correct.wrong_share:.0f} %"
        return (
            f"about {share} of the labels seem to be wrong, and on correct labels its log loss is not lower beyond "
            f"noise, so the model is {single}"
        )
    return f"its log loss is not lower beyond noise, so the model is {single}"
