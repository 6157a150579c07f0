"""The networks that a space of architectures has: each a choice at every decision."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import ParamsError, listing
from pipeline.models.network import Network, Pretrained
from pipeline.models.networks import Factory
from pipeline.models.params import AnyModel, Model
from pipeline.tuning.methods import MODEL
from pipeline.tuning.ranges import RANGES, Lists, Range, Whole, value_of, written_value

# Each is built once, without weights, which takes about two milliseconds.
MAX_ARCHITECTURES = 5000
MODEL_PARAMS: TypeAdapter[Model] = TypeAdapter(AnyModel)


@dataclass(frozen=True)
class Decision:
    """One choice that an architecture makes: of the value of a place, or of one position in a place's list."""

    place: str
    position: int | None
    values: Sequence[Any]

    @property
    def name(self) -> str:
        """For people: the place below train.model, positions counted from 1."""
        short = self.place.removeprefix(f"{MODEL}.")
        return short if self.position is None else f"{short}[{self.position + 1}]"


@dataclass(frozen=True)
class Architecture:
    """A network of the space.

    choices: the number of the value at each decision. drawn: place -> what Optuna's distribution would draw.
    """

    choices: tuple[int, ...]
    drawn: Mapping[str, Any]
    model: Network


def decisions_of(space: Mapping[str, Range]) -> list[Decision]:
    """The decisions of a space, in its order; of a list one for each position."""
    decisions: list[Decision] = []
    for place, one in space.items():
        if isinstance(one, Lists):
            decisions += [Decision(place, position, one.values) for position in range(one.length)]
            continue
        values = RANGES.of(one).grid(one, _count(one))
        decisions.append(Decision(place, None, [value_of(one, drawn) for drawn in values]))
    return decisions


def architectures_of(model: Mapping[str, Any], space: Mapping[str, Range]) -> list[Architecture]:
    """All combinations of choices that are params of a network; the last decision changes first.

    Args:
        model: train.model of today, as plain values.

    Raises:
        ParamsError: there are too many, or none of them are params of a network whose weights can be shared.
    """
    decisions = decisions_of(space)
    if (count := math.prod(len(one.values) for one in decisions)) > MAX_ARCHITECTURES:
        raise ParamsError(
            f"tune.space has {count} combinations, and the method architecture takes at most {MAX_ARCHITECTURES}: "
            "give fewer values, or leave a param out"
        )
    architectures, reasons = [], []
    for choices in itertools.product(*(range(len(one.values)) for one in decisions)):
        drawn = _drawn(space, decisions, choices)
        try:
            architectures.append(Architecture(choices, drawn, _network(model, space, drawn)))
        except ParamsError as error:
            reasons.append(str(error))
    if not architectures:
        raise ParamsError(f"no combination of tune.space is a network: {listing(dict.fromkeys(reasons), 3)}")
    return architectures


def _count(one: Range) -> int:
    return one.high - one.low + 1 if isinstance(one, Whole) else 2


def _drawn(space: Mapping[str, Range], decisions: Sequence[Decision], choices: Sequence[int]) -> dict[str, Any]:
    values: dict[str, list[Any]] = {place: [] for place in space}
    for decision, choice in zip(decisions, choices, strict=True):
        values[decision.place].append(decision.values[choice])
    return {
        place: written_value(values[place])
        if isinstance(one, Lists)
        else values[place][0]
        if isinstance(one, Whole)
        else written_value(values[place][0])
        for place, one in space.items()
    }


def _network(model: Mapping[str, Any], space: Mapping[str, Range], drawn: Mapping[str, Any]) -> Network:
    """The params of a network, or ParamsError that says why there is none."""
    values: dict[str, Any] = json.loads(json.dumps(model))
    for place, one in space.items():
        value = value_of(one, drawn[place])
        if place == MODEL:
            values = value
            continue
        *parents, last = place.removeprefix(f"{MODEL}.").split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    try:
        found = MODEL_PARAMS.validate_python(values)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        raise ParamsError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not isinstance(found, Network) or isinstance(found, Pretrained | Factory):
        raise ParamsError(
            f"the method architecture shares weights among cnn, block_cnn, resnet and mlp, and train.model is "
            f"{found.name}: take one of them, or the method tpe"
        )
    return found
