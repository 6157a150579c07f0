"""Ensembles from a single training: averages of its weights, or networks at the ends of cycles.

They are asked of dev whether they help: out of fold would cost several trainings, and dev chose the epoch already.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from pipeline.models.ensembles import Average
from pipeline.training.ensembles.gain import Floats, gain_of, log_losses, own_probability
from pipeline.training.ensembles.kinds import AverageWeights, Snapshots
from pipeline.training.ensembles.setup import EnsembleFit, Outcome, Setup, decision, on_dev, single_fit, together, why
from pipeline.training.ensembles.voting import DIGITS, table_of
from pipeline.training.fitting import with_weights
from pipeline.training.folds import folds_of

DEV_ALONE = "dev"
# Parts of dev, of which each is asked how many snapshots the others choose.
PARTS = 3


def from_one_training(params: AverageWeights | Snapshots, setup: Setup) -> EnsembleFit:
    """The network of averaged weights, or the average of networks at cycles' ends; or that of the best epoch."""
    one = single_fit(setup)
    networks = [with_weights(one.model.network, weights) for weights in one.fit.kept]
    if not networks or (isinstance(params, Snapshots) and len(networks) < 2):
        reason = f"training ended after {len(one.fit.epochs)} epochs, before there was anything to combine"
        return EnsembleFit(one.model, one.fit, Outcome(params.name, False, None, DEV_ALONE, [], reason))
    models = [replace(one.model, network=network) for network in networks]
    labels, groups = setup.data.dev.labels.astype(np.intp), setup.data.dev_rows["group"].astype(str).to_numpy()
    own = own_probability(np.stack([on_dev(model, setup) for model in (one.model, *models)]), labels)
    count, honest = 1, own[1]
    if isinstance(params, Snapshots):
        count, honest = last_snapshots(own[1:], folds_of(labels.astype(str), groups, PARTS, setup.train.seed))
    codes = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    gain = gain_of(own[0], honest, np.ones(len(labels)), codes, setup.train.seed)
    kept = decision(params.use, gain)
    name = f"epoch {one.fit.epoch + 1} of the training"
    shares = np.array([1.0 - kept, *[0.0] * (len(models) - count), *[kept / count] * count])
    table = table_of([name, *_titles(params, len(models))], log_losses(own).mean(axis=1), shares)
    outcome = Outcome(params.name, kept, gain, DEV_ALONE, table, why(params.use, gain, name))
    if not kept:
        return EnsembleFit(one.model, one.fit, outcome)
    average = Average(torch.full((count,), 1 / count))
    model = together(models[-count:], average) if isinstance(params, Snapshots) else models[0]
    return EnsembleFit(model, one.fit, outcome)


def last_snapshots(own: Floats, folds: npt.NDArray[np.intp]) -> tuple[int, Floats]:
    """How many of the last snapshots are best together, two at least; and what they say of each fold by the others.

    Args:
        own: each snapshot's probabilities of dev's labels, shape (snapshots, d), in order. folds: shape (d,).
    """
    counts = range(2, len(own) + 1)
    together = np.stack([own[-count:].mean(axis=0) for count in counts])

    def best(inside: npt.NDArray[np.bool_]) -> int:
        return int(np.argmin(np.round(log_losses(together[:, inside]).mean(axis=1), DIGITS)))

    honest = np.empty(own.shape[1])
    for fold in np.unique(folds):
        held = folds == fold
        honest[held] = together[best(~held if (~held).any() else held), held]
    return counts[best(np.ones(own.shape[1], np.bool_))], honest


def _titles(params: AverageWeights | Snapshots, count: int) -> list[str]:
    if isinstance(params, AverageWeights):
        return [f"average ({params.method.name})"]
    return [f"snapshot {number + 1}" for number in range(count)]
