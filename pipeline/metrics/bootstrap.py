"""Resamples of whole groups, and the intervals that they give.

Near copies, and images of one patient or session, are one observation: groups are drawn with
replacement, not images (the cluster bootstrap, Davison and Hinkley 1997, 3.8).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.randomness import keyed_generator

# How often each image counts in each resample, shape (resamples, n).
Weights = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

# The share of cases outside an interval: 95 % are inside, wherever nothing else is said.
ALPHA = 0.05
# Weights that are in memory at one time.
MAX_CELLS = 4_000_000


def resamples(groups: "pd.Series[Any]", count: int, seed: int, purpose: str) -> Iterator[Weights]:
    """How often each row counts, in parts of shape (some, n), `count` in all.

    Args:
        groups: shape (n,), the group of each row. The draws depend on the groups, not on the order of rows.
        purpose: what is resampled; others draw other numbers.
    """
    codes, names = pd.factorize(groups, sort=True)
    generator = keyed_generator(seed, "bootstrap", purpose)
    step = max(1, MAX_CELLS // max(len(codes), 1))
    for start in range(0, count, step):
        drawn = [generator.integers(len(names), size=len(names)) for _ in range(min(step, count - start))]
        yield np.stack([np.bincount(draw, minlength=len(names))[codes] for draw in drawn])


def interval(values: Values, alpha: float = ALPHA) -> tuple[float, float]:
    """Ends of the central 95 % of bootstrap values, shape (n,) (percentile method, Efron 1979).

    Args:
        alpha: the share of values outside, half of it on each side.
    """
    tail = 100 * alpha / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
