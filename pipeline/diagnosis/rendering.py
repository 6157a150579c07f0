"""The diagnosis in words, and as a report that other programs read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.error_levels import Level, ordered
from pipeline.diagnosis.findings import CLASS, EPOCHS, HIDDEN, LABEL_NOISE, LEAK, RATE, SLICE, Finding
from pipeline.diagnosis.gaps import Gap
from pipeline.diagnosis.next_steps import Step, images_of, in_order, in_words
from pipeline.metrics.measures import METRICS
from pipeline.stages.evaluate.params import EvaluateParams

# Findings that belong in the sentence: the first of each.
SAID_BEFORE, SAID_AFTER = (LEAK,), (LABEL_NOISE, RATE, EPOCHS, HIDDEN, CLASS, SLICE)


def sentence(gaps: Sequence[Gap], findings: Sequence[Finding] = ()) -> str:
    """The diagnosis, the largest gap first."""
    present = [gap for gap in gaps if gap.verdict == "present"]
    unclear = [gap for gap in gaps if gap.verdict == "cannot tell" and not gap.of_one_kind]
    never = [in_words(gap.name) for gap in gaps if gap.of_one_kind]
    named = [f"{in_words(gap.name)} of {100 * gap.value:.1f} points ({_interval(gap)})" for gap in present]
    unknown = [f"{in_words(gap.name)} ({_interval(gap)})" for gap in unclear]
    before, after = (
        [next(each.words for each in findings if each.name == name) for name in names if _has(findings, name)]
        for names in (SAID_BEFORE, SAID_AFTER)
    )
    said = [*before, _joined(named), *after]
    sentences = [
        *said,
        f"too few images to tell about {_joined(unknown)}" if unknown else "",
        f"all images are of one kind, production's, so that {_joined(never)} cannot be told" if never else "",
        "" if any(said) or unknown else "nothing stands out: every gap is smaller than is worth work",
    ]
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in sentences if words)


def page(found: Diagnosis, params: EvaluateParams) -> str:
    """The diagnosis in Markdown: what holds the model back, what to try next, and the figures."""
    advice = (
        ["Try next:", *(f"- {_step(step)}" for step in found.steps)]
        if found.steps
        else ["Nothing to try from here. Once you mean to use the model, look at test: `dvc repro final/dvc.yaml`."]
    )
    name = params.optimizing.name
    meaning = [] if METRICS[name].is_share else [f"Errors are 1 - accuracy: {name} is no share of images.", ""]
    shown = ["", "Found:", *(f"- {in_words(each.name)}: {each.words}" for each in found.findings)]
    table = levels_table(found.levels, found.gaps)
    lines = [sentence(found.gaps, found.findings), "", *advice, "", *meaning, *table]
    return "\n".join([*lines, *(shown if found.findings else []), ""])


def levels_table(levels: Mapping[str, Level], gaps: Sequence[Gap]) -> list[str]:
    """Lines of a Markdown table: the error levels from human up, and the gap above each."""
    by_upper = {gap.upper: gap for gap in gaps}
    lines = [
        "| level | images | error | gap to a level above it | 95 % interval | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for level in ordered(levels):
        images = "" if level.images is None else f"{level.images:,}"
        gap = by_upper.get(level.name)
        cells = (
            ["", "", ""]
            if gap is None
            else [
                f"{in_words(gap.name)}: {100 * gap.value:.1f} points",
                f"{100 * gap.low:.1f} to {100 * gap.high:.1f}",
                gap.verdict if gap.needs is None else f"cannot tell: needs {_needs(gap)}",
            ]
        )
        lines.append(f"| {' | '.join([level.name, images, f'{level.error:.2%}', *cells])} |")
    return lines


def metrics_of(found: Diagnosis) -> dict[str, Any]:
    """Errors and gaps as shares, with stable names, for `dvc metrics`."""
    return {
        "errors": {name: level.error for name, level in found.levels.items()},
        **{gap.name: {"gap": gap.value, "low": gap.low, "high": gap.high} for gap in found.gaps},
    }


def gaps_table(found: Diagnosis) -> pd.DataFrame:
    """A row a gap, for a plot."""
    columns = ("name", "value", "low", "high", "verdict")
    return pd.DataFrame([{name: getattr(gap, name) for name in columns} for gap in found.gaps])


def report(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis for programs; errors, gaps and ends of intervals are shares.

    sentence. named: gaps that are present and findings, the most important first. levels, from human to production:
    name, error, low, high, images (null: given). gaps: name, upper, lower, value, low, high, verdict, needs (further
    images, null where there is a verdict), needs_of (their levels). findings: name, subject, words, p (null: no chance
    is in it), gain, figures. steps: finding, command or null, words, source.
    """
    return {
        "sentence": sentence(found.gaps, found.findings),
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
        "findings": [asdict(finding) for finding in found.findings],
        "steps": [asdict(step) for step in found.steps],
    }


def _has(findings: Sequence[Finding], name: str) -> bool:
    return any(finding.name == name for finding in findings)


def _step(step: Step) -> str:
    return f"{step.words}: `{step.command}`" if step.command else step.words


def _needs(gap: Gap) -> str:
    assert gap.needs is not None  # noqa: S101
    return f"about {gap.needs.images:,} more {' and as many '.join(map(images_of, gap.needs.levels))}"


def _interval(gap: Gap) -> str:
    return f"95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f}"


def _joined(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
