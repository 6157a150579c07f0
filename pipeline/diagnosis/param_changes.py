"""Changes of params: place in params.yaml -> new value, applied to a run's params, and as an experiment of DVC."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from pipeline.diagnosis.run import Run
from pipeline.problem_rules import broken_rules
from pipeline.section import Section

# A new value, or this for a param that goes.
DROPPED = object()
# None: the change is not for this run. What changes nothing, or breaks a rule of params, is left out by `allowed`.
Changes = Mapping[str, Any] | None
EXPERIMENT = "dvc exp run"


def value_of(section: Section, *names: str) -> Any:
    """A param of the choice that a run made, or None where that choice has no such param."""
    value: Any = section
    for name in names:
        value = getattr(value, name, None)
    return value


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
        made = {name: type(section).model_validate(after[name]) for name, section in sections_of(run).items()}
    except ValidationError:
        return False
    if any(broken_rules(run.problem, name, section) for name, section in made.items()):
        return False
    return made != sections_of(run)


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
    return f"{EXPERIMENT} " + " ".join(f"-S {setting}" for setting in settings)


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
