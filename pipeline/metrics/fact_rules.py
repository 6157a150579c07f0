"""The rule that tells an image's class by one fact alone: how it is learnt, and what it says of other images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.facts import coded
from pipeline.metrics.giving_away import Codes, balanced_accuracy, strength_of

# All images, where the raw and the production ones are parts.
ALL = "all"


def rule_of(codes: Codes, labels: Codes) -> npt.NDArray[np.intp]:
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
        return balanced_accuracy(self.share, self.count)


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
    measured = strength_of(as_own.astype(np.intp), own.astype(np.intp), groups, tuple(map(str, present)), (name, ALL))
    return RuleOn(
        ids=others["id"].to_numpy(),
        told=np.array(classes, object)[told],
        share=measured.share,
        low=measured.low,
        high=measured.high,
        accuracy=measured.accuracy,
        count=measured.count,
    )
