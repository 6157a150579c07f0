"""Findings other than gaps, and how many false alarms tests of many classes and slices may give.

Gaps and findings share the 5 % of false alarms: half of it is for tests on findings, which all stand in one family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

LEVEL = 0.025

# Findings of curves, which say why there is a gap.
EPOCHS, RATE, OVERFIT, UNDERFIT = (
    "too_few_epochs",
    "learning_rate_too_high",
    "overfitting_in_curves",
    "underfitting_in_curves",
)
RATE_LOW, NOTHING_LEARNT = "learning_rate_too_low", "nothing_learnt"
EARLY_STOP, COARSE_CHOICE = "stopped_too_early", "epoch_chosen_by_few_images"
# Findings of labels, classes and roles, on which gaps rest.
WEAK_JUDGE, MISSING, IMBALANCE, HARDER, SMALL_CLASS = (
    "label_check_too_weak",
    "class_missing",
    "class_imbalance",
    "production_harder",
    "class_too_small_to_tell",
)
BEYOND_PEOPLE = "better_than_people"
CLASS, SLICE, HIDDEN = "failing_class", "failing_slice", "metric_hides_class"
# Slices that nobody asked for, and that could not gain what is worth work: some images are harder for any model.
HARD_SLICE = "hard_slice"
# A fact that gives classes away, one that may be what they look like, and images of dev that show scenes of train.
CONFOUNDED, FACT_TELLS, SCENES = "confounding", "fact_tells_class", "scenes_in_train"
# Where images have numbers: the model is not surely better than the mean.
NO_SKILL = "no_better_than_the_mean"
LEAK, CALIBRATION, SMALL_DEV, LABEL_NOISE = "leakage", "calibration", "dev_too_small", "label_noise"


@dataclass(frozen=True)
class Finding:
    """Something that a run shows beside its gaps.

    p: the chance of figures as far out if nothing were wrong; None for what no chance is in.
    gain: share of errors that mending it could take off dev at most, 0 where that is not known.
    subject: the class, or column=value, that it is about.
    """

    name: str
    words: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    p: float | None = None
    gain: float = 0.0
    subject: str = ""


def sure(candidates: Sequence[Finding], tests: int) -> list[Finding]:
    """The findings that hold although so many were tested (Holm, 1979), and those without chance in them.

    Args:
        candidates: those of the tests whose figures are worth work; the others can only fail.
        tests: how many there were, those of the candidates among them.
    """
    kept = [finding for finding in candidates if finding.p is None]
    tested = [(finding.p, finding) for finding in candidates if finding.p is not None]
    for rank, (p, finding) in enumerate(sorted(tested, key=lambda pair: pair[0])):
        if p > LEVEL / (tests - rank):
            break
        kept.append(finding)
    return sorted(kept, key=lambda finding: (-finding.gain, finding.name, finding.subject))


def units(wrong: "pd.Series[bool]", groups: "pd.Series[str]") -> tuple[int, int]:
    """Independent observations: groups, and how many of them are wrong, as the sum of their shares, rounded down."""
    shares = wrong.groupby(groups.to_numpy(), observed=True).mean()
    return len(shares), int(np.floor(shares.sum() + 1e-9))


def more_wrong(part: tuple[int, int], rest: tuple[int, int]) -> float:
    """Fisher's exact test, one-sided: the chance of so many wrong in a part if it was no worse than the rest.

    Args:
        part, rest: observations, and how many of them are wrong.
    """
    (size, wrong), (others, extra_columns) = part, rest
    everything, bad = size + others, wrong + extra_columns
    counts = np.arange(wrong, min(size, bad) + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, everything + 1)))])

    def choose(
        n: int, k: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return np.asarray(logs[n] - logs[k] - logs[n - k])

    counts = counts[size - counts <= everything - bad]
    ways = choose(bad, counts) + choose(everything - bad, size - counts) - choose(everything, np.array([size]))
    return float(min(1.0, np.exp(ways).sum()))
