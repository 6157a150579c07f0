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

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import listing
from pipeline.manifest import NO_LABEL, PRODUCTION, RAW
from pipeline.metrics.facts import FACTS, Coded, coded, column_name, fact_names
from pipeline.metrics.intervals import MIN_GROUPS, effective_images, share_interval
from pipeline.names import key
from pipeline.randomness import keyed_uniform

Codes = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]

NAMED, SURELY = 0.5, 0.25
# For facts of what is shown: two classes of real photos differ in them by up to 0.5, two digits by 0.9.
NAMED_SHOWN = 0.7
# What one class alone must be given away by: recall minus false alarms, and the lower end of its interval.
CLASS_NAMED, CLASS_SURELY = 0.8, 0.5
FOLDS = 5
# Images that are looked at, whole groups; so many, whatever the number of images.
MAX_IMAGES = 20_000
# Independent groups of a class below which it is left out: in some folds nothing would be learnt of it.
MIN_CLASS_GROUPS = 5
ALL = "all"
Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Strength:
    """How far one fact gives classes away among some images.

    Attributes:
        fact: a name of FACTS, or a column of people's tables. part: `all`, `raw` or `production`.
        share, low, high: the share of classes given away, and its 95 % interval; share may be below 0.
        accuracy, majority: share of images whose class this fact alone tells, and that of the largest class.
        classes: those that are given away, each told from all others; sorted.
        images: labelled ones that were looked at. count: classes among them.
    """

    fact: str
    part: str
    share: float
    low: float
    high: float
    accuracy: float
    majority: float
    classes: tuple[str, ...]
    images: int
    count: int

    @property
    def balanced(self) -> float:
        """Balanced accuracy of the rule that sees this fact alone, in [0, 1]."""
        return 1 / self.count + self.share * (1 - 1 / self.count)

    @property
    def gives_away(self) -> str:
        """What it gives away, in words that follow its name."""
        if self.classes and not self.whole:
            return (
                f"tells {'class' if len(self.classes) == 1 else 'classes'} {listing(self.classes, 3)} from all others"
            )
        return (
            f"tells the class of {self.balanced:.0%} of images (classes counted alike; by chance {1 / self.count:.0%})"
        )

    @property
    def whole(self) -> bool:
        """Whether it gives the classes away as a whole, not a few of them."""
        return self.share >= (NAMED_SHOWN if self.shown else NAMED) and self.low > SURELY

    @property
    def named(self) -> bool:
        """Whether people are told."""
        return self.whole or bool(self.classes)

    @property
    def shown(self) -> bool:
        """Whether it may be what the pictures of a class show."""
        return self.fact in FACTS and FACTS[self.fact].shown

    @property
    def words(self) -> str:
        """The fact as words in a sentence."""
        return FACTS[self.fact].words if self.fact in FACTS else f"the column {column_name(self.fact)}"


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


def rule_of(codes: Codes, labels: Codes, weights: Floats | None = None) -> npt.NDArray[np.intp]:
    """For each value of a fact the class of the largest p(value | class), shape (values,); -1 for a value without rows.

    Of equal ones the first class.
    """
    sizes = np.bincount(labels)
    pairs, counts = np.unique(codes * len(sizes) + labels, return_counts=True)
    value, label = np.divmod(pairs, len(sizes))
    order = np.lexsort((label, -np.round(counts / sizes[label], 12), value))
    first = order[np.flatnonzero(np.diff(value[order], prepend=-1))]
    rule = np.full(codes.max(initial=-1) + 1, -1, np.intp)
    rule[value[first]] = label[first]
    return rule


def rows_of_part(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of `all`, `raw` or `production`."""
    return rows if part == ALL else rows[(rows["role"].astype(str) == part).to_numpy()]


@dataclass(frozen=True)
class RuleOn:
    """What a rule that sees one fact alone, learnt from some images, says of others.

    Attributes:
        ids, told: shape (n,), the images, and the class that the rule names.
        share, low, high, accuracy: as in Strength, of these images. count: their classes.
    """

    ids: npt.NDArray[Any]
    told: npt.NDArray[Any]
    share: float
    low: float
    high: float
    accuracy: float
    count: int

    @property
    def balanced(self) -> float:
        """Balanced accuracy, in [0, 1]."""
        return 1 / self.count + self.share * (1 - 1 / self.count)


def rule_on(learnt: pd.DataFrame, others: pd.DataFrame, name: str) -> RuleOn | None:
    """The rule of a fact learnt from some rows, tried on others; None where these have no value of it, or one class.

    Args:
        learnt, others: as measure_confounding takes them, labelled.
    """
    learnt, others = learnt.sort_values("id", kind="stable"), others.sort_values("id", kind="stable")
    classes = sorted({*learnt["label"].astype(str)})
    others = others[others["label"].astype(str).isin(classes)]
    both = pd.concat([learnt, others], ignore_index=True)
    fact = coded(both, name, len(classes))
    if fact is None or others["label"].nunique() < 2:
        return None
    labels = pd.Index(classes).get_indexer(pd.Index(both["label"].astype(str))).astype(np.intp)
    here = np.arange(len(both)) < len(learnt)
    rule = np.full(fact.codes.max() + 1, -1, np.intp)
    found = rule_of(fact.codes[here], labels[here])
    rule[: len(found)] = found
    told = rule[fact.codes[~here]]
    if (told < 0).all():
        return None
    told[told < 0] = np.bincount(labels[here]).argmax()
    own, present = pd.factorize(labels[~here], sort=True)
    groups = pd.factorize(others["group"], sort=True)[0].astype(np.intp)
    # Classes that the others lack are all one wrong answer.
    as_own = pd.Index(present).get_indexer(pd.Index(told))
    measured = _measured(as_own.astype(np.intp), own.astype(np.intp), groups, tuple(map(str, present)), (name, ALL))
    return RuleOn(
        ids=others["id"].to_numpy(),
        told=np.array(classes, object)[told],
        share=measured.share,
        low=measured.low,
        high=measured.high,
        accuracy=measured.accuracy,
        count=measured.count,
    )


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
    return _measured(told, labels.astype(np.intp), groups.astype(np.intp), tuple(map(str, classes)), (name, part))


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


def _measured(told: Codes, labels: Codes, groups: Codes, classes: tuple[str, ...], about: tuple[str, str]) -> Strength:
    count, right = len(classes), told == labels
    sizes = np.bincount(labels, minlength=count).astype(np.float64)
    hits = np.bincount(labels, weights=right, minlength=count)
    recalls = hits / sizes
    # Groups tell as much as so many images.
    ratio = effective_images(right.astype(np.float64), groups) / len(labels)
    smooth = (hits * ratio + 1) / (sizes * ratio + 2)
    spread = math.sqrt(float((smooth * (1 - smooth) / (sizes * ratio)).sum())) / (count - 1)
    share = (float(recalls.mean()) - 1 / count) / (1 - 1 / count)
    fact, part = about
    return Strength(
        fact=fact,
        part=part,
        share=share,
        low=share - Z * spread,
        high=min(share + Z * spread, 1.0),
        accuracy=float(right.mean()),
        majority=float(sizes.max() / len(labels)),
        classes=_given_away(told, labels, classes, ratio) if not (fact in FACTS and FACTS[fact].shown) else (),
        images=len(labels),
        count=count,
    )


def _given_away(told: Codes, labels: Codes, classes: tuple[str, ...], ratio: float) -> tuple[str, ...]:
    """Classes that the rule tells from all others, by its recall minus the mean share of others that get the name."""
    count = len(classes)
    sizes = np.bincount(labels, minlength=count).astype(np.float64)
    hits = np.bincount(labels, weights=told == labels, minlength=count)
    found = []
    for label in np.flatnonzero(hits >= CLASS_NAMED * sizes):
        alarms = np.bincount(labels, weights=told == label, minlength=count)
        alarm = float(np.delete(alarms / sizes, label).mean())
        recall = float(hits[label] / sizes[label])
        lowest = share_interval(recall, sizes[label] * ratio, 0.05)[0]
        most = share_interval(alarm, (sizes.sum() - sizes[label]) * ratio, 0.05)[1]
        if recall - alarm >= CLASS_NAMED and lowest - most > CLASS_SURELY:
            found.append(classes[label])
    return tuple(found)
