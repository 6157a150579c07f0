"""Boosting: models in turn, each fitted with more weight on what the one before misclassified.

SAMME (Zhu et al., Multi-class AdaBoost, 2009): a model of error e has the weight log((1 - e) / e) + log(k - 1), and a
misclassified image's weight grows by the exponential of that. What differs from it: the members' log-probabilities are
added, not their votes, because votes make poor probabilities; and one number, found out of fold, says how sure the sum
is. A model that misclassifies nothing, or no less than chance, ends the turn.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from pipeline.models.ensembles import LogLinear
from pipeline.training.ensembles.fits import Fitted, Task
from pipeline.training.ensembles.gain import Floats, gain_of, log_losses, own_probability, with_correct_labels
from pipeline.training.ensembles.images import Images, images_of
from pipeline.training.ensembles.kinds import Boosting
from pipeline.training.ensembles.setup import (
    EnsembleFit,
    Outcome,
    Setup,
    combined,
    decision,
    members_in,
    single_of,
    why,
)
from pipeline.training.ensembles.stacking import logs_of
from pipeline.training.ensembles.voting import OUT_OF_FOLD, losses_of

# How sure the weighted mean of the members' log-probabilities is: its factor.
FACTORS = tuple(float(factor) for factor in np.round(np.geomspace(0.25, 4, 33), 4))
# Of the error, so that its logarithm is a number.
MIN_ERROR = 1e-3


@dataclass
class _Turn:
    """Models in turn, all of one part of train: that without a fold, or all of it, fold -1.

    factors: of the rows' weights in the next round, shape (n,); 0 of rows that are left out.
    """

    fold: int | None
    factors: npt.NDArray[np.float32] = field(repr=False)
    fitted: list[Fitted] = field(default_factory=list, repr=False)
    weights: list[float] = field(default_factory=list)
    ended: bool = False

    def mean_logs(self, inside: npt.NDArray[np.bool_], rounds: int) -> Floats:
        """The weighted mean of the log-probabilities of some images by the first rounds, shape (m, k)."""
        weights = np.array(self.weights[:rounds])
        logs = np.stack([logs_of(one.probabilities[inside]) for one in self.fitted[:rounds]])
        found: Floats = np.tensordot(weights / weights.sum(), logs, axes=1)
        return found


def boosting(params: Boosting, setup: Setup) -> EnsembleFit:
    """The models of all rounds, or that of the first, which is the one without boosting."""
    images = images_of(setup.data, setup.train, params.folds)
    [member] = members_in(setup)
    folds = [fold for fold in np.unique(images.folds).tolist() if fold >= 0]
    turns = [_Turn(fold, (images.row_folds != fold).astype(np.float32)) for fold in folds]
    whole = _Turn(None, np.ones(len(images.row_folds), np.float32))
    everything = images.mask(np.ones(len(images.places), np.bool_))
    for number in range(params.rounds):
        going = [turn for turn in (*turns, whole) if not turn.ended]
        tasks = [Task(member.params, turn.factors, everything, keeps_model=turn.fold is None) for turn in going]
        found = setup.fits.of(tasks, f"ensemble: round {number + 1} of {params.rounds}")
        for turn, fitted in zip(going, found, strict=True):
            _next(turn, fitted, images, setup, params.learning_rate)
    inside = images.folds >= 0
    both = images.part(inside)
    logs = _of_folds(turns, images, params.rounds)[inside]
    single = _of_folds(turns, images, 1)[inside]
    factor = _factor(logs, both)
    honest = np.empty(logs.shape)
    for fold in folds:
        held = both.folds == fold
        honest[held] = _powered(logs[held], _factor(logs[~held], both.part(~held)))
    own = own_probability(np.stack([np.exp(single), honest]), both.labels)
    gain = gain_of(own[0], own[1], both.weights, both.groups, setup.train.seed)
    gain = with_correct_labels(gain, np.exp(single), honest, both, setup.train.seed)
    kept = decision(params.use, gain) and len(whole.fitted) > 1
    weights = factor * np.array(whole.weights) / sum(whole.weights)
    shown = weights if kept else np.eye(len(weights))[0]
    titles = [f"round {number + 1}" for number in range(len(weights))]
    reason = why(params.use, gain, "that of the first round")
    if len(whole.fitted) == 1:
        reason = "the first model misclassifies no image of train, or as many as chance, so there was no second round"
    # Of the rounds after the first no loss was measured: they are no models of their own.
    table = [{"member": title, "weight": weight} for title, weight in zip(titles, shown.tolist(), strict=True)]
    table[0]["log_loss"] = float(losses_of(own[0], both))
    compared = gain if len(whole.fitted) > 1 else None
    outcome = Outcome(params.name, kept, compared, OUT_OF_FOLD, table, reason)
    if not kept:
        return single_of(setup, whole.fitted[0], outcome)
    classes = len(setup.data.classes)
    pool = LogLinear(torch.from_numpy(weights[:, None]), torch.zeros(classes), torch.zeros(0), torch.ones(0))
    return combined(setup, whole.fitted, pool, outcome)


def _next(turn: _Turn, fitted: Fitted, images: Images, setup: Setup, learning_rate: float) -> None:
    """Take a model in, and weigh the rows for the next one."""
    classes = len(setup.data.classes)
    wrong = fitted.probabilities.argmax(axis=1) != images.labels
    weights = images.weights * turn.factors[images.places]
    error = float(weights @ wrong / weights.sum())
    turn.ended = error == 0 or error >= 1 - 1 / classes
    if turn.fitted and turn.ended and error > 0:
        return  # no better than chance on these weights: it is none of the ensemble
    turn.fitted.append(fitted)
    weight = learning_rate * (np.log((1 - error) / max(error, MIN_ERROR)) + np.log(classes - 1))
    turn.weights.append(max(float(weight), MIN_ERROR))
    # An image's variants have its weight.
    by_id = dict(zip(setup.data.train.ids.take(images.places).to_pylist(), wrong.tolist(), strict=True))
    of_rows = np.array([by_id.get(image, False) for image in setup.data.train.ids.to_pylist()])
    grown = turn.factors * np.exp(np.where(of_rows, min(float(weight), 10.0), 0.0))
    turn.factors = (grown * (turn.factors.sum() / grown.sum())).astype(np.float32)


def _of_folds(turns: list[_Turn], images: Images, rounds: int) -> Floats:
    """Mean log-probabilities of the images, (m, k), each by the models that did not see its fold; NaN: in no fold."""
    found = np.full((len(images.places), turns[0].fitted[0].probabilities.shape[1]), np.nan)
    for turn in turns:
        held = images.folds == turn.fold
        found[held] = turn.mean_logs(held, rounds)
    return found


def _factor(logs: Floats, images: Images) -> float:
    """How sure the ensemble is at best: the factor of least loss, and of equal ones the nearest to 1."""
    losses = {
        factor: float(
            np.average(log_losses(own_probability(_powered(logs, factor), images.labels)), weights=images.weights)
        )
        for factor in FACTORS
    }
    return min(FACTORS, key=lambda factor: (round(losses[factor], 6), abs(np.log(factor))))


def _powered(logs: Floats, factor: float) -> Floats:
    """Probabilities whose logarithms are so many times as large, but for a constant."""
    scaled = np.exp(factor * (logs - logs.max(axis=1, keepdims=True)))
    found: Floats = scaled / scaled.sum(axis=1, keepdims=True)
    return found
