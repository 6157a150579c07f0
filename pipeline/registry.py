"""Registries: a table for each kind of lever, with a row for each choice that params.yaml may name.

A row holds what belongs to one choice: the class of its params, tagged by `name`, its functions, and the facts that
others need. What is offered, checked, explained and advised is read from the table: a new choice is a new row.

A registry is a module-level assignment, `NAME = Registry((...))`, of rows that are written out, each naming its
functions: so the version of a stage's code takes in only the rows that its params choose. params.yaml is read through
these modules, so torch, scikit-learn, scipy and OpenCV are imported by the functions that need them, not above.
"""

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pipeline.section import Section

P_co = TypeVar("P_co", bound=Section, covariant=True)
R_co = TypeVar("R_co", bound="Named", covariant=True)


class Named(Protocol):
    """A row: whatever has a name of its own among the rows of its table."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Choice(Generic[P_co]):
    """A row with params: a class that has a field `name: Literal["..."]`, which names the row as well."""

    params: type[P_co]

    @property
    def name(self) -> str:
        """What params.yaml calls it."""
        (name,) = get_args(self.params.model_fields["name"].annotation)
        return str(name)


class Registry(Mapping[str, R_co]):
    """The rows by name, in their order.

    Raises:
        ValueError: two rows have one name.
    """

    # Not of R_co: mypy would then take a row's params for Any, and not see whether its functions take them.
    def __init__(self, rows: Sequence[Named]) -> None:
        self._rows: dict[str, Any] = {row.name: row for row in rows}
        if len(self._rows) < len(rows):
            raise ValueError(f"two rows have one name: {[row.name for row in rows]}")

    def __getitem__(self, name: str) -> R_co:
        row: R_co = self._rows[name]
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, params: Any) -> R_co:
        """The row that belongs to these params, by their field `name`."""
        return self[params.name]


@dataclass(frozen=True, eq=False)
class OneOf:
    """The annotation of a field that holds the params of one row; see `one_of`."""

    members: tuple[type[Section], ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if len(self.members) == 1:
            [member] = self.members
            schema = handler.generate_schema(member)
            # Without a name there is nothing to tell apart; with one, another name is no choice, as among several.
            names = get_args(member.model_fields["name"].annotation) if "name" in member.model_fields else ()
            tagged = core_schema.tagged_union_schema(dict.fromkeys(names, schema), discriminator="name")
            return tagged if names else schema
        union = functools.reduce(operator.or_, self.members)
        return handler.generate_schema(Annotated[union, Field(discriminator="name")])


def one_of(*choices: Registry[Choice[Section]] | type[Section]) -> OneOf:
    """For `Annotated[Base, one_of(TABLE)]`: a field that takes the params of any row, told apart by `name`.

    Args:
        choices: tables, and single classes beside them; messages list them in this order.
    """
    members: list[type[Section]] = []
    for choice in choices:
        members += [row.params for row in choice.values()] if isinstance(choice, Registry) else [choice]
    return OneOf(tuple(members))


@dataclass(frozen=True, eq=False)
class NameOf:
    """The annotation of a field that holds the name of one row of a table without params."""

    table: Registry[Named]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.table))
