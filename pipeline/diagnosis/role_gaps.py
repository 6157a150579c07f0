"""Is production different, or harder? Errors by split and role, and what their differences say.

Andrew Ng's table of two by three (Machine Learning Yearning, ch. 40 to 43): raw and production images, that the model
has learnt and that it has not. Where it errs more on production's learnt images than on raw's, production is harder,
and more or other training images alone will not mend it. Where it errs more on new images of production than on learnt
ones, by more than it does on raw images, production is different from what was learnt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.diagnosis.error_levels import ALPHA, Level, around, measured
from pipeline.diagnosis.findings import HARDER, Finding
from pipeline.diagnosis.gaps import MIN_COUNT, MISMATCH, Gap, Verdict, compared, explained, verdict_of
from pipeline.diagnosis.units import NUMBERS, SHARES, Unit
from pipeline.manifest import DEV, PRODUCTION, RAW, TRAIN, TRAIN_DEV
from pipeline.metrics.bootstrap import interval
from pipeline.metrics.metric import Metric
from pipeline.stages.evaluate.params import EvaluateParams

Roles = Mapping[tuple[str, str], Level]
CELLS = ((TRAIN, RAW), (TRAIN, PRODUCTION), (TRAIN_DEV, RAW), (TRAIN_DEV, PRODUCTION), (DEV, PRODUCTION))
LEARNT_HARDER, NEW_HARDER = "learnt_production_to_raw", "new_production_to_raw"
RAW_NEW, PRODUCTION_NEW = "new_raw_to_learnt", "new_production_to_learnt"
# Difference -> the cell with more error, the cell with less.
PAIRS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    LEARNT_HARDER: ((TRAIN, PRODUCTION), (TRAIN, RAW)),
    NEW_HARDER: ((DEV, PRODUCTION), (TRAIN_DEV, RAW)),
    RAW_NEW: ((TRAIN_DEV, RAW), (TRAIN, RAW)),
    PRODUCTION_NEW: ((DEV, PRODUCTION), (TRAIN, PRODUCTION)),
}
WORDS: Mapping[str, str] = {
    LEARNT_HARDER: "production minus raw, training images",
    NEW_HARDER: "production minus raw, new images",
    RAW_NEW: "new minus training images, raw",
    PRODUCTION_NEW: "new minus training images, production",
}


@dataclass(frozen=True)
class Difference:
    """One cell's error above another's, a share, with its interval: 95 % for all differences together."""

    name: str
    value: float
    low: float
    high: float
    verdict: Verdict


def role_levels(
    predictions: pd.DataFrame, manifest: pd.DataFrame, metric: Metric, classes: tuple[str, ...], p: EvaluateParams
) -> dict[tuple[str, str], Level]:
    """The level of each split and role that has images, in the order of the table."""
    rows = predictions.merge(manifest[["id", "role"]], on="id", validate="one_to_one")
    found = {}
    for split, role in CELLS:
        part = rows[(rows["split"].astype(str) == split) & (rows["role"].astype(str) == role)]
        if len(part):
            found[split, role] = measured(f"{split} {role}", part, metric, classes, p)
    return found


def differences_of(roles: Roles, metric: Metric, relevant: float, p: EvaluateParams) -> list[Difference]:
    """The differences of the table's cells that there are."""
    pairs = {name: (roles[one], roles[other]) for name, (one, other) in PAIRS.items() if {one, other} <= set(roles)}
    return [
        _difference(name, upper, lower, metric, ALPHA / len(pairs), relevant, p)
        for name, (upper, lower) in pairs.items()
    ]


def _difference(
    name: str, upper: Level, lower: Level, metric: Metric, alpha: float, relevant: float, p: EvaluateParams
) -> Difference:
    value, low, high = compared(upper, lower, metric, alpha, p)
    few = min(upper.effective, lower.effective) < MIN_COUNT
    return Difference(name, value, low, high, "cannot tell" if few else verdict_of(value, low, high, relevant))


def harder(
    gaps: Sequence[Gap], roles: Roles, differences: Sequence[Difference], relevant: float
) -> tuple[list[Gap], list[Finding]]:
    """The gaps, mismatch marked as explained where production is harder and not different; and that finding.

    Without production images that were learnt, nobody can tell the two apart, and mismatch stays what it is called.
    """
    by_name = {each.name: each for each in differences}
    learnt = by_name.get(LEARNT_HARDER)
    mismatch = next((gap for gap in gaps if gap.name == MISMATCH), None)
    if learnt is None or learnt.verdict != "present" or mismatch is None or mismatch.verdict != "present":
        return list(gaps), []
    of_production, of_raw = roles[TRAIN, PRODUCTION], roles[TRAIN, RAW]
    words = (
        "production images are harder, or more of their labels are wrong: the model misclassifies "
        f"{of_production.error:.1%} of those that it was trained on, and {of_raw.error:.1%} of "
        "the raw ones"
    )
    if of_production.in_numbers:
        words = (
            "production images are harder, or more of their numbers are wrong: the error on those that the model was "
            f"trained on is {NUMBERS.level(of_production.error)}, and on the raw ones {NUMBERS.level(of_raw.error)}"
        )
    figures = {"excess": learnt.value, "low": learnt.low, "high": learnt.high}
    found = Finding(HARDER, words, figures, gain=learnt.value)
    if _differs(roles, relevant):
        return list(gaps), [found]
    return explained(gaps, MISMATCH), [found]


def _differs(roles: Roles, relevant: float) -> bool:
    """Whether new images of production add more errors to learnt ones than new images of raw do, beyond chance."""
    cells = [(DEV, PRODUCTION), (TRAIN, PRODUCTION), (TRAIN_DEV, RAW), (TRAIN, RAW)]
    if any(cell not in roles for cell in cells):
        return True
    signs = (1, -1, -1, 1)
    value = sum(sign * roles[cell].error for sign, cell in zip(signs, cells, strict=True))
    resampled = np.sum([sign * roles[cell].resampled for sign, cell in zip(signs, cells, strict=True)], axis=0)
    return value >= relevant and interval(resampled, ALPHA)[0] > 0


def roles_table(roles: Roles, differences: Sequence[Difference], unit: Unit = SHARES) -> list[str]:
    """Lines of Markdown: errors by split and role with their intervals, and the differences."""
    lines = ["| error | raw | production |", "|---|---|---|"]
    for split, name in (
        (TRAIN, "train (training images)"),
        (TRAIN_DEV, "train_dev (new images)"),
        (DEV, "dev (new images)"),
    ):
        cells = [_cell(roles.get((split, role)), unit) for role in (RAW, PRODUCTION)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if differences:
        lines += ["", f"| difference | {'' if unit.numbers else 'points '}| 95 % interval |", "|---|---|---|"]
    lines += [
        f"| {WORDS[each.name]} | {unit.bare(each.value)} | {unit.bare(each.low)} to {unit.bare(each.high)} |"
        for each in differences
    ]
    return lines


def _cell(level: Level | None, unit: Unit) -> str:
    if level is None:
        return ""
    low, high = around(level, ALPHA)
    return f"{unit.level(level.error, 1)} ({unit.bare(low)} to {unit.bare(high)}) of {level.images:,}"
