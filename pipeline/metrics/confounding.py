"""Confounding: facts of an image, other than what it shows, from which alone its class can be told.

A model that sees such a fact, a source's look or a camera's noise, can learn it instead of the class, and every number
measured on images with the same link is too good.

- **Facts**: the source, the role, the file's format, the pictures' size, the time of capture, each column of people's
  tables, and what is measured of a picture (FACTS). Those that belong to what a picture shows as well (brightness, say)
  are told with that said.
- **The rule**: of images with one value of a fact, the class that has this value most often, classes counted alike
  (the largest p(value | class)). Fitted to four fifths of the groups, tried on the fifth (FOLDS): a value that no other
  group has, such as a name of the image, tells nothing.
- **Share given away**: (balanced accuracy of the rule - 1 / classes) / (1 - 1 / classes). 0: the fact says nothing;
  1: it gives every class away (Youden's J; in more classes the adjusted balanced accuracy of Brodersen et al., 2010).
  Sizes of classes do not matter, so that a fact says more than class shares do only if they differ between its values.
- **Named** where at least NAMED of the classes are given away (NAMED_SHOWN by what is shown, too), surely more than
  SURELY; or where one class alone is, by a fact that has nothing to do with what pictures show. An effect, no p value:
  sources with other class shares are usual, and in many images any difference is beyond chance.
- **Parts**: all images, and those of each role: raw images may have one source a class, production none.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.manifest import NO_LABEL, PRODUCTION, RAW
from pipeline.metrics.fact_rules import ALL, rule_of
from pipeline.metrics.facts import FACTS, Coded, coded, fact_names
from pipeline.metrics.giving_away import NAMED, Codes, Strength, strength_of
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.names import key
from pipeline.randomness import keyed_uniform

FOLDS = 5
# Images that are looked at, whole groups; so many, whatever the number of images.
MAX_IMAGES = 20_000
# Independent groups of a class below which it is left out: in some folds nothing would be learnt of it.
MIN_CLASS_GROUPS = 5


def measure_confounding(rows: pd.DataFrame, without: Collection[str] = ()) -> list[Strength]:
    """How far each fact gives classes away, of all images or of the role where it does more; strongest first.

    The same for any order and index of the rows.

    Args:
        rows: id, label, group, role, what FACTS are made of, and columns `meta_…`; without a label they say nothing.
        without: facts that are not looked at.

    Returns:
        Nothing for fewer than two classes of MIN_CLASS_GROUPS groups or 15 groups in all; no entry for a fact of one
        value, or with a value for nearly each image, or that repeats the class's name.
    """
    rows = sampled(rows)
    parts, found = [*_parts(rows)], []
    for name in fact_names(rows):
        if name in without:
            continue
        measured = [one for part, inside in parts if (one := _strength(inside, name, part)) is not None]
        if measured:
            found.append(_worst(measured))
    order = [*FACTS]
    rank = {name: order.index(name) if name in FACTS else 1.5 for name in (one.fact for one in found)}
    return sorted(found, key=lambda one: (not one.named, one.shown, -round(one.share, 3), rank[one.fact], one.fact))


def named(strengths: Sequence[Strength]) -> list[Strength]:
    """Those that people are told of, strongest first."""
    return [one for one in strengths if one.named]


def sampled(rows: pd.DataFrame) -> pd.DataFrame:
    """Labelled rows in the order of their ids, those of at most MAX_IMAGES images by groups of a keyed choice."""
    labelled = rows[(rows["label"].astype(str) != NO_LABEL).to_numpy()]
    if len(labelled) > MAX_IMAGES:
        chance = keyed_uniform(0, "confounding sample", labelled["group"])
        # Groups whole, the first of which always stays.
        ends = np.sort(chance)
        limit = ends[MAX_IMAGES - 1]
        last = ends[np.searchsorted(ends, limit) - 1] if ends[MAX_IMAGES] == limit and limit > ends[0] else limit
        labelled = labelled[chance <= last]
    return labelled.sort_values("id", kind="stable").reset_index(drop=True)


def rows_of_part(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of `all`, `raw` or `production`."""
    return rows if part == ALL else rows[(rows["role"].astype(str) == part).to_numpy()]


def _worst(measured: Sequence[Strength]) -> Strength:
    """The part of which people are told: the first, unless a later one alone is named or surely gives more away."""
    chosen = measured[0]
    for one in measured[1:]:
        if one.named and (not chosen.named or one.low > chosen.high):
            chosen = one
    return chosen


def _parts(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL, rows
    for role in (RAW, PRODUCTION):
        part = rows_of_part(rows, role)
        if 0 < len(part) < len(rows):
            yield role, part


def _strength(rows: pd.DataFrame, name: str, part: str) -> Strength | None:
    """How far a fact gives away the classes of some rows; None where that cannot be said."""
    groups_of_class = rows.groupby(rows["label"].astype(str))["group"].nunique()
    kept = groups_of_class.index[groups_of_class >= MIN_CLASS_GROUPS]
    rows = rows[rows["label"].astype(str).isin(kept)]
    groups = pd.factorize(rows["group"], sort=True)[0]
    if len(kept) < 2 or len(np.unique(groups)) < MIN_GROUPS:
        return None
    labels, classes = pd.factorize(rows["label"].astype(str), sort=True)
    fact = coded(rows, name, len(classes))
    if fact is None or _repeats(fact, labels, tuple(map(str, classes))):
        return None
    folds = (keyed_uniform(0, "confounding fold", rows["group"]) * FOLDS).astype(np.intp)
    told = _out_of_fold(fact.codes, labels.astype(np.intp), folds)
    return strength_of(told, labels.astype(np.intp), groups.astype(np.intp), tuple(map(str, classes)), (name, part))


def _repeats(fact: Coded, labels: npt.NDArray[Any], classes: Sequence[str]) -> bool:
    """Whether a column holds the classes' own names."""
    names, own = {key(name) for name in fact.names}, [key(str(name)) for name in classes]
    if not {*own} <= names:
        return False
    written = np.array([key(name) for name in fact.names], object)[fact.codes]
    return bool(np.mean(written == np.array(own, object)[labels]) > NAMED)


def _out_of_fold(codes: Codes, labels: Codes, folds: Codes) -> Codes:
    """The class that the rule names for each row, fitted to the other folds; the largest class for a new value."""
    told = np.empty(len(codes), np.intp)
    for fold in np.unique(folds):
        here = folds == fold
        if here.all():
            return np.full(len(codes), np.bincount(labels).argmax(), np.intp)
        rule = np.full(codes.max() + 1, -1, np.intp)
        learnt = rule_of(codes[~here], labels[~here])
        rule[: len(learnt)] = learnt
        rule[rule < 0] = np.bincount(labels[~here]).argmax()
        told[here] = rule[codes[here]]
    return told
