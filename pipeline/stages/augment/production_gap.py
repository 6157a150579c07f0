"""Estimate the strengths of degradation that make raw pictures look like production's.

The gap is what a domain classifier (metrics/two_samples.py) makes of statistics of how pictures were taken
(stages/augment/capture.py). The strengths are those that make it smallest (stages/augment/strength_search.py).

- **Like with like**: as many raw as production pictures of each class, one a group, so that another
  mixture of classes is no gap.
- **Honest**: half of the groups choose, the others measure the AUC before and after.
- **Bounded**: MAX_IMAGES a role and half, WINDOW pixels per side, MAX_TRIALS trials.

What pictures show, and from where, is no part of this. A gap in that stays, and may be taken for one that a
degradation narrows. So with a backbone, embeddings are compared too (content_gap.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError
from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION, RAW
from pipeline.metrics.two_samples import FOLDS, Result, domain_test, fold_areas, quadratic_features
from pipeline.randomness import keyed_uniform
from pipeline.stages.augment.capture import capture_statistics
from pipeline.stages.augment.content_gap import ContentGap, Readers, View, area, measure_content
from pipeline.stages.augment.degradation import NOTHING, Strengths, degrade
from pipeline.stages.augment.strength_search import search

Values = npt.NDArray[np.float64]

CHOOSE, MEASURE = 0, 1
# Pictures of a role in each half; with fewer than the least, strengths would be chance.
MAX_IMAGES, MIN_IMAGES = 200, 15
# A multiple of 16, so that blocks of JPEG stay where they are.
WINDOW = 96
MAX_TRIALS = 500
# p of the classifier above which there is no gap to close.
LEVEL = 0.05


@dataclass(frozen=True)
class Gap:
    """The strengths, and how well raw and production are told apart without and with them.

    images: of each role that chose and measured. within_classes: whether each class has as many of both.
    content: the same by embedding; None without a backbone.
    """

    strengths: Strengths
    before: Result
    after: Result
    images: int
    within_classes: bool
    content: ContentGap | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Numbers for a report."""
        return {
            "images_per_role": self.images,
            "within_classes": self.within_classes,
            **area("auc_before", self.before),
            **area("auc_after", self.after),
            "strengths": self.strengths.numbers(),
            **({} if self.content is None else {"embedding": self.content.metrics}),
        }

    @property
    def summary(self) -> str:
        """What degrades raw images, and what a classifier still makes of them."""
        shown = "what the images show is not compared (embed.backbone: null)"
        return "\n  ".join([self._of_capture, shown if self.content is None else self.content.summary])

    @property
    def _of_capture(self) -> str:
        chosen = [f"{kind} {found.typical:g} ± {found.spread:g}" for kind, found in self.strengths.items()]
        used = [words for words in chosen if words.split()[0] in self.strengths.used()]
        nearer = self.after.statistic < self.before.statistic or not used
        return (
            f"raw images are degraded by {', '.join(used) or 'nothing'}; a classifier tells them from production "
            f"with an AUC of {self.after.statistic:.3f}, before {self.before.statistic:.3f}"
            f"{'' if nearer else '. It is no lower on held-out images, so you can turn augment.match_production off'}"
        )


def estimate_gap(rows: pd.DataFrame, read: Callable[[int], Pixels], seed: int, view: View | None = None) -> Gap:
    """The strengths with which raw pictures are told from production's least; the same for any order of rows.

    Args:
        rows: id, label ("" where unknown), role and group, a row per image; none of dev or test.
        read: row number to pixels, all of one shape.
        view: with one, pictures are compared by embedding as well.

    Raises:
        DataError: too few pictures of a role.
    """
    pairs, within_classes = _paired(rows, seed)
    choosing, measuring = (_side_by_side(rows, pairs[half], read, seed) for half in (CHOOSE, MEASURE))
    strengths = search(_Distance(choosing)) if choosing.test(NOTHING).p < LEVEL else NOTHING
    images = len(choosing.ids) + len(measuring.ids)
    content = None if view is None else _content(pairs, (choosing, measuring), view, strengths)
    return Gap(strengths, measuring.test(NOTHING), measuring.test(strengths), images, within_classes, content)


# Row numbers of raw and of production, as many each.
_Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def _paired(rows: pd.DataFrame, seed: int) -> tuple[list[_Pairs], bool]:
    """Pictures of each half, paired within classes; across them where that leaves too few (no labels, say)."""
    frame = pd.DataFrame(
        {
            "number": np.arange(len(rows)),
            "label": rows["label"].astype(str).to_numpy(),
            "role": rows["role"].astype(str).to_numpy(),
            "group": rows["group"].to_numpy(),
            "half": keyed_uniform(seed, "gap half", rows["group"]) >= 0.5,
            "key": keyed_uniform(seed, "gap image", rows["id"]),
        }
    )
    frame = frame.sort_values("key", kind="stable").drop_duplicates(["role", "group"])
    halves = [frame[frame["half"] == half] for half in (CHOOSE, MEASURE)]
    for within_classes in (True, False):
        pairs = [_pair(half if within_classes else half.assign(label="")) for half in halves]
        if min(len(raw) for raw, _ in pairs) >= MIN_IMAGES:
            return pairs, within_classes
    found = {role: min(int((half["role"] == role).sum()) for half in halves) for role in (RAW, PRODUCTION)}
    raise DataError(
        "augment.match_production needs images outside dev and test, one half for choosing strengths and one "
        f"half for measuring. Each half needs {MIN_IMAGES} groups of each role, but there are {found[RAW]} of "
        f"raw and {found[PRODUCTION]} of production. Add production images, give train a larger share of them "
        "in split.production, or set augment.match_production to false"
    )


def _pair(half: pd.DataFrame) -> _Pairs:
    """The first of each class in the order given, as many of both roles, MAX_IMAGES in all or little more."""
    sizes = pd.crosstab(half["label"], half["role"]).reindex(columns=[RAW, PRODUCTION], fill_value=0).min(axis=1)
    quotas = np.ceil(sizes * min(1.0, MAX_IMAGES / max(1, int(sizes.sum()))))
    rank = half.groupby(["label", "role"]).cumcount()
    chosen = half[rank < half["label"].map(quotas)]
    raw, production = (chosen.loc[chosen["role"] == role, "number"].to_numpy(np.intp) for role in (RAW, PRODUCTION))
    return raw, production


def _side_by_side(rows: pd.DataFrame, pairs: _Pairs, read: Callable[[int], Pixels], seed: int) -> "_Sides":
    raw, production = ([_window(read(int(number))) for number in numbers] for numbers in pairs)
    groups = rows["group"].iloc[np.concatenate(pairs)]
    return _Sides(
        raw=raw,
        ids=rows["id"].iloc[pairs[0]].astype(str).tolist(),
        production=np.stack([capture_statistics(pixels) for pixels in production]),
        folds=(keyed_uniform(seed, "gap fold", groups) * FOLDS).astype(np.intp),
        seed=seed,
    )


def _content(pairs: Sequence[_Pairs], sides: Sequence["_Sides"], view: View, strengths: Strengths) -> ContentGap:
    """By embedding of whole pictures, raw ones degraded as their first variants are."""

    def both(number: int, image_id: str) -> tuple[Pixels, Pixels]:
        pixels = view.read(number)
        return pixels, degrade(pixels, strengths, sides[0].seed, image_id, 1)

    choosing, measuring = (
        Readers(
            [partial(both, int(number), image_id) for number, image_id in zip(half[0], side.ids, strict=True)],
            [partial(view.read, int(number)) for number in half[1]],
            side.folds,
        )
        for half, side in zip(pairs, sides, strict=True)
    )
    return measure_content(choosing, measuring, sides[0].seed, view.embed)


def _window(pixels: Pixels) -> Pixels:
    top, left = (max(0, side - WINDOW) // 32 * 16 for side in pixels.shape[:2])
    return pixels[top : top + WINDOW, left : left + WINDOW]


@dataclass(frozen=True)
class _Sides:
    """Raw pictures, which get degraded, beside the statistics of as many production pictures, shape (n, k)."""

    raw: Sequence[Pixels]
    ids: Sequence[str]
    production: Values
    folds: npt.NDArray[np.intp]
    seed: int

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        return np.arange(2 * len(self.raw)) < len(self.raw)

    def facts(self, strengths: Strengths) -> Values:
        """Statistics of both sides, raw first, shape (2 n, k)."""
        degraded = (
            degrade(pixels, strengths, self.seed, image_id, 1)
            for pixels, image_id in zip(self.raw, self.ids, strict=True)
        )
        return np.concatenate([[capture_statistics(pixels) for pixels in degraded], self.production])

    def test(self, strengths: Strengths) -> Result:
        """The domain classifier's AUC."""
        return domain_test(self.facts(strengths), self.inside, self.folds, self.seed)


@dataclass(frozen=True)
class _Distance:
    """Strengths -> how far the sides are apart, each measured once; infinite when all trials are used up.

    The AUC, and what still leads on where that is 1: the distance of each statistic's distributions
    (Wasserstein's, over production's standard deviation), as a mean of logarithms.
    """

    sides: _Sides
    known: dict[Strengths, float] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """What distances differ by without a reason, but for a factor."""
        return 1 / math.sqrt(len(self.sides.raw))

    def __call__(self, strengths: Strengths) -> float:
        if strengths not in self.known:
            if len(self.known) >= MAX_TRIALS:
                return math.inf
            self.known[strengths] = self._measured(strengths)
        return self.known[strengths]

    def _measured(self, strengths: Strengths) -> float:
        facts, production = self.sides.facts(strengths), self.sides.production
        area = fold_areas(quadratic_features(facts), self.sides.inside[:, None], self.sides.folds)[0]
        shift = np.abs(np.sort(facts[: len(production)], axis=0) - np.sort(production, axis=0)).mean(axis=0)
        apart = np.log1p(shift / (production.std(axis=0) + 1e-3)).mean()
        return round(max(float(area), 0.5) + float(apart), 9)
