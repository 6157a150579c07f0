"""The images of train without variants: ensembles are selected by out-of-fold predictions of these."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.stages.train.params import TrainParams
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import loss_weights
from pipeline.training.folds import folds_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Rows of train that repeat no other, m of n, and the fold of each row.

    places: shape (m,), their row numbers. labels, groups, weights: shape (m,): class numbers, numbers of groups, and
        what each weighs in the loss. row_folds: shape (n,), of all rows; -1: in no fold, because its class has no other
        group: all models are fitted to it.
    """

    places: npt.NDArray[np.intp] = field(repr=False)
    labels: npt.NDArray[np.intp] = field(repr=False)
    groups: npt.NDArray[np.intp] = field(repr=False)
    weights: Floats = field(repr=False)
    row_folds: npt.NDArray[np.intp] = field(repr=False)

    @property
    def folds(self) -> npt.NDArray[np.intp]:
        """The fold of each image, shape (m,)."""
        return self.row_folds[self.places]

    def part(self, inside: npt.NDArray[np.bool_]) -> "Images":
        """Some of the images, a mask of shape (m,)."""
        return Images(
            self.places[inside], self.labels[inside], self.groups[inside], self.weights[inside], self.row_folds
        )

    def mask(self, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Some of the images, (m,), as rows, (n,)."""
        found = np.zeros(len(self.row_folds), np.bool_)
        found[self.places[inside]] = True
        return found


def images_of(data: TrainingData, params: TrainParams, folds: int) -> Images:
    """The images of train in so many folds; a group is in one fold, with all of its rows."""
    rows = data.rows
    groups, labels = rows["group"].astype(str).to_numpy(), rows["label"].astype(str).to_numpy()
    found = folds_of(labels, groups, folds, params.seed)
    # A class of one group would be known to no model of its fold.
    alone = pd.Series(groups).groupby(labels).transform("nunique").to_numpy() == 1
    found = np.where(np.isin(groups, groups[alone]), -1, found)
    places = np.flatnonzero(data.train.copies == 0)
    codes = pd.factorize(pd.Series(groups[places]), sort=True)[0]
    weights = loss_weights(data, params).astype(np.float64)[places]
    return Images(places, data.train.labels[places].astype(np.intp), codes, weights, found)
