"""Gaps and findings, and what the run does already -> what to try next, as commands."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pydantic import ValidationError

from pipeline.diagnosis.error_levels import Level
from pipeline.diagnosis.findings import EPOCHS, HIDDEN, LABEL_NOISE, LEAK, OVERFIT, RATE, SMALL_DEV, UNDERFIT, Finding
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, POWER, VARIANCE, Gap
from pipeline.diagnosis.param_changes import DROPPED, Run
from pipeline.diagnosis.recommendations import TABLE, Advice
from pipeline.manifest import TRAIN_DEV
from pipeline.section import Section

SAMPLE_SIZE = f"sample size at a power of {POWER:.0%} (Fleiss, Levin and Paik, 2003, 4.2)"
# Why a gap is there: named before it. What goes with it: named after it. A model that has learnt train by heart
# has learnt its wrong labels, too, and hard pictures look like wrong labels to others: there they are named after.
# Wrong labels are dev's and test's as well: their errors are large then, far apart by chance, and no truth.
CAUSES = {BIAS: (LABEL_NOISE, RATE, EPOCHS), DEV_OVERFIT: (LABEL_NOISE,)}
SIGNS = {BIAS: (UNDERFIT,), VARIANCE: (OVERFIT, LABEL_NOISE)}
# Of each gap or finding no more is proposed at a time: after the first experiments the next diagnosis says more.
MAX_STEPS = 5
# More of the training images for train_dev would cost too many for training.
MAX_TRAIN_DEV = 0.3


@dataclass(frozen=True)
class Step:
    """Something to try: for which gap or finding, as a command if it is one, in words, and who says so."""

    finding: str
    command: str | None
    words: str
    source: str


def in_order(gaps: Sequence[Gap], findings: Sequence[Finding]) -> list[Gap | Finding]:
    """What is wrong, the most important first.

    Numbers that lie come first; then each gap that is present, the largest first, after what causes it and before what
    goes with it; then all other findings, by what mending them could gain, and a dev set that is too small.
    """
    last = [finding for finding in findings if finding.name == SMALL_DEV]
    left = [finding for finding in findings if finding not in last]
    ordered: list[Gap | Finding] = []

    def take(names: tuple[str, ...]) -> None:
        taken = [finding for finding in left if finding.name in names]
        ordered.extend(taken)
        left[:] = [finding for finding in left if finding not in taken]

    take((LEAK,))
    for gap in gaps:
        if gap.verdict == "present":
            take(CAUSES.get(gap.name, ()))
            ordered.append(gap)
            take(SIGNS.get(gap.name, ()))
    take((HIDDEN,))
    return [*ordered, *left, *last]


def next_steps(gaps: Sequence[Gap], findings: Sequence[Finding], levels: Mapping[str, Level], run: Run) -> list[Step]:
    """The steps for what is wrong, in its order, then the images that doubtful gaps need.

    Advice that the run follows already, that changes nothing, or that params do not allow is left out.
    """
    before = values_of(run)
    wrong = in_order(gaps, findings)
    steps = [step for each in wrong for step in _steps(each.name, run, before)]
    steps += [step for gap in gaps for step in _more_images(gap, levels, run, before)]
    steps += [_larger_dev(each) for each in findings if each.name == SMALL_DEV]
    # One command may be good for several things: the most important of them is why it is proposed.
    unique = {step.command or step.words: step for step in reversed(steps)}
    return [step for step in steps if unique[step.command or step.words] is step]


def _steps(name: str, run: Run, before: Mapping[str, Any]) -> list[Step]:
    return [step for advice in TABLE[name] for step in _step(name, advice, run, before)][:MAX_STEPS]


def _step(name: str, advice: Advice, run: Run, before: Mapping[str, Any]) -> Iterator[Step]:
    command = advice.command
    if advice.change is not None:
        changes = advice.change(run)
        if not changes or not allowed(before, changes, run):
            return
        command = command_of(before, changes)
    yield Step(name, command, advice.words, advice.source)


def _more_images(gap: Gap, levels: Mapping[str, Level], run: Run, before: Mapping[str, Any]) -> Iterator[Step]:
    if gap.needs is None:
        return
    asked, names = gap.needs.images, gap.needs.levels
    of_levels = " and as many ".join(map(images_of, names))
    words = f"collect about {asked:,} more {of_levels}, to tell about {in_words(gap.name)}"
    command = None
    have = levels[TRAIN_DEV].images if TRAIN_DEV in levels else None
    if names == (TRAIN_DEV,) and have:
        share = float(f"{run.split.train_dev * (have + asked) / have:.2g}")
        changes = {"split.train_dev": share}
        if share <= MAX_TRAIN_DEV and allowed(before, changes, run):
            command = command_of(before, changes)
            words = f"a larger train_dev, about {asked:,} more images, to tell about {in_words(gap.name)}"
    yield Step(gap.name, command, words, SAMPLE_SIZE)


def _larger_dev(finding: Finding) -> Step:
    words = f"collect about {int(finding.figures['needs']):,} more dev images, to tell models apart"
    return Step(finding.name, None, words, "Dietterich (1998) 3.2; MLY ch. 7")


def in_words(name: str) -> str:
    """The name of a gap or finding as words."""
    return name.replace("_", " ")


def images_of(level: str) -> str:
    """What a level's images are called."""
    return {"human": "answers of people", "production": "outcomes of production"}.get(level, f"{level} images")


def sections_of(run: Run) -> dict[str, Section]:
    """The params of a run, by section."""
    return {
        field.name: getattr(run, field.name) for field in fields(run) if isinstance(getattr(run, field.name), Section)
    }


def values_of(run: Run) -> dict[str, Any]:
    """The same as plain values."""
    return {name: section.model_dump(mode="json") for name, section in sections_of(run).items()}


def allowed(before: Mapping[str, Any], changes: Mapping[str, Any], run: Run) -> bool:
    """Whether changes make other params, and ones that break no rule."""
    after = changed(before, changes)
    try:
        return any(type(section).model_validate(after[name]) != section for name, section in sections_of(run).items())
    except ValidationError:
        return False


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with some set: a dotted place -> its new value."""
    after: dict[str, Any] = json.loads(json.dumps(values))
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = after
        for parent in parents:
            section = section[parent]
        if value is DROPPED:
            section.pop(last, None)
        else:
            section[last] = value
    return after


def command_of(before: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """The experiment with these changes, in the grammar of DVC's -S: +place for what is new, ~place for what goes."""
    settings = [shlex.quote(_setting(before, place, value)) for place, value in changes.items()]
    return "dvc exp run " + " ".join(f"-S {setting}" for setting in settings)


def _setting(before: Mapping[str, Any], place: str, value: Any) -> str:
    if value is DROPPED:
        return f"~{place}"
    section: Any = before
    for part in place.split("."):
        if not isinstance(section, Mapping) or part not in section:
            return f"+{place}={_literal(value)}"
        section = section[part]
    return f"{place}={_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}: {_literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
