"""Are labels wrong, of which role and in which split? What the models that check labels say, and how reliable it is.

The stage label_issues gives the share of wrong labels of each role with its interval (metrics/wrong_share.py), and what
it is at least where six such intervals are to hold at once. What that leaves open is not claimed.

That share rests on images that the model recognises. People err most on images that are hard to recognise, and take
them for the class that the model takes them for: such labels look like the model's own mistakes. So beside the share
stands what it may be at most: all labels that the model contradicts.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.diagnosis.findings import LABEL_NOISE, WEAK_JUDGE, Finding
from pipeline.diagnosis.gaps import MIN_COUNT
from pipeline.manifest import DEV, TRAIN

CHECKED = (TRAIN, DEV)
# What the stage calls both splits as one.
TOGETHER = "together"
# A model that may be right on fewer images accuses nobody: wrong labels and images that are hard to name look alike.
MIN_RIGHT = 0.65
# Where so many labels may be wrong and none must be, that is told as well.
OPEN = 0.1


def wrong_labels(label_issues: Mapping[str, Any], relevant: float) -> list[Finding]:
    """The roles of which so many labels are wrong that it is worth work, and those of which nothing can be told.

    Raw and production images come from different hands, so each role is judged by itself: in train and dev together,
    or in one of them where only that is sure.

    Args:
        label_issues: metrics of the stage label_issues. Of dev alone (folds: null) its model is judge in its own
            cause: then nothing is said.
    """
    if TOGETHER not in label_issues:
        return []
    found = [
        each for role in sorted(label_issues[TOGETHER]["roles"]) for each in _of_role(role, label_issues, relevant)
    ]
    return sorted(found, key=lambda each: (each.name != LABEL_NOISE, -float(each.figures["wrong_share"])))


def _parts(label_issues: Mapping[str, Any], role: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    """What is judged of a role: the splits that have it together, then each of several."""
    here = {split: label_issues[split]["roles"][role] for split in CHECKED if role in label_issues[split]["roles"]}
    yield " and ".join(here), label_issues[TOGETHER]["roles"][role]
    if len(here) > 1:
        yield from here.items()


def _of_role(role: str, label_issues: Mapping[str, Any], relevant: float) -> list[Finding]:
    parts = dict(_parts(label_issues, role))
    in_train = label_issues[TRAIN]["roles"].get(role, {"images": 0})["images"]
    for splits, part in parts.items():
        # Who hardly learnt images of a role is sure of mistakes on them.
        if part["at_least"] >= relevant and in_train >= MIN_COUNT and not too_weak(part):
            share = float(part["wrong_share"])
            words = (
                f"about {share:.0%} of the {role} labels in {splits} seem wrong (95 % interval {part['low']:.0%} to "
                f"{part['high']:.0%}; {part['label_issues']:,} images are listed)"
            )
            most = at_most(part)
            if most >= part["high"] + relevant:
                words += f", and up to {most:.0%} if people err most on images that are hard to recognise"
            figures = {
                "wrong_share": share,
                "low": part["low"],
                "high": part["high"],
                "label_issues": int(part["label_issues"]),
                "images": int(part["images"]),
            }
            return [Finding(LABEL_NOISE, words, figures, subject=role)]
    whole = next(iter(parts.values()))
    most = at_most(whole)
    open_question = whole["wrong_share"] >= relevant and most >= max(OPEN, 2 * relevant)
    if not any(part["at_least"] >= relevant for part in parts.values()) and not open_question:
        return []
    words = (
        f"cannot tell whether {role} labels are wrong or the images are hard to recognise: the model that "
        f"checks them agrees with {whole['accuracy']:.0%}, and up to {most:.0%} may be wrong"
    )
    figures = {"wrong_share": 0.0, "accuracy": whole["accuracy"], "too_weak": too_weak(whole)}
    return [Finding(WEAK_JUDGE, words, figures, subject=role)]


def at_most(part: Mapping[str, float]) -> float:
    """The largest share of wrong labels that the model leaves open: all that it contradicts, or the interval's end."""
    return max(part["high"], 1 - part["accuracy"])


def too_weak(part: Mapping[str, float]) -> bool:
    """Whether the model may recognise so few images that its estimate of wrong labels means nothing.

    It contradicts wrong labels, so it agrees with a share of the right ones of at least accuracy / (1 - wrong labels).
    """
    return part["accuracy"] / max(1 - part["at_least"], 1e-9) < MIN_RIGHT
