"""The members of an ensemble: params of train, changed as each of them says, and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.models.networks import Factory
from pipeline.training.ensembles.kinds import NoEnsemble, WithMembers

if TYPE_CHECKING:
    from pipeline.stages.train.params import TrainParams


@dataclass(frozen=True)
class Member:
    """A model of an ensemble.

    title: what it has otherwise than train, for people. params: of its training, without an ensemble.
    """

    title: str
    params: "TrainParams"


def members_of(train: "TrainParams") -> list[Member]:
    """The members that params name, each with each of its seeds.

    Raises:
        ValueError: a change breaks a rule, or two members are the same; all of them are named.
    """
    ensemble = train.ensemble
    if not isinstance(ensemble, WithMembers):
        return [Member("train", alone(train))]
    found: list[Member] = []
    problems: list[str] = []
    for number, changes in enumerate(ensemble.members):
        try:
            one = _changed(train, changes)
        except ValueError as error:
            problems.append(f"members.{number}: {error}")
            continue
        for extra in range(ensemble.seeds):
            params = one.model_copy(update={"seed": one.seed + extra})
            same = next((place for place, other in enumerate(found) if other.params == params), None)
            if same is not None:
                problems.append(f"members.{number}: it is the same as another member ({found[same].title}): change it")
            found.append(Member(_title({**changes, **({"seed": params.seed} if extra else {})}), params))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _title(changes: Mapping[str, Any]) -> str:
    shown = [f"{place}: {value if isinstance(value, str) else json.dumps(value)}" for place, value in changes.items()]
    return ", ".join(shown) or "train"


def alone(train: "TrainParams") -> "TrainParams":
    """The same without an ensemble."""
    return train.model_copy(update={"ensemble": NoEnsemble(name="none")})


def _changed(train: "TrainParams", changes: Mapping[str, Any]) -> "TrainParams":
    """Params of train with some places changed."""
    values: dict[str, Any] = {**train.model_dump(), "ensemble": {"name": "none"}}
    for place, value in changes.items():
        *parents, last = place.split(".")
        section: Any = values
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if place.partition(".")[0] == "ensemble" or not isinstance(section, dict) or last not in section:
            raise ValueError(f"train has no param {place} to change here: name one, such as seed or model.width")
        section[last] = value
    try:
        found = type(train).model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(_rule(item) for item in error.errors(include_url=False))) from None
    if isinstance(found.model, Factory) and found.model != train.model:
        raise ValueError(
            "a network of your own code must be train.model as it is: a model file names no code, so it could not be "
            "loaded. Put this one into train.model, and the other one into members"
        )
    return found


def _rule(item: Any) -> str:
    place = ".".join(map(str, item["loc"]))
    rule = item["msg"].removeprefix("Value error, ")
    return f"{place}: {rule}" if place else rule
