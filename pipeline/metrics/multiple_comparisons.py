"""Several models on the same images, judged together: limits that hold for all differences at once.

Comparison with the best among k models that are all estimated (Hsu, 1996, ch. 4 and 5): whichever turns out the best,
the differences from it are among those of all pairs, whose largest, each in its own standard error (max-t), is at most
the critical value in 95 % of tables. Its distribution is drawn with the correlations that the models have on these
images, so that many experiments that differ little cost little (Westfall and Young, 1993).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.metrics.upper_tails import normal_tail, student_quantile
from pipeline.randomness import keyed_generator

Floats = npt.NDArray[np.float64]
# Draws of the largest difference, and pairs of models that are in memory at one time.
DRAWS, MAX_CELLS = 4000, 8_000_000
DIGITS = 6


@dataclass(frozen=True)
class Together:
    """What the differences of models can be held against.

    reach: how far a difference may be from the true one, shape (models, models); infinite on too few groups.
    """

    reach: Floats


def judged_together(influences: Floats, codes: npt.NDArray[np.intp], groups: int, alpha: float, seed: int) -> Together:
    """How far each difference of two models is uncertain, so that all hold together at 1 - alpha.

    A difference is tested with the variance that there is if none is (as McNemar, 1947, does, and Obuchowski, 1998, in
    groups), because few images on which two models differ give too small a variance when all favour one.

    Args:
        influences: of each image on each model's metric, shape (models, n), mean 0.
        codes: the group of each image, from 0, shape (n,). groups: how many of them tell about the metric, two or more.
    """
    images = influences.shape[1]
    sums = np.stack([np.bincount(codes, weights=row) for row in influences]) / images
    covariance = np.einsum("ig,jg->ij", sums, sums) * groups / (groups - 1)
    own = np.diag(covariance)
    variance = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0)
    variance[variance < 1e-12 * max(float(own.max()), 1e-300)] = 0.0
    critical = _critical(sums, variance, groups, alpha, seed)
    left = 1 - critical**2 / groups
    return Together(critical * np.sqrt(variance / left) if left > 0 else np.where(variance > 0, math.inf, 0.0))


def _critical(sums: Floats, variance: Floats, groups: int, alpha: float, seed: int) -> float:
    """The level that the largest of all pairs' differences, in standard errors, stays below in 1 - alpha of tables."""
    one, other = np.nonzero(np.triu(variance > 0))
    if not len(one):
        return student_quantile(alpha / 2, groups - 1)
    spread = np.sqrt(variance[one, other])
    generator = keyed_generator(seed, "comparison", groups)
    largest: list[Floats] = []
    for _ in range(0, DRAWS, step := max(1, min(DRAWS, MAX_CELLS // max(len(one), sums.shape[1])))):
        drawn = generator.standard_normal((step, sums.shape[1])) @ sums.T * math.sqrt(groups / (groups - 1))
        largest.append((np.abs(drawn[:, one] - drawn[:, other]) / spread).max(axis=1))
    normal = float(np.quantile(np.concatenate(largest), 1 - alpha))
    return round(student_quantile(normal_tail(normal), groups - 1), DIGITS)
