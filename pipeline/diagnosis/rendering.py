"""The diagnosis in words, and as a report that other programs read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.error_levels import Level, ordered, params_of_errors, params_of_numbers
from pipeline.diagnosis.findings import (
    BEYOND_PEOPLE,
    CLASS,
    HARDER,
    HIDDEN,
    IMBALANCE,
    LABEL_NOISE,
    SLICE,
    SMALL_CLASS,
    WEAK_JUDGE,
)
from pipeline.diagnosis.gaps import MEANS, Gap
from pipeline.diagnosis.next_steps import (
    BLOCKING,
    COURSE,
    FIRST,
    LAST,
    Step,
    images_of,
    in_order,
    in_words,
    leaves_labels_open,
)
from pipeline.diagnosis.role_gaps import roles_table
from pipeline.diagnosis.units import SHARES, Unit
from pipeline.metrics.measures import METRICS
from pipeline.stages.evaluate.params import EvaluateParams

# Findings that belong in the sentence: the first of each, and of wrong labels each role's.
SAID = (*FIRST, *COURSE, HARDER, IMBALANCE, HIDDEN, CLASS, SLICE, BEYOND_PEOPLE, WEAK_JUDGE, SMALL_CLASS)

NOT_OF_LABELS = (
    "An image may have several labels, so wrong labels, confounding, small classes and the calibration of confidences "
    "were not looked for: they need one class per image. An image is misclassified if any of its labels is wrong."
)
NOT_OF_NUMBERS = (
    "Images have a number instead of a class, so wrong labels, confounding, small classes, leaks that show in errors "
    "and the calibration of confidences were not looked for: they need a class for each image. Errors, gaps, "
    "diagnose.human_error and diagnose.relevant_gap are in the unit of the numbers."
)


def sentence(found: Diagnosis) -> str:
    """What is wrong, the most important first, and what cannot be told."""
    said: list[str] = []
    together: list[str] = []
    told: set[str] = set()
    ordered = in_order(found.gaps, found.findings)
    if any(each.name in BLOCKING for each in ordered):
        # Whatever else was found may be their doing.
        ordered = [each for each in ordered if isinstance(each, Gap) or each.name in FIRST]
    last_blocking = max((place for place, each in enumerate(ordered) if each.name in BLOCKING), default=None)
    distorted = any(gap.verdict == "present" for gap in found.gaps)
    for place, each in enumerate(ordered):
        if isinstance(each, Gap):
            together.append(_of_gap(each, found.unit))
        elif each.name in SAID and (each.name not in told or each.name == LABEL_NOISE):
            said += [*_joined(together), each.words]
            together = []
            told.add(each.name)
            if leaves_labels_open(each) and any(isinstance(later, Gap) for later in ordered[place:]):
                said.append("the gaps that follow are true only if the labels are right")
        if distorted and place == last_blocking:
            said.append("fix this first, because it distorts the gaps that follow")
    said += _joined(together)
    unclear = [gap for gap in found.gaps if gap.verdict == "cannot tell"]
    edge = [gap for gap in unclear if gap.at_the_edge]
    few = [gap for gap in unclear if not gap.at_the_edge]
    sentences = [
        *(
            said
            or (["nothing is clearly wrong"] if unclear else ["no problem found: no gap is large enough to work on"])
        ),
        *(f"{in_words(gap.name)} is at the edge: {_figures(gap, found.unit)}" for gap in edge),
        *(f"too few images to tell about {in_words(gap.name)}: {_figures(gap, found.unit)}" for gap in few),
        *([f"a gap of {found.unit.size(found.relevant)} or more is worth working on"] if unclear else []),
    ]
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in sentences)


def page(found: Diagnosis, params: EvaluateParams) -> str:
    """The diagnosis in Markdown: what holds the model back, what to try next, and the figures."""
    advice = [
        *(["Try one at a time, in this order:" if len(found.steps) > 1 else "Try next:"] if found.steps else []),
        *(f"{number}. {_step(step)}" for number, step in enumerate(found.steps, 1)),
        *_good_enough(found),
    ]
    shown = ["", "Findings:", *(f"- {in_words(each.name)}: {each.words}" for each in found.findings)]
    # A reader may not know the names of the gaps that the sentence has.
    named = [gap for gap in found.gaps if gap.verdict in {"present", "cannot tell"}]
    means = ["", *(f"- {in_words(gap.name)}: {found.unit.meaning(MEANS[gap.name])}" for gap in named)] if named else []
    by_role = ["", *roles_table(found.roles, found.differences, found.unit)] if found.roles else []
    lines = [
        sentence(found),
        *means,
        "",
        *advice,
        "",
        *_meaning(params, found),
        *levels_table(found.levels, found.gaps, found.unit),
    ]
    return "\n".join([*lines, *by_role, *(shown if found.findings else []), ""])


def _good_enough(found: Diagnosis) -> list[str]:
    """What to do where nothing is surely wrong: work on, or use the model."""
    if any(each.name not in LAST for each in in_order(found.gaps, found.findings)):
        return []
    use = "evaluate it on test: `dvc repro final/dvc.yaml`."
    if not found.steps and any(gap.verdict == "cannot tell" for gap in found.gaps):
        few = "There are too few images to say what would help. Add images, above all production ones, and run"
        return [f"{few} `dvc repro`. When you want to use the model as it is, {use}"]
    if not found.steps:
        return [f"There is nothing left to try. When you want to use the model, {use}"]
    return ["", f"If the model is good enough for you, skip this and {use}"]


def _meaning(params: EvaluateParams, found: Diagnosis) -> list[str]:
    """Of what errors are shares, where that is not the optimizing metric; and what was not looked for."""
    if found.unit.numbers:
        used, asked = params_of_numbers(params), params.optimizing
        why = f"Errors are the {used.name}, because {asked.name} of two splits cannot be held against each other."
        return [*([why, ""] if used != asked else []), NOT_OF_NUMBERS, ""]
    left_out = [NOT_OF_LABELS, ""] if found.several else []
    used, asked = params_of_errors(params, found.several), params.optimizing
    if used == asked:
        return left_out
    why = "is not a share of images" if not METRICS[asked.name].is_share else "is lower in small splits just by chance"
    return [f"Errors are 1 - {used.name}, because {asked.name} {why}.", "", *left_out]


def levels_table(levels: Mapping[str, Level], gaps: Sequence[Gap], unit: Unit = SHARES) -> list[str]:
    """Lines of a Markdown table: the error levels from human up, and the gap above each."""
    by_upper = {gap.upper: gap for gap in gaps}
    lines = [
        "| level | images | error | gap to the level above | 95 % interval | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for level in ordered(levels):
        images = "" if level.images is None else f"{level.images:,}"
        gap = by_upper.get(level.name)
        cells = (
            ["", "", ""]
            if gap is None
            else [
                f"{in_words(gap.name)}: {unit.size(gap.value)}",
                f"{unit.bare(gap.low)} to {unit.bare(gap.high)}",
                _verdict(gap),
            ]
        )
        lines.append(f"| {' | '.join([level.name, images, unit.level(level.error), *cells])} |")
    return lines


def metrics_of(found: Diagnosis) -> dict[str, Any]:
    """Errors and gaps as shares, or in the unit of numbers, with stable names, for `dvc metrics`."""
    return {
        "errors": {name: level.error for name, level in found.levels.items()},
        **{gap.name: {"gap": gap.value, "low": gap.low, "high": gap.high} for gap in found.gaps},
    }


def gaps_table(found: Diagnosis) -> pd.DataFrame:
    """A row a gap, for a plot."""
    columns = ("name", "value", "low", "high", "verdict")
    return pd.DataFrame([{name: getattr(gap, name) for name in columns} for gap in found.gaps])


def report(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis for programs; errors, gaps and ends of intervals are shares, or in the unit of numbers (`unit`).

    sentence. named: gaps that are present and findings, the most important first. levels, from human to production:
    name, error, low, high, images (null: given). gaps: name, upper, lower, value, low, high, verdict, needs (further
    images, null where there is a verdict, or no number of images that can be had leads to one), needs_of (their
    levels). roles: split, role, error, low, high, images. differences: name, value, low, high, verdict. findings: name,
    subject, words, p (null: no chance is in it), gain, figures. steps: finding, command or null, words, source, cost.
    """
    return {
        "sentence": sentence(found),
        **({"unit": "numbers"} if found.unit.numbers else {}),
        "named": list(dict.fromkeys(each.name for each in in_order(found.gaps, found.findings))),
        "levels": [
            {name: getattr(level, name) for name in ("name", "error", "low", "high", "images")}
            for level in ordered(found.levels)
        ],
        "gaps": [
            {
                **{name: getattr(gap, name) for name in ("name", "upper", "lower", "value", "low", "high", "verdict")},
                "needs": gap.needs.images if gap.needs else None,
                "needs_of": list(gap.needs.levels) if gap.needs else [],
            }
            for gap in found.gaps
        ],
        "roles": [
            {
                "split": split,
                "role": role,
                **{name: getattr(level, name) for name in ("error", "low", "high", "images")},
            }
            for (split, role), level in found.roles.items()
        ],
        "differences": [asdict(each) for each in found.differences],
        "findings": [asdict(finding) for finding in found.findings],
        "steps": [asdict(step) for step in found.steps],
    }


def _step(step: Step) -> str:
    reason = "; ".join([f"for {in_words(step.finding)}", *([step.cost] if step.cost else [])])
    return f"{step.words} ({reason}): `{step.command}`" if step.command else f"{step.words} ({reason})"


def _verdict(gap: Gap) -> str:
    if gap.needs is not None:
        of_levels = " and as many ".join(map(images_of, gap.needs.levels))
        return f"cannot tell: needs about {gap.needs.images:,} more {of_levels}"
    return "explained: see the findings" if gap.verdict == "explained" else gap.verdict


def _of_gap(gap: Gap, unit: Unit) -> str:
    points = f"{unit.size(gap.value)} (95 % interval {unit.bare(gap.low)} to {unit.bare(gap.high)})"
    return f"{in_words(gap.name)} of {points}"


def _figures(gap: Gap, unit: Unit) -> str:
    return f"{unit.size(gap.value)} ({unit.bare(gap.low)} to {unit.bare(gap.high)})"


def _joined(items: Sequence[str]) -> list[str]:
    """The items as one text, or none."""
    return [" and ".join([", ".join(items[:-1]), items[-1]])] if len(items) > 1 else list(items)
