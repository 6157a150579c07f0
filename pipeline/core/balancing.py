"""Labels -> row numbers, through imbalanced-learn: balancing is choosing rows."""

from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from pipeline.core.randomness import keyed_seed
from pipeline.params import BalanceParams, NoBalance, Oversample, Undersample


def choose_rows(labels: npt.NDArray[Any], params: BalanceParams) -> npt.NDArray[np.intp]:
    """Numbers of the rows that stay, sorted; a repeat means that the row counts twice.

    Args:
        labels: shape (n,), any type, at least two different ones.

    Returns:
        Shape (m,), values in [0, n).
    """
    # imbalanced-learn is 15 times faster on integer codes than on strings.
    codes = pd.factorize(labels, sort=True)[0]
    rows = np.arange(len(codes), dtype=np.intp)
    random_state = keyed_seed(params.seed, "balance")
    match params.strategy:
        case NoBalance():
            return rows
        case Oversample():
            sampler = RandomOverSampler(random_state=random_state)
        case Undersample():
            sampler = RandomUnderSampler(random_state=random_state)
        case unknown:
            assert_never(unknown)
    sampler.fit_resample(rows[:, None], codes)
    return np.sort(sampler.sample_indices_).astype(np.intp)


def copy_numbers(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """For sorted row numbers: 0 at a row's first appearance, 1 at its second, and so on."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    return (np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))).astype(np.int32)
