"""Places of params.yaml that vary: whether they can, and what a trial changes there, for DVC."""

from collections.abc import Mapping
from typing import Any

from pipeline.diagnosis.param_changes import DROPPED, changed
from pipeline.errors import ParamsError
from pipeline.project.params_file import Params, check_params
from pipeline.tuning.ranges import RANGES, Lists, Range, Values, value_of, written_value
from pipeline.yaml_values import shortened


def check_space(values: Mapping[str, Any], params: Params) -> None:
    """Check that every range fits the params.

    Raises:
        ParamsError: with every place that cannot vary so.
    """
    space = params.tune.space
    if not space:
        raise ParamsError("tune.space is empty: name a param and its range, for example train.learning_rate")
    problems = []
    online = params.augment.variants.mode == "online"
    for place, one in space.items():
        if place.startswith("augment.") and not online:
            problems.append(
                f"tune.space.{place}: variants are stored before training; set augment.mode to online to vary them"
            )
        elif place.startswith("balance.") and (why := _not_in_memory(params)):
            problems.append(f"tune.space.{place}: {why}")
        elif value_at(values, place) is None and not isinstance(one, Values | Lists):
            problems.append(f"tune.space.{place}: params.yaml has no {place}, or it is null")
        else:
            problems += _refused(values, place, one)
    if problems:
        raise ParamsError("\n".join(problems))


def _not_in_memory(params: Params) -> str:
    """Why rows that are balanced otherwise cannot be had without the stage augment; empty: they can."""
    if params.augment.match_production:
        return "raw images are degraded before training; set augment.match_production to false to vary it"
    # Without copies, too: a row that balance repeats is a variant.
    if params.augment.mode != "online" and params.augment.transforms:
        return (
            "variants are stored before training, for the rows of the last run; set augment.mode to online to vary it"
        )
    return ""


def _refused(values: Mapping[str, Any], place: str, one: Range) -> list[str]:
    """What params do not allow of a range's ends, or of a choice's values."""
    drawn = RANGES.of(one).grid(one, 2)
    if isinstance(one, Lists):  # each value at all places: all lists are too many
        drawn = [written_value([value] * one.length) for value in one.values]
    tried = [value_of(one, each) for each in drawn]
    problems = []
    for value in tried:
        try:
            check_params(changed(values, {place: value}), f"tune.space.{place} with {shortened(str(value))}")
        except (ParamsError, KeyError, TypeError) as error:
            problems.append(str(error) if isinstance(error, ParamsError) else f"tune.space.{place}: no such param")
    return problems


def settings(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as DVC's -S takes them: of a mapping each key, and what the old one has beyond it goes."""
    flat: dict[str, Any] = {}
    for place, value in changes.items():
        before = value_at(values, place)
        if not isinstance(value, Mapping):
            flat[place] = value
            continue
        old = before if isinstance(before, Mapping) else {}
        flat |= {f"{place}.{key}": DROPPED for key in old if key not in value}
        flat |= settings(values, {f"{place}.{key}": each for key, each in value.items() if old.get(key) != each})
    return flat


def value_at(values: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted place of plain params; None where there is none."""
    found: Any = values
    for part in place.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
