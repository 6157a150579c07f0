"""Are labels wrong, of which role and in which split? What the models that check labels say, and how far it holds.

Where a model is surest its own mistakes are rarest, and wrong labels are as common as elsewhere (label_noise.py). So it
is asked about the quarter of which it is surest, and about the surer half of that quarter: if it contradicts fewer
labels there, the rest are its own mistakes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from pipeline.diagnosis.error_levels import ALPHA, wilson
from pipeline.diagnosis.findings import LABEL_NOISE, WEAK_JUDGE, Finding, more_wrong
from pipeline.diagnosis.gaps import MIN_COUNT
from pipeline.manifest import DEV, TRAIN

CHECKED = (TRAIN, DEV)
# A model that contradicts more of the labels of which it is surest is a poor judge, or the labels are no labels.
MAX_DISAGREEING = 0.5
# Beside the labels that are wrong, it may itself be wrong so many times as often.
MAX_OWN_MISTAKES = 1.5
# The surer half has fewer contradictions by chance alone in so many cases.
DECLINE = 0.05


def wrong_labels(label_issues: Mapping[str, Any], relevant: float) -> list[Finding]:
    """The roles of which so many labels are wrong that it is worth work, and those of which nothing can be told.

    Raw and production images come from different hands, so each role is judged by itself: in train and dev together,
    or in one of them where only that is sure.

    Args:
        label_issues: metrics of the stage label_issues. Of dev alone (folds: null) its model is judge in its own
            cause: then nothing is said.
    """
    if TRAIN not in label_issues:
        return []
    roles = sorted({role for split in CHECKED for role in label_issues.get(split, {}).get("roles", {})})
    parts = {role: dict(_parts(label_issues, role)) for role in roles}
    alpha = ALPHA / max(sum(map(len, parts.values())), 1)
    found = [each for role in roles for each in _of_role(role, parts[role], relevant, alpha)]
    return sorted(found, key=lambda each: (each.name != LABEL_NOISE, -float(each.figures["wrong_share"])))


def _parts(label_issues: Mapping[str, Any], role: str) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
    """What is judged of a role: all splits that have it together, then each of several."""
    here = {
        split: label_issues[split]["roles"][role]
        for split in CHECKED
        if role in label_issues.get(split, {}).get("roles", {})
    }
    yield tuple(here), _together(list(here.values()))
    if len(here) > 1:
        yield from (((split,), _together([counts])) for split, counts in here.items())


def _together(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Counts of several parts: images, and what is contradicted of the surest quarters and of their surer halves."""
    images = sum(each["images"] for each in counts)
    return {
        "images": images,
        "label_issues": sum(each["label_issues"] for each in counts),
        "wrong": sum(each["wrong_share"] * each["images"] for each in counts),
        "accuracy": sum(each["accuracy"] * each["images"] for each in counts) / max(images, 1),
        "sure": sum(each["most_confident"] for each in counts),
        "denied": round(sum(each["most_confident"] * each["disagreeing"] for each in counts)),
        "surer": sum(each["half_confident"] for each in counts),
        "surer_denied": round(sum(each["half_confident"] * each["half_disagreeing"] for each in counts)),
    }


def _of_role(
    role: str, parts: Mapping[tuple[str, ...], Mapping[str, float]], relevant: float, alpha: float
) -> list[Finding]:
    # Who never learnt images of a role is sure of mistakes on them.
    learnt = any(TRAIN in splits and part["images"] >= MIN_COUNT for splits, part in parts.items() if len(splits) == 1)
    verdicts = {splits: _verdict(part, relevant, alpha, learnt) for splits, part in parts.items()}
    for splits, part in parts.items():
        if verdicts[splits] == LABEL_NOISE:
            share = part["wrong"] / part["images"]
            words = (
                f"about {share:.0%} of the {role} labels in {' and '.join(splits)} seem wrong "
                f"({part['label_issues']:,.0f} images are listed)"
            )
            figures = {"wrong_share": share, "label_issues": int(part["label_issues"]), "images": int(part["images"])}
            return [Finding(LABEL_NOISE, words, figures, subject=role)]
    whole = next(iter(parts.values()))
    if WEAK_JUDGE not in verdicts.values():
        return []
    words = (
        f"whether {role} labels are wrong cannot be told: the model that checks them agrees with only "
        f"{whole['accuracy']:.0%} of them, and many of those that it contradicts may be right"
    )
    return [Finding(WEAK_JUDGE, words, {"wrong_share": 0.0, "accuracy": whole["accuracy"]}, subject=role)]


def _verdict(part: Mapping[str, float], relevant: float, alpha: float, learnt: bool) -> str | None:
    """Wrong labels, a judge too weak to tell, or nothing.

    Of fewer than 30 images no verdict rests on such a share, as in gaps.py.
    """
    sure, denied = part["sure"], part["denied"]
    if sure < MIN_COUNT or part["wrong"] < relevant * part["images"]:
        return None
    if wilson(denied / sure, sure, alpha)[0] < relevant:
        return None
    share = denied / sure
    own = (1 - part["accuracy"] - share) / (1 - share) if share < 1 else 1.0
    if not learnt or share >= MAX_DISAGREEING or own > MAX_OWN_MISTAKES * share:
        return WEAK_JUDGE
    others = int(sure - part["surer"]), int(denied - part["surer_denied"])
    if more_wrong(others, (int(part["surer"]), int(part["surer_denied"]))) > DECLINE:
        return LABEL_NOISE
    return LABEL_NOISE if _floor(part, others, alpha) >= relevant else WEAK_JUDGE


def _floor(part: Mapping[str, float], others: tuple[int, int], alpha: float) -> float:
    """What is left of the contradictions, at least, where a judge is perfectly sure: a line through both halves."""
    halves = (part["surer"], part["surer_denied"]), others
    # One more on each side, so that no variance is 0.
    first, second = ((wrong + 1) / (images + 2) for images, wrong in halves)
    one, other = (
        share * (1 - share) / (images + 2) for share, (images, _) in zip((first, second), halves, strict=True)
    )
    spread = math.sqrt(1.5**2 * one + 0.5**2 * other)
    return 1.5 * first - 0.5 * second - NormalDist().inv_cdf(1 - alpha) * spread
