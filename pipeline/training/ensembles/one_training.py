"""Ensembles from a single training: averages of its weights, or networks at the ends of cycles.

They are asked of dev whether they help: out of fold would cost several trainings, and dev chose the epoch already.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pipeline.models.ensembles import Average
from pipeline.training.ensembles.gain import Floats, Gain, gain_of, log_losses, own_probability, with_correct_labels
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
    dev = Dev.of(setup)
    said = np.stack([on_dev(model, setup) for model in (one.model, *models)])
    count, honest = 1, said[1]
    if isinstance(params, Snapshots):
        count, honest = last_snapshots(said[1:], dev.labels, dev.folds(setup.train.seed))
    gain = gain_on(dev, said[0], honest, setup.train.seed)
    kept = decision(params.use, gain)
    name = f"epoch {one.fit.epoch + 1} of the training"
    shares = np.array([1.0 - kept, *[0.0] * (len(models) - count), *[kept / count] * count])
    table = table_of(
        [name, *_titles(params, len(models))], log_losses(own_probability(said, dev.labels)).mean(axis=1), shares
    )
    outcome = Outcome(params.name, kept, gain, DEV_ALONE, table, why(params.use, gain, name))
    if not kept:
        return EnsembleFit(one.model, one.fit, outcome)
    average = Average(torch.full((count,), 1 / count))
    model = together(models[-count:], average) if isinstance(params, Snapshots) else models[0]
    return EnsembleFit(model, one.fit, outcome)


@dataclass(frozen=True)
class Dev:
    """The images of dev: labels, groups and weights, shape (d,) each; all weigh the same."""

    labels: npt.NDArray[np.intp]
    groups: npt.NDArray[np.intp]

    @property
    def weights(self) -> Floats:
        """Ones."""
        return np.ones(len(self.labels))

    @classmethod
    def of(cls, setup: Setup) -> "Dev":
        """That of a training."""
        groups = setup.data.dev_rows["group"].astype(str).to_numpy()
        codes = np.unique(groups, return_inverse=True)[1]
        return cls(setup.data.dev.labels.astype(np.intp), codes.astype(np.intp))

    def folds(self, seed: int) -> npt.NDArray[np.intp]:
        """Parts of it; a group is in one."""
        return folds_of(self.labels.astype(str), self.groups.astype(str), PARTS, seed)


def gain_on(dev: Dev, single: Floats, ensemble: Floats, seed: int) -> Gain:
    """The gain by probabilities of dev's images, shape (d, k)."""
    own = own_probability(np.stack([single, ensemble]), dev.labels)
    gain = gain_of(own[0], own[1], dev.weights, dev.groups, seed)
    return with_correct_labels(gain, single, ensemble, dev, seed)


def last_snapshots(found: Floats, labels: npt.NDArray[np.intp], folds: npt.NDArray[np.intp]) -> tuple[int, Floats]:
    """How many of the last snapshots are best together, two at least; and what they say of each fold by the others.

    Args:
        found: each snapshot's probabilities of dev's images, shape (snapshots, d, k), in order. labels, folds: (d,).

    Returns:
        The number, and probabilities, shape (d, k).
    """
    counts = range(2, len(found) + 1)
    together = np.stack([found[-count:].mean(axis=0) for count in counts])
    losses = log_losses(own_probability(together, labels))

    def best(inside: npt.NDArray[np.bool_]) -> int:
        return int(np.argmin(np.round(losses[:, inside].mean(axis=1), DIGITS)))

    honest = np.empty(found.shape[1:])
    for fold in np.unique(folds):
        held = folds == fold
        honest[held] = together[best(~held if (~held).any() else held), held]
    return counts[best(np.ones(len(labels), np.bool_))], honest


def _titles(params: AverageWeights | Snapshots, count: int) -> list[str]:
    if isinstance(params, AverageWeights):
        return [f"average ({params.method.name})"]
    return [f"snapshot {number + 1}" for number in range(count)]
