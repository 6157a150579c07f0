"""Upper tails of distributions and their quantiles: the numbers of scipy.stats, to the last bit, by scipy.special.

scipy.stats takes half a second of CPU to import, in each stage that computes an interval. Each quantile is the value
that is exceeded with a chance of `tail`, in (0, 1).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


def normal_quantile(tail: float) -> float:
    """Of the standard normal distribution."""
    return float(-special.ndtri(tail))


def normal_tail(value: float) -> float:
    """The chance that a standard normal value exceeds this one."""
    return float(special.ndtr(-value))


def student_quantile(tail: float, freedom: float) -> float:
    """Of Student's t with so many degrees of freedom, above 0, also infinitely many."""
    return float(-special.stdtrit(freedom, tail))


def chi_square_quantile(tail: float, freedom: int) -> float:
    """Of chi-square with so many degrees of freedom, at least 1."""
    return float(special.chdtri(freedom, tail))


def chi_square_tail(value: float, freedom: int) -> float:
    """The chance that chi-square with so many degrees of freedom, at least 1, exceeds this value."""
    return float(special.chdtrc(freedom, value))


def beta_limits(tail: float, hits: Any, misses: Any) -> tuple[Floats, Floats]:
    """What a beta distribution falls below, and what it exceeds, with a chance of `tail`: Clopper and Pearson's limits.

    hits, misses: shape (k,), whole or not. The lower limit counts one miss more, the upper one a hit more. Not for use:
    the lower limit of no hits, and the upper one of no misses.
    """
    return (
        special.betaincinv(np.maximum(hits, 1e-12), misses + 1, tail),
        special.betainccinv(hits + 1, np.maximum(misses, 1e-12), tail),
    )
