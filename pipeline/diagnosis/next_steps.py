"""From gaps, findings and today's params to what to try next, as commands."""

import itertools
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.diagnosis.advice import Advice
from pipeline.diagnosis.costs import ONE_TRAINING, people_collect, training_cost
from pipeline.diagnosis.error_levels import Level
from pipeline.diagnosis.findings import (
    COARSE_CHOICE,
    CONFOUNDED,
    EARLY_STOP,
    EPOCHS,
    HARD_SLICE,
    HARDER,
    HIDDEN,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    MISSING,
    NO_SKILL,
    NOTHING_LEARNT,
    OVERFIT,
    RATE,
    RATE_LOW,
    SCENES,
    SMALL_CLASS,
    SMALL_DEV,
    UNDERFIT,
    WEAK_JUDGE,
    Finding,
)
from pipeline.diagnosis.gaps import BIAS, MISMATCH, POWER, VARIANCE, Gap
from pipeline.diagnosis.param_changes import EXPERIMENT, allowed, changed, command_of, values_of
from pipeline.diagnosis.recommendations import TABLE
from pipeline.diagnosis.run import Run
from pipeline.manifest import TRAIN_DEV

SAMPLE_SIZE = f"sample size at a power of {POWER:.0%} (Fleiss, Levin and Paik, 2003, 4.2)"
# What makes figures lie: named first. Until those that block are mended, nothing else is proposed.
FIRST = (SCENES, LEAK, LABEL_NOISE, CONFOUNDED, MISSING, NO_SKILL)
BLOCKING = (SCENES, LEAK, LABEL_NOISE)
# What ended training before the model had learnt what it can: only then does a larger one, or another, tell anything.
COURSE = (NOTHING_LEARNT, RATE, RATE_LOW, EPOCHS, EARLY_STOP, COARSE_CHOICE)
# Why a gap is there: named before it. What goes with it: named after it.
CAUSES = {BIAS: (*COURSE, IMBALANCE), VARIANCE: (IMBALANCE,), MISMATCH: (HARDER, IMBALANCE)}
SIGNS = {BIAS: (UNDERFIT,), VARIANCE: (OVERFIT,), MISMATCH: (WEAK_JUDGE,)}
# Params of which a finding says that changing them alone does not help: a loss that stays needs no more epochs.
IN_VAIN = {UNDERFIT: {"train.epochs"}}
# Findings that say something of the diagnosis itself, and slices that hold the model back less than is worth work.
LAST = (WEAK_JUDGE, SMALL_CLASS, HARD_SLICE, SMALL_DEV)
# Of each gap or finding no more is proposed at a time: after the first experiments the next diagnosis says more.
MAX_STEPS = 5
# More of the training images for train_dev would cost too many for training.
MAX_TRAIN_DEV = 0.3
# For a gap at the edge so many times the images for train_dev, and of experiments the first ones that cost about as
# much as this run.
TRAIN_DEV_TIMES, MAX_EDGE_STEPS = 4, 2


@dataclass(frozen=True)
class Step:
    """Something to try: for which gap or finding, as a command if it is one, in words, who says so, what it costs."""

    finding: str
    command: str | None
    words: str
    source: str
    cost: str = ""


def in_order(gaps: Sequence[Gap], findings: Sequence[Finding]) -> list[Gap | Finding]:
    """What is wrong, the most important first.

    What makes numbers lie comes first (scenes of train in dev, leaks, wrong labels, confounding, missing classes); then
    each gap that is present, the largest first, after what causes it and before what goes with it; then all other
    findings, by what mending them could gain; and last what this diagnosis could not tell.
    """
    left = list(findings)
    ordered: list[Gap | Finding] = []

    def take(names: tuple[str, ...], which: Callable[[Finding], bool] = lambda finding: True) -> None:
        taken = sorted(
            (each for each in left if each.name in names and which(each)), key=lambda each: names.index(each.name)
        )
        ordered.extend(taken)
        left[:] = [finding for finding in left if finding not in taken]

    take(FIRST)
    for gap in gaps:
        if gap.verdict in {"present", "explained"}:
            take(CAUSES.get(gap.name, ()))
        if gap.name == BIAS and gap.verdict == "present":
            # Nobody learns wrong labels: where nothing tells whether there are any, that comes before the gap.
            take((WEAK_JUDGE,), leaves_labels_open)
        if gap.verdict == "present":
            ordered.append(gap)
            take(SIGNS.get(gap.name, ()))
    take((HIDDEN,))
    last = [finding for finding in left if finding.name in LAST]
    return [*ordered, *(finding for finding in left if finding not in last), *last]


def leaves_labels_open(finding: Gap | Finding) -> bool:
    """Whether the model that checks labels recognises so few images that any share of them may be wrong."""
    return isinstance(finding, Finding) and bool(finding.figures.get("too_weak"))


def next_steps(gaps: Sequence[Gap], findings: Sequence[Finding], levels: Mapping[str, Level], run: Run) -> list[Step]:
    """The steps for what is wrong, in its order, then the images that doubtful gaps need.

    Advice that the run follows already, that changes nothing, that has nothing to act on, that a finding says does not
    help, or that params do not allow is left out; so is what undoes an earlier step. Where figures cannot be trusted,
    nothing is proposed but to mend that. Where training did not run its course, nothing is proposed against bias but to
    let it. Where nothing else is proposed, a gap at the edge is measured better, and what mends it is tried if it costs
    no more than this run. Last comes a look at images that are harder.
    """
    before, found = values_of(run), in_order(gaps, findings)
    names = {each.name for each in found}
    if names & {*BLOCKING}:
        found = [each for each in found if each.name in BLOCKING]
        gaps = ()
    elif names & {*COURSE}:
        found = [each for each in found if each.name not in {BIAS, UNDERFIT, VARIANCE}]
    vain = [IN_VAIN[name] for name in names if name in IN_VAIN]
    wrong = [each for each in found if each.name != HARD_SLICE]
    steps = [step for each in wrong for step in _steps(each.name, run, before) if _places(step[0]) not in vain]
    steps += [(step, "") for gap in gaps for step in _more_images(gap, levels, run, before)]
    steps += [(_larger_dev(each), "") for each in findings if "needs" in each.figures and gaps and not steps]
    if not steps:
        steps += [step for gap in gaps if gap.at_the_edge for step in _at_the_edge(gap, levels, run, before)]
    steps += [step for each in found if each.name == HARD_SLICE for step in _steps(each.name, run, before)]
    return _without_contradictions(steps)


def _places(step: Step) -> set[str]:
    """The params that a step changes."""
    return {place for place, _ in _settings_of(step.command)}


def _without_contradictions(steps: Sequence[tuple[Step, str]]) -> list[Step]:
    """Each step once, and none that moves a lever back, or sets a param to another value, that an earlier one moved."""
    kept: list[Step] = []
    levers: set[str] = set()
    places: dict[str, str] = {}
    for step, lever in steps:
        told = {each.command or each.words for each in kept}
        opposite = f"{'-' if lever[:1] == '+' else '+'}{lever[1:]}"
        settings = dict(_settings_of(step.command))
        if (step.command or step.words) in told or (lever and opposite in levers) or {*settings} & {*places}:
            continue
        kept.append(step)
        levers.add(lever)
        places |= settings
    return kept


def _settings_of(command: str | None) -> Iterator[tuple[str, str]]:
    """The places that a command sets, and their values."""
    if command is not None and command.startswith(EXPERIMENT):
        for setting in shlex.split(command)[4::2]:
            place, _, value = setting.lstrip("+~").partition("=")
            yield place, value


def _steps(name: str, run: Run, before: Mapping[str, Any]) -> list[tuple[Step, str]]:
    found = ((step, advice.lever) for advice in TABLE[name] for step in _step(name, advice, run, before))
    return list(itertools.islice(found, MAX_STEPS))


def _step(name: str, advice: Advice, run: Run, before: Mapping[str, Any]) -> Iterator[Step]:
    command = advice.command
    cost = advice.cost(run) if callable(advice.cost) else advice.cost
    if not advice.fits(run):
        return
    if advice.change is not None:
        changes = advice.change(run)
        if not changes or not allowed(before, changes, run):
            return
        command, cost = command_of(before, changes), training_cost(run, before, changed(before, changes))
    yield Step(name, command, advice.words, advice.source, cost)


def _at_the_edge(
    gap: Gap, levels: Mapping[str, Level], run: Run, before: Mapping[str, Any]
) -> Iterator[tuple[Step, str]]:
    """More images for train_dev, if a param can have them; then experiments that cost about one training."""
    share = min(TRAIN_DEV_TIMES * run.split.train_dev, MAX_TRAIN_DEV)
    changes = {"split.train_dev": float(f"{share:.2g}")}
    if {gap.upper, gap.lower} & {TRAIN_DEV} and TRAIN_DEV in levels and share > run.split.train_dev:
        left = 1 - (1 - share) / (1 - run.split.train_dev)
        times = share / run.split.train_dev
        words = f"measure {in_words(gap.name)} better: hold out {times:.2g} times as many images as train_dev"
        cost = f"takes one training like this one, with {left:.0%} fewer images"
        if allowed(before, changes, run):
            yield Step(gap.name, command_of(before, changes), words, SAMPLE_SIZE, cost), ""
    tried = (
        (step, lever)
        for step, lever in _steps(gap.name, run, before)
        if step.command and step.cost == ONE_TRAINING and step.command.startswith(EXPERIMENT)
    )
    yield from itertools.islice(tried, MAX_EDGE_STEPS)


def _more_images(gap: Gap, levels: Mapping[str, Level], run: Run, before: Mapping[str, Any]) -> Iterator[Step]:
    """The images that a verdict needs: train_dev's are a param, as far as train can spare them; others people collect.

    train_dev is a share of the mixture. To collect images for it would take many times as many for train.
    """
    if gap.needs is None:
        return
    asked, names = gap.needs.images, gap.needs.levels
    others = [name for name in names if name != TRAIN_DEV]
    share = None
    if TRAIN_DEV in names:
        have = levels[TRAIN_DEV].images
        assert have is not None  # noqa: S101
        share = float(f"{run.split.train_dev * (have + asked) / have:.2g}")
        if share > MAX_TRAIN_DEV or not allowed(before, {"split.train_dev": share}, run):
            return
    to_tell = f"to tell about {in_words(gap.name)}"
    collect = f"collect about {asked:,} more {' and as many '.join(map(images_of, others))}" if others else ""
    if share is None:
        yield Step(gap.name, None, f"{collect}, {to_tell}", SAMPLE_SIZE, people_collect(asked * len(names)))
        return
    words = f"hold out about {asked:,} more images as train_dev, {to_tell}{(f'; and {collect}' if collect else '')}"
    cost = f"{ONE_TRAINING}; {people_collect(asked)}" if others else ONE_TRAINING
    yield Step(gap.name, command_of(before, {"split.train_dev": share}), words, SAMPLE_SIZE, cost)


def _larger_dev(finding: Finding) -> Step:
    words = (
        f"give dev about {int(finding.figures['needs']):,} more production images, so that it can tell models "
        "apart: take them from train (split.production), or collect new ones"
    )
    cost = people_collect(int(finding.figures["needs"]))
    return Step(finding.name, None, words, "Dietterich (1998) 3.2; MLY ch. 7", f"{cost}, or train has so many fewer")


def in_words(name: str) -> str:
    """The name of a gap or finding as words."""
    return name.replace("_", " ")


def images_of(level: str) -> str:
    """What a level's images are called."""
    return {"human": "answers of people", "production": "outcomes of production"}.get(level, f"{level} images")
