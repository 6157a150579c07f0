"""The options of `pipeline reframe`, parsed and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.errors import ParamsError
from pipeline.names import clean
from pipeline.section import EACH_ONCE, Label
from pipeline.yaml_values import shortened, yaml_values

Costs = Annotated[
    Mapping[Label, Annotated[Mapping[Label, Annotated[float, Field(ge=0, allow_inf_nan=False)]], EACH_ONCE]], EACH_ONCE
]
_COSTS: TypeAdapter[Mapping[str, Mapping[str, float]]] = TypeAdapter(Costs)


@dataclass(frozen=True)
class Wishes:
    """An order, a tree as params.yaml has it, and what mistakes cost; None: what fits the data."""

    order: Sequence[str] | None = None
    tree: Any = None
    costs: Mapping[str, Mapping[str, float]] | None = None
    otherwise: float = 1.0


def wishes_of(order: str | None, tree: str | None, costs: str | None, otherwise: float) -> Wishes:
    """The same of texts.

    Raises:
        ParamsError: with all that is wrong with them.
    """
    problems: list[str] = []
    read: dict[str, Any] = {}
    for option, text in (("--tree", tree), ("--costs", costs)):
        if text is None:
            continue
        try:
            read[option] = yaml_values(text)
        except ValueError as error:
            problems.append(f"{option} {shortened(str(error))}")
    table = None
    if "--costs" in read:
        try:
            table = _COSTS.validate_python(read["--costs"])
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f" {part}:" for part in first["loc"])
            problems.append(f"--costs must be {{ACTUAL: {{PREDICTED: number}}}};{where} {shortened(first['msg'])}")
    if problems:
        raise ParamsError("\n".join(problems))
    names = None if order is None else [clean(name) for name in order.split(",")]
    return Wishes(names, read.get("--tree"), table, otherwise)
