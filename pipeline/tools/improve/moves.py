"""The steps of a diagnosis -> moves that can be tried here, and what only people can do."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.diagnosis.next_steps import BLOCKING, FIRST
from pipeline.diagnosis.param_changes import DROPPED, EXPERIMENT, changed
from pipeline.errors import ParamsError
from pipeline.project.params_file import check_params
from pipeline.yaml_values import yaml_values

# What shapes data and model. A change elsewhere changes what is measured, and is no improvement of a model.
TRIED = ("curate.", "split.", "balance.", "augment.", "train.")
# More images for train_dev measure a gap better, at the price of images for train.
MEASURES = ("split.train_dev",)
SEARCH = "search"


@dataclass(frozen=True)
class Move:
    """An experiment that can be tried.

    finding: what it is for. changes: place in params.yaml -> value, or DROPPED. repairs: whether other numbers rest on
    it, so that it comes first, and may change which images dev has. fits_several: whether it fits several models.
    """

    finding: str
    words: str
    changes: Mapping[str, Any]
    repairs: bool = False
    fits_several: bool = False

    def target(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The params of a run with it, from those of a run without."""
        return changed(values, self.changes)


@dataclass(frozen=True)
class Ask:
    """What a person must do, or a command that only measures."""

    finding: str
    words: str
    command: str | None
    cost: str


def moves_of(diagnosis: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[list[Move], list[Ask]]:
    """What can be tried of a diagnosis's steps, in its order, and what is left to people.

    Args:
        diagnosis: as diagnosis.json has it. values: the params of its run, as plain values.
    """
    moves, asks = [], []
    for step in diagnosis["steps"]:
        move = _move(step, values)
        if move is not None:
            moves.append(move)
        else:
            asks.append(Ask(step["finding"], step["words"], step["command"], step.get("cost", "")))
    return moves, asks


def blocked_by(diagnosis: Mapping[str, Any]) -> list[str]:
    """The findings that make the numbers lie, so that nothing can be judged until they are mended."""
    return [name for name in diagnosis["named"] if name in BLOCKING]


def settings_of(command: str) -> dict[str, Any]:
    """The changes of a command in the grammar of DVC's -S: place -> value, or DROPPED."""
    found: dict[str, Any] = {}
    tokens = shlex.split(command)
    for flag, setting in zip(tokens[3::2], tokens[4::2], strict=True):
        if flag != "-S":
            raise ValueError(f"{flag} is no setting")
        place, _, value = setting.lstrip("+").partition("=")
        if setting.startswith("~"):
            found[setting[1:]] = DROPPED
        else:
            found[place] = yaml_values(f"value: {value}")["value"]
    return found


def differences(before: Any, after: Any, prefix: str = "") -> dict[str, Any]:
    """The changes that make the second params of the first: of mappings each key, of all else the whole value."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys([*before, *after]):
        place = f"{prefix}{key}"
        if key not in after:
            found[place] = DROPPED
        elif key not in before:
            found[place] = after[key]
        elif isinstance(before[key], Mapping) and isinstance(after[key], Mapping):
            found |= differences(before[key], after[key], f"{place}.")
        elif before[key] != after[key]:
            found[place] = after[key]
    return found


def as_key(values: Mapping[str, Any]) -> str:
    """Params as a text: equal for equal params."""
    return json.dumps(values, sort_keys=True, default=str)


def _move(step: Mapping[str, Any], values: Mapping[str, Any]) -> Move | None:
    command = step["command"]
    if command is None or not command.startswith(EXPERIMENT):
        return None
    try:
        changes = settings_of(command)
        move = Move(step["finding"], step["words"], changes, step["finding"] in FIRST)
        target = move.target(values)
        check_params(target, step["words"])
    except (ValueError, KeyError, TypeError, ParamsError):
        return None
    fits = all(place.startswith(TRIED) and place not in MEASURES for place in changes)
    return move if fits and as_key(target) != as_key(values) else None
