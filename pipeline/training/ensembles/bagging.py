"""Bagging: the same model on random draws of train's groups (Breiman, Bagging Predictors, 1996).

A group is drawn whole, with all of its images and their variants, as often as it comes. Out of the bag, each image is
predicted by the models of those bags that lack its group: about a third of them, so the estimate is a careful one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.models.ensembles import Average
from pipeline.randomness import keyed_generator
from pipeline.training.ensembles.fits import Fitted, Task
from pipeline.training.ensembles.gain import gain_of, own_probability, with_correct_labels
from pipeline.training.ensembles.images import Images, images_of
from pipeline.training.ensembles.kinds import Bagging
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
from pipeline.training.ensembles.voting import losses_of, table_of


def bagging(params: Bagging, setup: Setup) -> EnsembleFit:
    """As many models as params say, each fitted to its bag; or the one that is fitted to all of train."""
    images = images_of(setup.data, setup.train, params.folds)
    [member] = members_in(setup)
    rows = setup.data.rows
    groups, labels = rows["group"].astype(str).to_numpy(), rows["label"].astype(str).to_numpy()
    bags = [bag_of(groups, labels, setup.train.seed, number) for number in range(params.count)]
    tasks = [Task(member.params, bag, images.mask(bag[images.places] == 0), keeps_model=True) for bag in bags]
    fitted = setup.fits.of(tasks, "ensemble: bags")
    out_of_bag = _out_of_bag(fitted, bags, images, len(setup.data.classes))
    known = (images.folds >= 0) & ~np.isnan(out_of_bag[:, 0])
    inside = images.part(images.folds >= 0)
    single = out_of_fold(setup, [member], inside)[0][known[images.folds >= 0]]
    both = images.part(known)
    own = own_probability(np.stack([single, out_of_bag[known]]), both.labels)
    gain = gain_of(own[0], own[1], both.weights, both.groups, setup.train.seed)
    gain = with_correct_labels(gain, single, out_of_bag[known], both, setup.train.seed)
    kept = decision(params.use, gain)
    losses = losses_of(own, both)
    table = table_of(["train", f"{params.count} bags"], losses, np.array([1.0 - kept, float(kept)]))
    reason = why(params.use, gain, "the one that is fitted to all of train")
    outcome = Outcome(params.name, kept, gain, "train, out of the bag and out of fold", table, reason)
    if kept:
        return combined(setup, fitted, Average(torch.full((params.count,), 1 / params.count)), outcome)
    return single_of(setup, fitted_to_all(setup, [member.params], images)[0], outcome)


def bag_of(
    groups: npt.NDArray[np.object_], labels: npt.NDArray[np.object_], seed: int, number: int
) -> npt.NDArray[np.float32]:
    """How often each row is in a bag, shape (n,): as many groups are drawn as there are, with replacement.

    A class that the draw missed comes in with one of its groups: a model of fewer classes could not be averaged.

    Args:
        groups, labels: of each row, shape (n,), strings.
    """
    generator = keyed_generator(seed, "bag", number)
    codes, names = pd.factorize(pd.Series(groups), sort=True)
    times = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
    for label in sorted(set(labels)):
        own = np.unique(codes[labels == label])
        if not times[own].any():
            times[own[generator.integers(len(own))]] = 1
    return times[codes].astype(np.float32)


def _out_of_bag(
    fitted: Sequence[Fitted], bags: Sequence[npt.NDArray[np.float32]], images: Images, classes: int
) -> npt.NDArray[np.float64]:
    """The mean probabilities of each image by the models of bags without it, shape (m, k); NaN: it is in all bags."""
    total, count = np.zeros((len(images.places), classes)), np.zeros(len(images.places))
    for one, bag in zip(fitted, bags, strict=True):
        outside = bag[images.places] == 0
        total[outside] += one.probabilities
        count += outside
    return total / np.where(count > 0, count, np.nan)[:, None]
