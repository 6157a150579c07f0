"""Stacking: a model on what the members say, fitted to their out-of-fold predictions (Wolpert, 1992).

A member's prediction of an image comes from a fit that saw no image of its group, so that the model on top learns how
far to trust each on new images. Whether it helps is asked of each fold by the model that the other folds teach.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.data.loader import batches
from pipeline.data.predictions import PREDICTION_BATCH
from pipeline.models.ensembles import SMALLEST, ImageFacts, LogLinear
from pipeline.training.ensembles.gain import Floats, own_probability
from pipeline.training.ensembles.images import images_of
from pipeline.training.ensembles.kinds import Stacking
from pipeline.training.ensembles.log_linear import Learnt, MemberPredictions, across_folds, learnt, loss_of
from pipeline.training.ensembles.setup import (
    EnsembleFit,
    Outcome,
    Setup,
    combined,
    decision,
    fitted_to_all,
    members_in,
    out_of_fold,
    single_of,
    why,
)
from pipeline.training.ensembles.voting import DIGITS, OUT_OF_FOLD, gain_over_best, losses_of, table_of


@dataclass(frozen=True)
class Scale:
    """What facts are counted from, and in units of what, each of shape (f,)."""

    centre: Floats
    spread: Floats

    def of(self, facts: Floats) -> Floats:
        """Facts (m, f) -> (m, 1 + f), the first of which is 1."""
        return np.column_stack([np.ones(len(facts)), (facts - self.centre) / self.spread])


def stacking(params: Stacking, setup: Setup) -> EnsembleFit:
    """The members under a log-linear pool, or the best one."""
    members = members_in(setup)
    images = images_of(setup.data, setup.train, params.folds)
    images = images.part(images.folds >= 0)
    found = out_of_fold(setup, members, images)
    facts = _facts(setup, images.mask(np.ones(len(images.places), np.bool_)), params.gate)
    scale = Scale(facts.mean(axis=0), np.maximum(facts.std(axis=0), 1e-6))
    said = MemberPredictions(logs_of(found), scale.of(facts), images.labels, images.weights, images.folds)
    pool, own, scale = stacked(said, scale, setup.train.threads)
    losses = losses_of(own_probability(found, images.labels), images)
    best = int(np.argmin(np.round(losses, DIGITS)))
    gain = gain_over_best(found, own, images, setup.train.seed)
    used = np.abs(pool.weights).max(axis=1) > 0
    kept = decision(params.use, gain) and bool(used.any())
    weights = pool.weights[:, 0] if kept else np.eye(len(members))[best]
    table = table_of([one.title for one in members], losses, weights)
    reason = why(params.use, gain, f"the best member ({members[best].title})")
    outcome = Outcome(params.name, kept, gain, OUT_OF_FOLD, table, reason)
    chosen = np.flatnonzero(used).tolist() if kept else [best]
    fitted = fitted_to_all(setup, [members[number].params for number in chosen], images)
    if not kept:
        return single_of(setup, fitted[0], outcome)
    tensors = (pool.weights[chosen], pool.bias, scale.centre, scale.spread)
    return combined(setup, fitted, LogLinear(*map(torch.from_numpy, tensors)), outcome)


def stacked(said: MemberPredictions, scale: Scale, threads: int) -> tuple[Learnt, Floats, Scale]:
    """The pool, its probabilities (m, k) of each fold by what the others teach, and the scale of the facts it uses.

    With facts both pools are tried, and the one without them is taken unless the other is better across folds.
    """
    plain = MemberPredictions(said.logs, said.facts[:, :1], said.labels, said.weights, said.folds)
    strength, own = across_folds(plain, threads)
    chosen, scale_of_it = plain, Scale(np.empty(0), np.empty(0))
    if said.facts.shape[1] > 1:
        gated_strength, gated = across_folds(said, threads)
        if loss_of(gated, said) < loss_of(own, said):
            strength, own, chosen, scale_of_it = gated_strength, gated, said, scale
    return learnt(chosen, strength, threads), own, scale_of_it


def logs_of(probabilities: Floats) -> Floats:
    """Logarithms of probabilities, none of them below that of SMALLEST, as the network has them."""
    found: Floats = np.log(np.maximum(probabilities, SMALLEST))
    return found


@torch.inference_mode()
def _facts(setup: Setup, inside: npt.NDArray[np.bool_], gate: str) -> Floats:
    """The facts of some rows of train, shape (m, f); f is 0 without a gate."""
    if gate == "none":
        return np.empty((int(inside.sum()), 0))
    layer = ImageFacts()
    with batches(setup.data.train.part(inside), PREDICTION_BATCH, setup.engine) as rows:
        return np.concatenate([layer(pixels).numpy() for pixels, _ in rows]).astype(np.float64)
