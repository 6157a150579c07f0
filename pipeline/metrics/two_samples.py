"""Two-sample tests: do two sets of images come from one population, by their labels, one fact, or all facts together?

Each permutes or draws under the null, or uses a distribution that holds there; p is never too small.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from pipeline.metrics.upper_tails import chi_square_tail
from pipeline.randomness import keyed_generator

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FOLDS, PENALTY = 5, 10.0
# Expected images of a class on a side above which the chi-square distribution holds (Cochran 1954).
EXPECTED = 5
# Draws under the null; the second lot only if fewer than REACHED of the first are as extreme as what is seen.
DRAWS, REACHED = (199, 800), 10
Z = 1.959964


@dataclass(frozen=True)
class Result:
    """One test: statistic, p in [0, 1], and for an AUC the ends of its 95 % interval."""

    statistic: float
    p: float
    low: float | None = None
    high: float | None = None


def holm(p: Values) -> Values:
    """p corrected for the number of tests, shape (n,) (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def label_test(labels: npt.NDArray[Any], inside: Flags, seed: int) -> Result:
    """Total variation distance in [0, 1] of two sides' labels, and p of the chi-square test of homogeneity.

    Where a class has few images, p comes from random tables of the same margins, as if groups changed sides.
    """
    names, codes, total = np.unique(labels, return_inverse=True, return_counts=True)
    here = np.bincount(codes[inside], minlength=len(names))
    size, others, everyone = int(inside.sum()), int((~inside).sum()), len(labels)
    distance = 0.5 * float(np.abs(here / size - (total - here) / others).sum())
    if len(names) == 1:
        return Result(distance, 1.0)

    def chi_square(tables: npt.NDArray[Any]) -> Values:
        squares = (tables.astype(np.float64) ** 2 / total).sum(axis=-1)
        return np.asarray(everyone**2 / (size * others) * (squares - size**2 / everyone))

    seen = float(chi_square(here))
    if total.min() * min(size, others) / everyone >= EXPECTED:
        return Result(distance, chi_square_tail(seen, len(names) - 1))
    tables = partial(keyed_generator(seed, "matching labels").multivariate_hypergeometric, total, size)
    p, _ = _random_p(seen, lambda draws: chi_square(tables(draws, method="marginals")))
    return Result(distance, p)


def fact_test(here: Values, there: Values) -> Result:
    """Two-sample Kolmogorov-Smirnov distance in [0, 1] and its p, which ties make too large, never too small."""
    from scipy.stats import ks_2samp

    found = ks_2samp(here, there, method="exact" if max(len(here), len(there)) <= 1000 else "asymp")
    return Result(float(found.statistic), float(np.clip(found.pvalue, 0, 1)))


def domain_test(facts: Values, inside: Flags, folds: npt.NDArray[np.intp], seed: int) -> Result:
    """How well a classifier tells two sides apart: cross-validated AUC, p that it is above 0.5, 95 % interval.

    A two-sample test by a classifier (Lopez-Paz and Oquab 2017), ridge regression: cheap enough to refit for
    each permutation of the sides. Ranks or DeLong alone take folds for independent, which they are not:
    4 % of honest splits would fail at 1 %. Interval: score inversion (Newcombe 2006, part 2, method 5) with
    the permutations' variance; it stays in [0, 1] and has a width at an AUC of 1, too.
    Shapes: facts (n, k), inside (n,), folds (n,) in [0, FOLDS).
    """
    return area_test(quadratic_features(facts), inside, folds, seed)


def area_test(features: Values, inside: Flags, folds: npt.NDArray[np.intp], seed: int) -> Result:
    """The same of features as they are, shape (n, k), the first of them 1."""
    sides = inside[:, None]
    shuffle = keyed_generator(seed, "matching domain").permuted
    area = float(fold_areas(features, sides, folds)[0])
    p, null = _random_p(area, lambda draws: fold_areas(features, shuffle(np.tile(sides, draws), axis=0), folds))
    return Result(area, p, *_area_interval(area, float(((null - 0.5) ** 2).mean()), len(inside)))


def quadratic_features(facts: Values) -> Values:
    """1, the facts' normal scores (van der Waerden), their squares and products: shape (n, 1 + k + k (k + 1) / 2).

    Ranks make logarithms and outliers irrelevant; products see shifts that no single fact shows.
    """
    from scipy.stats import rankdata

    scores = special.ndtri(rankdata(facts, axis=0) / (len(facts) + 1))
    first, second = np.triu_indices(facts.shape[1])
    return np.column_stack([np.ones(len(facts)), scores, scores[:, first] * scores[:, second]])


def fold_areas(features: Values, sides: Flags, folds: npt.NDArray[np.intp]) -> Values:
    """Cross-validated AUC of each column of sides, shape (n, d) -> (d,); 0.5 where there is nothing to compare.

    Mean over the folds, by van Elteren's weights (1960); ties count half (Mann and Whitney 1947). einsum adds in
    one order for any number of threads; scores are rounded, because equal images must tie.
    """
    from scipy.stats import rankdata

    penalty, signs = np.diag(np.r_[0.001, np.full(features.shape[1] - 1, PENALTY)]), np.where(sides, 1.0, -1.0)
    members = [np.flatnonzero(folds == fold) for fold in range(FOLDS)]
    grams = [np.einsum("ij,ik->jk", features[fold], features[fold]) for fold in members]
    sums = [np.einsum("ij,ik->jk", features[fold], signs[fold]) for fold in members]
    total, weights = np.zeros(sides.shape[1]), np.zeros(sides.shape[1])
    for fold, gram, own in zip(members, grams, sums, strict=True):
        weight = np.linalg.solve(penalty + sum(grams) - gram, sum(sums) - own)
        ranks = rankdata(np.round(np.einsum("ij,jk->ik", features[fold], weight), 9), axis=0)
        here = sides[fold].sum(axis=0)
        pairs = here * (len(fold) - here)
        area = ((ranks * sides[fold]).sum(axis=0) - here * (here + 1) / 2) / np.maximum(pairs, 1)
        total += area * pairs / (len(fold) + 1)
        weights += pairs / (len(fold) + 1)
    return np.asarray(np.divide(total, weights, out=np.full(len(total), 0.5), where=weights > 0))


def _random_p(seen: float, draw: Callable[[int], Values]) -> tuple[float, Values]:
    """p of a statistic among draws under the null, and these draws; few if they settle it (Besag and Clifford 1991).

    Beyond all draws: the tail of a Pearson III distribution with their mean, deviation and skewness.
    """
    from scipy.stats import pearson3, skew

    null = np.empty(0)
    for draws in DRAWS:
        null = np.r_[null, draw(draws)]
        reached = int((null >= seen - 1e-9 * max(1.0, seen)).sum())  # equal ones may differ in their last digits
        if reached >= REACHED:
            break
    p = (reached + 1) / (len(null) + 1)
    if not reached and null.std() > 0:
        p = min(p, float(pearson3.sf(seen, max(0.0, float(skew(null))), null.mean(), null.std())))
    return p, null


def _area_interval(area: float, variance: float, images: int) -> tuple[float, float]:
    """The AUCs from which the one seen is at most 1.96 standard deviations away; variance: at an AUC of 0.5."""
    true = np.linspace(0, 1, 10_001)
    spread = true * (1 - true) * (1 + (images / 2 - 1) * ((1 - true) / (2 - true) + true / (1 + true)))
    near = true[(area - true) ** 2 <= Z**2 * variance * spread / spread[len(true) // 2]]
    return (min(area, float(near[0])), max(area, float(near[-1]))) if variance and len(near) else (0.0, 1.0)
