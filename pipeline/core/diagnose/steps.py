"""Gaps and findings, and what the run does already -> what to try next, as commands."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pydantic import ValidationError

from pipeline.core.diagnose.advice import TABLE, Advice
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.gaps import POWER, Gap


@dataclass(frozen=True)
class Step:
    """Something to try: for which gap or finding, as a command if it is one, in words, and who says so."""

    finding: str
    command: str | None
    words: str
    source: str


def next_steps(gaps: Sequence[Gap], run: Run) -> list[Step]:
    """The steps for the gaps that are present, the largest gap's first, then the images that doubtful ones need.

    Advice that the run follows already, that changes nothing, or that params do not allow is left out.
    """
    present = [gap for gap in gaps if gap.verdict == "present"]
    steps = [step for gap in present for advice in TABLE[gap.name] for step in _step(gap.name, advice, run)]
    return [*steps, *(step for gap in gaps for step in _more_images(gap))]


def _step(finding: str, advice: Advice, run: Run) -> Iterator[Step]:
    changes = advice.change(run) if advice.change is not None else {}
    if changes is None:
        return
    command = advice.command
    if changes:
        before = values_of(run)
        if not allowed(before, changes, run):
            return
        command = command_of(before, changes)
    yield Step(finding, command, advice.words, advice.source)


def _more_images(gap: Gap) -> Iterator[Step]:
    if gap.needs is not None:
        words = f"collect about {gap.needs.images:,} more {' and as many '.join(map(images_of, gap.needs.levels))}"
        yield Step(gap.name, None, words, f"power of {POWER:.0%} (Fleiss, Levin and Paik, 2003, 4.2)")


def images_of(level: str) -> str:
    """What a level's images are called."""
    return {"human": "answers of people", "production": "outcomes of production"}.get(level, f"{level} images")


def values_of(run: Run) -> dict[str, Any]:
    """The params of a run as plain values, by section."""
    return {field.name: getattr(run, field.name).model_dump() for field in fields(run)}


def allowed(before: Mapping[str, Any], changes: Mapping[str, Any], run: Run) -> bool:
    """Whether changes make other params, and ones that break no rule."""
    after = changed(before, changes)
    if after == before:
        return False
    try:
        for field in fields(run):
            type(getattr(run, field.name)).model_validate(after[field.name])
    except ValidationError:
        return False
    return True


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with some set: a dotted place -> its new value."""
    after: dict[str, Any] = {name: _copy(value) for name, value in values.items()}
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = after
        for parent in parents:
            section = section[parent]
        section[last] = value
    return after


def command_of(before: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """The experiment with these changes."""
    settings = [shlex.quote(f"{place}={_literal(value)}") for place, value in changes.items()]
    return "dvc exp run " + " ".join(f"-S {setting}" for setting in settings)


def _copy(value: Any) -> Any:
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, dict) else value


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and not value.is_integer() else str(value)
