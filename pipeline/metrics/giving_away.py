"""How well a rule that sees a single fact predicts the class, with intervals."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pipeline.errors import listing
from pipeline.metrics.facts import FACTS, column_name
from pipeline.metrics.mean_intervals import effective_images, share_interval

Codes = npt.NDArray[np.intp]

NAMED, SURELY = 0.5, 0.25
# For facts of what is shown: two classes of real photos differ in them by up to 0.5, two digits by 0.9.
NAMED_SHOWN = 0.7
# What one class alone must be given away by: recall minus false alarms, and the lower end of its interval.
CLASS_NAMED, CLASS_SURELY = 0.8, 0.5
Z = NormalDist().inv_cdf(0.975)


def balanced_accuracy(share: float, classes: int) -> float:
    """Of a rule that gives so large a share of the classes away: 0 is chance, 1 is all of them."""
    return 1 / classes + share * (1 - 1 / classes)


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
        return balanced_accuracy(self.share, self.count)

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


def strength_of(
    told: Codes, labels: Codes, groups: Codes, classes: tuple[str, ...], about: tuple[str, str]
) -> Strength:
    """What a rule gives away that tells each image a class; all of shape (n,), about: the fact and the part."""
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
