"""Assign groups of images to folds, each with its share of every class."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.randomness import keyed_seed, keyed_uniform


def folds_of(labels: npt.NDArray[Any], groups: npt.NDArray[Any], count: int, seed: int) -> npt.NDArray[np.intp]:
    """The fold of each row, shape (n,), in [0, count); a group is in one fold, whatever the order of rows.

    A class of at least `count` groups is in every fold; one of two or more is never in a single fold.

    Args:
        labels, groups: shape (n,), strings.
    """
    # A group of two labels takes its turn with the one that comes first.
    of_groups = pd.Series(labels.astype(str)).groupby(groups.astype(str), sort=True).min()
    frame = pd.DataFrame({"label": of_groups.to_numpy(), "key": keyed_uniform(seed, "fold", of_groups.index)})
    turn = frame.groupby("label")["key"].rank(method="first").to_numpy(np.int64) - 1
    # Else the first fold would have all classes of one group.
    starts = {label: keyed_seed(seed, "first fold", label) for label in frame["label"].unique()}
    folds = (turn + frame["label"].map(starts).to_numpy(np.int64)) % count
    return pd.Series(folds, index=of_groups.index).loc[groups.astype(str)].to_numpy(np.intp)
