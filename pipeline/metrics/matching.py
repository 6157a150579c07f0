"""Manifest -> do dev and test look like production, and in what do they differ if not?

Each comparison asks whether two sets are draws from one population, by labels, by single facts of
the images and by all facts together (a domain classifier). If dev is a random draw of production's
groups, the null hypothesis holds exactly: a test that fails says that the split is broken. So no
smallest effect that matters is set, but by the sizes of the samples.

- **Groups are the observations**, not near-duplicates: one image a group and side, chosen by keyed hash; at
  most MAX_LABELS groups a side for labels and MAX_IMAGES for facts, so that the cost is bounded.
- **Verdict**: a test is matched if its p, after Holm's correction over all tests of the comparison, is at
  least `level`; a comparison, if all its tests are. A random split fails one with probability `level` at most.
- **Images without a label** count as production by their facts, and say nothing of labels.
- **Not measured**, a side with fewer than two groups: statistic 0 (AUC 0.5, interval 0 to 1), p 1. Too few to
  tell is no mismatch; `groups` and `others` show it, and refusing such splits is stages/split/splitting.py's.

No pixels are compared: two sets of equal facts can show different things.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2, ks_2samp, norm, pearson3, rankdata, skew

from pipeline.manifest import DEV, NO_LABEL, PRODUCTION, TEST, TRAIN, TRAIN_DEV
from pipeline.randomness import keyed_generator, keyed_uniform

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Comparison -> a split, and what it is held against; "production" is all production images outside the split.
COMPARISONS = {
    "dev_vs_production": (DEV, PRODUCTION),
    "test_vs_production": (TEST, PRODUCTION),
    "dev_vs_test": (DEV, TEST),
    "train_vs_production": (TRAIN, PRODUCTION),
    "train_dev_vs_production": (TRAIN_DEV, PRODUCTION),
}
# train and train_dev differ from production on purpose; dev and test must not.
GATES = ("dev_vs_production", "test_vs_production", "dev_vs_test")
LABELS, DOMAIN = "labels", "domain"
FACTS: dict[str, Callable[[pd.DataFrame], "pd.Series[Any]"]] = {
    "size": lambda rows: rows["width"] ** 0.5 * rows["height"] ** 0.5,
    "aspect": lambda rows: (rows["width"] / rows["height"]).map(math.log),
    "brightness": lambda rows: rows["brightness"],
    "contrast": lambda rows: rows["contrast"],
    "sharpness": lambda rows: rows["sharpness"],
    "colour": lambda rows: rows["saturation"],
    # Bits a pixel: what is left of it after re-encoding.
    "file_quality": lambda rows: 8 * rows["bytes"] / rows["width"] / rows["height"],
}
# Columns of a manifest that FACTS are made of.
MEASURED = ("width", "height", "bytes", "brightness", "contrast", "sharpness", "saturation")
# Objects, because a column of floats would turn None into NaN.
COLUMNS = dict.fromkeys(["comparison", "test"], "str") | dict.fromkeys(["statistic", "p", "p_holm"], "float64")
COLUMNS |= {"matched": "bool", "low": "object", "high": "object", "groups": "int64", "others": "int64"}

MAX_LABELS, MAX_IMAGES = 20_000, 5_000
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


def measure_matching(rows: pd.DataFrame, seed: int, level: float) -> pd.DataFrame:
    """One row per comparison and test, the same for any order and index of the rows.

    Args:
        rows: id, label, role, group, split and FACTS' columns; a production row of no split counts as production.
        level: probability of calling a random split a mismatch, per comparison, in (0, 1).

    Returns:
        comparison; test (`labels`, a fact's name or `domain`); statistic, in [0, 1] (total variation distance,
        Kolmogorov-Smirnov distance, AUC); p; p_holm; matched; low and high, the AUC's 95 % interval and
        None for other tests; groups and others, how many stand on the two sides. Never NaN.
    """
    # Stands for the group from here on: of 10,000,000, two agree once in 180 runs.
    hashes = keyed_uniform(seed, "matching group", rows["group"])
    split, production = rows["split"], (rows["role"] == PRODUCTION).to_numpy(dtype=bool)
    found = []
    for comparison, (name, against) in COMPARISONS.items():
        inside = (split == name).to_numpy(dtype=bool)
        outside = production & ~inside if against == PRODUCTION else (split == against).to_numpy(dtype=bool)
        sides = [_one_image_a_group(rows, side, hashes, seed) for side in (inside, outside)]
        results = _compare(sides[0], sides[1], seed)
        corrected = holm(np.array([one.p for one in results.values()]))
        for (test, one), p in zip(results.items(), corrected, strict=True):
            found.append((comparison, test, one.statistic, one.p, p, p >= level, one.low, one.high, *map(len, sides)))
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object).astype(COLUMNS)


def summarise_matching(measured: pd.DataFrame) -> dict[str, dict[str, float | bool]]:
    """Flat metrics per comparison, all finite; label_p is before Holm's correction, worst_fact_p after it."""
    summary: dict[str, dict[str, float | bool]] = {}
    for comparison, tests in measured.groupby("comparison", sort=False):
        rows: Any = tests.set_index("test").to_dict(orient="index")
        summary[str(comparison)] = {
            "label_distance": float(rows[LABELS]["statistic"]),
            "label_p": float(rows[LABELS]["p"]),
            "worst_fact_p": min(float(rows[fact]["p_holm"]) for fact in FACTS),
            "domain_auc": float(rows[DOMAIN]["statistic"]),
            **{f"domain_{end}": float(rows[DOMAIN][end]) for end in ("low", "high")},
            "matched": bool(tests["matched"].all()),
        }
    return summary


def mismatches(measured: pd.DataFrame) -> list[str]:
    """A sentence for each test that dev or test fails, in the order of the tests."""
    failed = measured[~measured["matched"].astype(bool) & measured["comparison"].isin(GATES)]
    return [_sentence(test) for test in failed.itertuples()]


def visible_difference(images: int, accuracy: float) -> float:
    """Smallest difference in accuracy of two models that so many images show at 95 %, in [0, 1].

    1.96 sqrt(2 p (1 - p) / n), the test for the difference of two proportions (Dietterich 1998, section 3.2).
    Models compared image by image are told apart earlier, as far as their errors coincide. 1 without
    images; at an accuracy of 0 or 1 the formula gives 0, whatever their number.
    """
    return min(1.0, Z * float(np.sqrt(2 * accuracy * (1 - accuracy) / images))) if images else 1.0


def words(split: str, images: int, accuracy: float) -> str:
    """The same as a sentence."""
    points = 100 * visible_difference(images, accuracy)
    return (
        f"{split} has {images:,} images: two models measured on other images of this number differ by chance by up to "
        f"{points:.1f} points; on the same images `pipeline compare` tells them apart earlier"
    )


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
        return Result(distance, float(chi2.sf(seen, len(names) - 1)))
    tables = partial(keyed_generator(seed, "matching labels").multivariate_hypergeometric, total, size)
    p, _ = _random_p(seen, lambda draws: chi_square(tables(draws, method="marginals")))
    return Result(distance, p)


def fact_test(here: Values, there: Values) -> Result:
    """Two-sample Kolmogorov-Smirnov distance in [0, 1] and its p, which ties make too large, never too small."""
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
    features, sides = quadratic_features(facts), inside[:, None]
    shuffle = keyed_generator(seed, "matching domain").permuted
    area = float(fold_areas(features, sides, folds)[0])
    p, null = _random_p(area, lambda draws: fold_areas(features, shuffle(np.tile(sides, draws), axis=0), folds))
    return Result(area, p, *_area_interval(area, float(((null - 0.5) ** 2).mean()), len(inside)))


def quadratic_features(facts: Values) -> Values:
    """1, the facts' normal scores (van der Waerden), their squares and products: shape (n, 1 + k + k (k + 1) / 2).

    Ranks make logarithms and outliers irrelevant; products see shifts that no single fact shows.
    """
    scores = norm.ppf(rankdata(facts, axis=0) / (len(facts) + 1))
    first, second = np.triu_indices(facts.shape[1])
    return np.column_stack([np.ones(len(facts)), scores, scores[:, first] * scores[:, second]])


def fold_areas(features: Values, sides: Flags, folds: npt.NDArray[np.intp]) -> Values:
    """Cross-validated AUC of each column of sides, shape (n, d) -> (d,); 0.5 where there is nothing to compare.

    Mean over the folds, by van Elteren's weights (1960); ties count half (Mann and Whitney 1947). einsum adds in
    one order for any number of threads; scores are rounded, because equal images must tie.
    """
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


def _compare(here: pd.DataFrame, there: pd.DataFrame, seed: int) -> dict[str, Result]:
    """The tests of two sides, each one image a group in the order of the groups' hashes."""
    if min(len(here), len(there)) < 2:
        return {LABELS: Result(0.0, 1.0), **dict.fromkeys(FACTS, Result(0.0, 1.0)), DOMAIN: Result(0.5, 1.0, 0.0, 1.0)}
    results = {LABELS: _compare_labels(here["label"], there["label"], seed)}
    both = pd.concat([here.head(MAX_IMAGES), there.head(MAX_IMAGES)])
    facts = np.column_stack([fact(both).to_numpy(np.float64) for fact in FACTS.values()])
    inside = np.arange(len(both)) < min(len(here), MAX_IMAGES)
    for number, name in enumerate(FACTS):
        results[name] = fact_test(facts[inside, number], facts[~inside, number])
    folds = (keyed_uniform(seed, "matching fold", both["group"]) * FOLDS).astype(np.intp)
    return {**results, DOMAIN: domain_test(facts, inside, folds, seed)}


def _compare_labels(here: "pd.Series[Any]", there: "pd.Series[Any]", seed: int) -> Result:
    """The test of two sides' labels, where images without one say nothing."""
    given, others = (labels[labels != NO_LABEL].astype(str) for labels in (here, there))
    if min(len(given), len(others)) < 2:
        return Result(0.0, 1.0)
    return label_test(np.r_[given, others], np.arange(len(given) + len(others)) < len(given), seed)


def _one_image_a_group(rows: pd.DataFrame, side: Flags, hashes: Values, seed: int) -> pd.DataFrame:
    """One image of each of the first MAX_LABELS groups of a side, in the order of the groups' hashes."""
    places = np.flatnonzero(side)
    if len(places) > MAX_LABELS:
        smallest = np.unique(hashes[places])[:MAX_LABELS]
        places = places[hashes[places] <= smallest[-1]]
    chosen = rows.iloc[places]
    order = np.lexsort((keyed_uniform(seed, "matching image", chosen["id"]), hashes[places]))
    return chosen.iloc[order[np.flatnonzero(np.diff(hashes[places][order], prepend=-1.0))]]


def _sentence(test: Any) -> str:
    here, against = COMPARISONS[test.comparison]
    p = f"p {test.p_holm:.1g} after Holm"
    match test.test:
        case "labels":
            return f"{here} differs from {against} in labels (total variation distance {test.statistic:.2f}, {p})"
        case "domain":
            area = f"AUC {test.statistic:.2f}, 95 % interval {test.low:.2f} to {test.high:.2f}"
            return f"{here} can be told from {against} by the facts of its images together ({area}, {p})"
        case fact:
            name = str(fact).replace("_", " ")
            return f"{here} differs from {against} in {name} (Kolmogorov-Smirnov {test.statistic:.2f}, {p})"
