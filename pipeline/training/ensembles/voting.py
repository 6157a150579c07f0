"""Voting: members are selected out of fold and their probabilities averaged.

The selection is greedy, with replacement, from the members' out-of-fold predictions of groups that they were not
fitted to (Caruana et al., Ensemble Selection from Libraries of Models, 2004). Whether it helps is asked of each part of
the groups anew, by the selection that the other parts make. The best member, too, is chosen without the images that it
is asked of: the best of several equal ones is lucky on those that it was chosen by, and no ensemble would seem better.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from pipeline.models.ensembles import Average
from pipeline.training.ensembles.gain import (
    ALPHA_OF_CHOSEN,
    Floats,
    Gain,
    gain_of,
    log_losses,
    own_probability,
    with_correct_labels,
)
from pipeline.training.ensembles.images import Images, images_of
from pipeline.training.ensembles.kinds import Voting
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
from pipeline.training.folds import folds_of

# Members that are taken one after another; each adds so much of the weights.
ROUNDS = 50
# Losses that differ by less are equal: sums in another order differ so.
DIGITS = 9
# Parts of the groups: with so many, the others choose nearly as all of them do.
PARTS = 10
OUT_OF_FOLD = "train, out of fold"


def voting(params: Voting, setup: Setup) -> EnsembleFit:
    """The members whose average is best out of fold, or the best one."""
    members = members_in(setup)
    images = images_of(setup.data, setup.train, params.folds)
    images = images.part(images.folds >= 0)
    found = out_of_fold(setup, members, images)
    own = own_probability(found, images.labels)
    losses = losses_of(own, images)
    best = int(np.argmin(np.round(losses, DIGITS)))
    counts = selected(own, images, params.max_members)
    shares = by_other_parts(own, images, setup.train.seed, lambda part, of: _shares(part, of, params.max_members))
    gain = gain_over_best(found, averaged(found, shares), images, setup.train.seed)
    kept = decision(params.use, gain) and int((counts > 0).sum()) > 1
    weights = counts / counts.sum() if kept else np.eye(len(members))[best]
    reason = why(params.use, gain, f"the best member ({members[best].title})")
    if not kept and decision(params.use, gain):
        reason = f"the selection is one member ({members[best].title})"
    outcome = Outcome(
        params.name, kept, gain, OUT_OF_FOLD, table_of([one.title for one in members], losses, weights), reason
    )
    chosen = np.flatnonzero(weights > 0).tolist()
    fitted = fitted_to_all(setup, [members[number].params for number in chosen], images)
    if not kept:
        return single_of(setup, fitted[0], outcome)
    return combined(setup, fitted, Average(torch.from_numpy(weights[chosen])), outcome)


def selected(own: Floats, images: Images, max_members: int) -> Floats:
    """How often each member is taken, shape (members,): the round of the least loss, and of equal ones the first.

    Args:
        own: each member's probabilities of the images' labels, shape (members, m).
    """
    counts, total = np.zeros(len(own)), np.zeros(own.shape[1])
    best_loss, best = np.inf, counts
    for taken in range(1, ROUNDS + 1):
        allowed = counts > 0 if (counts > 0).sum() >= max_members else np.ones(len(own), np.bool_)
        losses = losses_of((total + own) / taken, images)
        member = int(np.argmin(np.where(allowed, np.round(losses, DIGITS), np.inf)))
        counts = counts + np.eye(len(own))[member]
        total = total + own[member]
        if round(float(losses[member]), DIGITS) < best_loss:
            best_loss, best = round(float(losses[member]), DIGITS), counts
    return best


def gain_over_best(found: Floats, ensemble: Floats, images: Images, seed: int) -> Gain:
    """The gain of an ensemble over the best member, where both are chosen without the images that they are asked of.

    Args:
        found: each member's probabilities, shape (members, m, k). ensemble: the same of the ensemble, shape (m, k).
    """
    own = own_probability(found, images.labels)
    best = averaged(found, by_other_parts(own, images, seed, _best))
    two = own_probability(np.stack([best, ensemble]), images.labels)
    gain = gain_of(two[0], two[1], images.weights, images.groups, seed, ALPHA_OF_CHOSEN)
    gain = replace(gain, best_single=float(losses_of(own, images).min()))
    return with_correct_labels(gain, best, ensemble, images, seed)


def by_other_parts(own: Floats, images: Images, seed: int, choose: Callable[[Floats, Images], Floats]) -> Floats:
    """Weights of members, shape (members, m), of each part of the groups as they are chosen on the other parts.

    Args:
        own: each member's probabilities of the images' labels, shape (members, m).
        choose: (those of some images, these images) -> weights (members,).
    """
    parts = folds_of(images.labels.astype(str), images.groups.astype(str), PARTS, seed)
    found = np.empty(own.shape)
    for part in np.unique(parts):
        inside = parts == part
        found[:, inside] = choose(own[:, ~inside], images.part(~inside))[:, None]
    return found


def averaged(found: Floats, weights: Floats) -> Floats:
    """The weighted mean (m, k) of members' probabilities (members, m, k), by weights (members, m) of each image."""
    mean: Floats = np.einsum("jm,jmk->mk", weights, found)
    return mean


def _best(own: Floats, images: Images) -> Floats:
    found: Floats = np.eye(len(own))[int(np.argmin(np.round(losses_of(own, images), DIGITS)))]
    return found


def _shares(own: Floats, images: Images, max_members: int) -> Floats:
    counts = selected(own, images, max_members)
    found: Floats = counts / counts.sum()
    return found


def losses_of(own: Floats, images: Images) -> Floats:
    """The mean loss of probabilities of labels, shape (…,) of (…, m)."""
    found: Floats = log_losses(own) @ images.weights / images.weights.sum()
    return found


def table_of(titles: list[str], losses: Floats, weights: Floats) -> list[dict[str, object]]:
    """Of each member its title, log loss and weight."""
    rows = zip(titles, losses.tolist(), weights.tolist(), strict=True)
    return [{"member": title, "log_loss": loss, "weight": weight} for title, loss, weight in rows]
