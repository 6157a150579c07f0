"""Manifest -> do dev and test look like production, and in what do they differ if not?

Each comparison asks whether two sets are draws from one population, by labels, by single facts of
the images, by all facts together (a domain classifier), and by what images show, where they have vectors
(another one). If dev is a random draw of production's groups, the null hypothesis holds exactly: a test that
fails says that the split is broken. So no smallest effect that matters is set: the sizes of the samples decide
which differences show.

- **Groups are the observations**, not near-duplicates: one image a group and side, chosen by keyed hash; at
  most MAX_LABELS groups per side for labels and MAX_IMAGES for facts, so that the cost is bounded.
- **Verdict**: a test is matched if its p, after Holm's correction over all tests of the comparison, is at
  least `level`; a comparison, if all its tests are. A random split fails one with probability `level` at most.
- **Images without a label** count as production by their facts, and say nothing of labels.
- **Not measured**, a side with fewer than two groups: statistic 0 (AUC 0.5, interval 0 to 1), p 1. Too few to
  tell is no mismatch; `groups` and `others` show it, and refusing such splits is stages/split/splitting.py's.

Without vectors, no test notices that two sets of equal facts show different things.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.manifest import DEV, NO_LABEL, PRODUCTION, RAW, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.embedding_domain import embedding_features
from pipeline.metrics.two_samples import FOLDS, Result, Z, area_test, domain_test, fact_test, holm, label_test
from pipeline.randomness import keyed_uniform

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Comparison -> a split or raw images, and what they are held against; "production" is all production images outside.
COMPARISONS = {
    "dev_vs_production": (DEV, PRODUCTION),
    "test_vs_production": (TEST, PRODUCTION),
    "dev_vs_test": (DEV, TEST),
    "train_vs_production": (TRAIN, PRODUCTION),
    "train_dev_vs_production": (TRAIN_DEV, PRODUCTION),
    "raw_vs_production": (RAW, PRODUCTION),
}
# raw, train and train_dev differ from production on purpose; dev and test must not.
GATES = ("dev_vs_production", "test_vs_production", "dev_vs_test")
LABELS, DOMAIN, EMBEDDING = "labels", "domain", "embedding"
# Positions of rows -> the vectors of their images, shape (n, d).
VectorsOf = Callable[[npt.NDArray[np.intp]], npt.NDArray[np.floating]]
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

# What a population hands out of its rows.
COLUMNS_TAKEN = ("id", "label", "group", *MEASURED)
# What the hashes of groups are keyed by.
GROUP_PURPOSE = "matching group"

MAX_LABELS, MAX_IMAGES = 20_000, 5_000
# Rows whose hashes are looked at in one go.
_BLOCK = 1 << 20
AREA_ENDS = {"auc": "statistic", "low": "low", "high": "high"}
# The AUC by chance; those below which two sets are alike in facts, and above which they are apart in what they show.
BY_CHANCE, ALIKE, APART = 0.5, 0.65, 0.75


@dataclass(frozen=True)
class Population:
    """Rows that comparisons draw their images from; arrays have a row each, shape (n,).

    raw, production: which rows are; those that are neither take no part.
    of_split: name of a split -> its rows.
    hashes: of the groups, keyed_uniform for GROUP_PURPOSE: they stand for the groups, of which, of 10,000,000, two
        agree once in 180 runs.
    taken: positions of rows -> columns COLUMNS_TAKEN, in this order. Asked once.
    """

    raw: Flags
    production: Flags
    of_split: Callable[[str], Flags]
    hashes: Values
    taken: Callable[[npt.NDArray[np.intp]], pd.DataFrame]


def measure_matching(rows: pd.DataFrame, seed: int, level: float, vectors_of: VectorsOf | None = None) -> pd.DataFrame:
    """One row per comparison and test, the same for any order and index of the rows.

    Args:
        rows: id, label, role, group, split and FACTS' columns; a production row of no split counts as production.
        level: probability of calling a random split a mismatch, per comparison, in (0, 1).
        vectors_of: gives the vectors of rows by their place in the table; None where there are none.

    Returns:
        comparison; test (`labels`, a fact's name, `domain` or, with vectors, `embedding`); statistic, in [0, 1]
        (total variation distance, Kolmogorov-Smirnov distance, AUC); p; p_holm; matched; low and high, the AUC's
        95 % interval and None for other tests; groups and others, how many stand on the two sides. Never NaN.
    """
    production = (rows["role"] == PRODUCTION).to_numpy(dtype=bool)
    population = Population(
        ~production,
        production,
        lambda name: (rows["split"] == name).to_numpy(dtype=bool),
        keyed_uniform(seed, GROUP_PURPOSE, rows["group"]),
        lambda places: rows.iloc[places],
    )
    return measure_population(population, seed, level, vectors_of)


def measure_population(rows: Population, seed: int, level: float, vectors_of: VectorsOf | None = None) -> pd.DataFrame:
    """The same of rows of which few are looked at."""
    places = {
        comparison: [_places_of(rows, side) for side in _sides(rows, *of)] for comparison, of in COMPARISONS.items()
    }
    # All at once, because each asking may be a pass over a file.
    every = np.unique(np.concatenate([*itertools.chain(*places.values())]))
    taken = rows.taken(every).assign(place=every)
    both: dict[str, list[pd.DataFrame]] = {
        comparison: [
            _one_image_a_group(taken.iloc[np.searchsorted(every, side)], rows.hashes[side], seed) for side in sides
        ]
        for comparison, sides in places.items()
    }
    features = {} if vectors_of is None else _features([*itertools.chain(*both.values())], vectors_of)
    found = []
    for comparison, sides in both.items():
        results = _compare(sides[0], sides[1], seed)
        if vectors_of is not None:
            results[EMBEDDING] = _compare_vectors(sides, features, seed)
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
            **(
                {f"embedding_{end}": float(rows[EMBEDDING][of]) for end, of in AREA_ENDS.items()}
                if EMBEDDING in rows
                else {}
            ),
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
        f"{split} has {images:,} images: two equally good models, measured on different sets of this size, differ by "
        f"up to {points:.1f} points by chance; on the same images, `pipeline compare` shows smaller differences"
    )


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


def _features(sides: Sequence[pd.DataFrame], vectors_of: VectorsOf) -> dict[int, Values]:
    """Features of what the images that are compared show, by place; one basis for all comparisons."""
    images = pd.concat([side[["id", "place"]].head(MAX_IMAGES) for side in sides])
    # In an order of their own, because sums in another one differ in their last digits.
    places = images.drop_duplicates("id").sort_values("id")["place"].to_numpy(np.intp)
    return dict(zip(places.tolist(), embedding_features(vectors_of(places)), strict=True)) if len(places) else {}


def _compare_vectors(sides: Sequence[pd.DataFrame], features: Mapping[int, Values], seed: int) -> Result:
    if min(map(len, sides)) < 2:
        return Result(0.5, 1.0, 0.0, 1.0)
    both = pd.concat([side.head(MAX_IMAGES) for side in sides])
    inside = np.arange(len(both)) < min(len(sides[0]), MAX_IMAGES)
    folds = (keyed_uniform(seed, "matching fold", both["group"]) * FOLDS).astype(np.intp)
    return area_test(np.stack([features[place] for place in both["place"]]), inside, folds, seed)


def domain_notes(measured: pd.DataFrame) -> list[str]:
    """How well raw and production images are told apart, in words; nothing where that is by chance alone.

    A set that is told by its vectors and not by its facts differs in what it shows.
    """
    rows: Any = measured[measured["comparison"] == "raw_vs_production"].set_index("test").to_dict(orient="index")
    facts, shown = rows[DOMAIN], rows.get(EMBEDDING)
    if all(test is None or float(test["low"]) <= BY_CHANCE for test in (facts, shown)):
        return []
    told = f"raw and production images are told apart with an AUC of {_area(facts)} by facts of the files and pictures"
    if shown is None:
        return [told]
    both = f"{told}, and of {_area(shown)} by what an embedding shows"
    if float(facts["high"]) < ALIKE and float(shown["low"]) > APART:
        return [f"{both}: how they were taken hardly differs, what they show does"]
    return [both]


def _area(test: Mapping[str, Any]) -> str:
    return f"{test['statistic']:.2f} ({test['low']:.2f} to {test['high']:.2f})"


def _compare_labels(here: "pd.Series[Any]", there: "pd.Series[Any]", seed: int) -> Result:
    """The test of two sides' labels, where images without one say nothing."""
    given, others = (labels[labels != NO_LABEL].astype(str) for labels in (here, there))
    if min(len(given), len(others)) < 2:
        return Result(0.0, 1.0)
    return label_test(np.r_[given, others], np.arange(len(given) + len(others)) < len(given), seed)


def _sides(rows: Population, name: str, against: str) -> Iterator[Flags]:
    """The rows of both sides of a comparison, one after the other."""
    inside = rows.raw if name == RAW else rows.of_split(name)
    yield inside
    yield rows.production & ~inside if against == PRODUCTION else rows.of_split(against)


def _places_of(rows: Population, side: Flags) -> npt.NDArray[np.intp]:
    """The rows of the first MAX_LABELS groups of a side, in the order of the groups' hashes."""
    smallest = np.empty(0)
    for start in range(0, len(side), _BLOCK):
        some = rows.hashes[start : start + _BLOCK][side[start : start + _BLOCK]]
        if len(smallest) == MAX_LABELS:
            some = some[some < smallest[-1]]
        smallest = np.unique(np.concatenate([smallest, some]))[:MAX_LABELS]
    return np.flatnonzero(side & (rows.hashes <= smallest[-1])) if len(smallest) else np.empty(0, np.intp)


def _one_image_a_group(chosen: pd.DataFrame, hashes: Values, seed: int) -> pd.DataFrame:
    """One image of each group, in the order of the groups' hashes."""
    order = np.lexsort((keyed_uniform(seed, "matching image", chosen["id"]), hashes))
    return chosen.iloc[order[np.flatnonzero(np.diff(hashes[order], prepend=-1.0))]]


def _sentence(test: Any) -> str:
    here, against = COMPARISONS[test.comparison]
    p = f"p {test.p_holm:.1g} after Holm"
    match test.test:
        case "labels":
            return f"{here} differs from {against} in labels (total variation distance {test.statistic:.2f}, {p})"
        case "domain":
            area = f"AUC {test.statistic:.2f}, 95 % interval {test.low:.2f} to {test.high:.2f}"
            return f"{here} can be told from {against} by the facts of its images together ({area}, {p})"
        case "embedding":
            area = f"AUC {test.statistic:.2f}, 95 % interval {test.low:.2f} to {test.high:.2f}"
            return f"{here} can be told from {against} by what its images show ({area}, {p})"
        case fact:
            name = str(fact).replace("_", " ")
            return f"{here} differs from {against} in {name} (Kolmogorov-Smirnov {test.statistic:.2f}, {p})"
