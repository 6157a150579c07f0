"""Would more images of small classes help? A linear model on embeddings learns some of dev's, and tells others.

Where train has few images of a class, the model may misclassify these, or take others for them, so the errors of one
class alone do not say that its images are too few. This asks for what mending it would bring: the model is fitted to
train with dev's images of the small classes, and with as many of dev's other images, which are of production as well.
If the first is right more often on images of dev that neither has seen, images of these classes are what is missing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.diagnosis.clusters import VectorsOf
from pipeline.manifest import DEV, TRAIN
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.randomness import keyed_uniform
from pipeline.training.embedded import Rows, linear
from pipeline.training.folds import folds_of

FOLDS = 3
# Inverse strength of the penalty times dimensions: longer vectors need more. Models that are compared need not be the
# best.
STRENGTH = 4.0
# More images of the other classes make the model slower, and hardly better.
MAX_OTHERS = 1000
MAX_DEV = 1500
# Fewer images of the small classes that are added change too little.
MIN_ADDED = 10
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """Errors of the model on dev, shares: with `added` of dev's images of small classes, and with as many others.

    p: the chance of a difference as large if images of small classes were worth as much as others (sign test over
    groups, one-sided).
    """

    added: int
    error: float
    error_of_others: float
    p: float

    @property
    def gain(self) -> float:
        """How much less the model errs."""
        return self.error_of_others - self.error


def small_class_trial(manifest: pd.DataFrame, small: Collection[str], vectors_of: VectorsOf | None) -> Trial | None:
    """What images of the small classes would bring; None without embeddings, or where dev has too few to try it.

    Args:
        manifest: with id, sha256, group, split and label.
    """
    if vectors_of is None or not small:
        return None
    rows = _chosen(manifest.sort_values("id", ignore_index=True), small)
    labels, groups = rows["label"].astype(str).to_numpy(), rows["group"].astype(str).to_numpy()
    in_dev, is_small = (rows["split"].astype(str) == DEV).to_numpy(), np.isin(labels, [*small])
    sides = [in_dev & is_small, in_dev & ~is_small]
    if any(len(np.unique(groups[side])) < MIN_GROUPS for side in sides):
        return None
    vectors = vectors_of(rows["sha256"].astype(str).tolist())
    if vectors is None:
        return None
    classes, codes = np.unique(labels, return_inverse=True)
    every = Rows(vectors, codes, np.ones(len(rows), np.float32), groups, len(classes))
    folds = np.full(len(rows), -1)
    folds[in_dev] = folds_of(labels[in_dev], groups[in_dev], FOLDS, 1)
    order = keyed_uniform(1, "small classes", rows["id"])
    wrong = np.zeros((2, len(rows)))
    added = []
    for fold in range(FOLDS):
        asked = folds == fold
        more = [np.flatnonzero(side & ~asked) for side in sides]
        count = min(map(len, more))
        added.append(count)
        for number, places in enumerate(more):
            learnt = ~in_dev
            learnt[places[np.argsort(order[places], kind="stable")[:count]]] = True
            with threadpool_limits(1):
                found = linear(every.part(learnt), STRENGTH / vectors.shape[1], vectors[asked])
            wrong[number, asked] = found.argmax(axis=1) != codes[asked]
    if min(added) < MIN_ADDED:
        return None
    error, of_others = (float(one[in_dev].mean()) for one in wrong)
    p = _sign_test((wrong[1] - wrong[0])[in_dev], groups[in_dev])
    return Trial(round(float(np.mean(added))), error, of_others, p)


def _chosen(rows: pd.DataFrame, small: Collection[str]) -> pd.DataFrame:
    """Train's images of small classes and some of the others, and dev's: enough to see an effect."""
    split, order = rows["split"].astype(str), keyed_uniform(1, "small classes, rows", rows["id"])
    is_small = rows["label"].astype(str).isin([*small])
    kept = ((split == TRAIN) & is_small).to_numpy(copy=True)
    for part, count in (((split == TRAIN) & ~is_small, MAX_OTHERS), (split == DEV, MAX_DEV)):
        places = np.flatnonzero(part)
        kept[places[np.argsort(order[places], kind="stable")[:count]]] = True
    return rows[kept].reset_index(drop=True)


def _sign_test(less: npt.NDArray[np.float64], groups: npt.NDArray[Any]) -> float:
    """The chance that so many groups or more lose errors, if a group is as likely to win some.

    Args:
        less: errors that each image loses, shape (n,).
    """
    from scipy.stats import binom

    of_groups = pd.Series(less).groupby(groups).sum().to_numpy()
    better, worse = int((of_groups > 0).sum()), int((of_groups < 0).sum())
    return float(binom.sf(better - 1, better + worse, 0.5)) if better + worse else 1.0
