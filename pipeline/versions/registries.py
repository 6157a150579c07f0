"""Registries: assignments of a `Registry` with a row for each choice of a param, of which a run uses few."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.versions.modules import Unit, dotted
from pipeline.versions.names import Names

CLASS = "Registry"
NAMELESS: Sequence[str | None] = (None,)
# What asks a registry for rows by name, or for the type of params that names one. All else may go through every row.
LOOKUPS = frozenset({"get", "of"})
# Functions and classes that make the type of a field of params from a registry.
TYPES = ("registry:one_of", "registry:OneOf", "registry:NameOf")


@dataclass(frozen=True)
class Rows:
    """The rows of a registry that params choose, where it is asked for rows by their names."""

    unit: Unit


@dataclass(frozen=True)
class Registry:
    """An assignment of a registry in parts.

    rows: each with the name by which params choose it; None if that cannot be told, so that it always counts.
    """

    made: ast.expr
    rows: Sequence[tuple[str | None, Sequence[ast.expr]]]
    rest: Sequence[ast.AST]

    @property
    def named(self) -> frozenset[str]:
        """The names of the rows."""
        return frozenset(name for name, _ in self.rows if name is not None)


def registry_of(unit: Unit, names: Names) -> Registry | None:
    """A unit as a registry; None if it is none."""
    match unit.node:
        case ast.Assign(value=ast.Call() as call) | ast.AnnAssign(value=ast.Call() as call):
            if (dotted(call.func) or "").rpartition(".")[2] == CLASS:
                return _parts(call.func, [*call.args, *(each.value for each in call.keywords)], unit, names)
        case ast.AnnAssign(annotation=annotation, value=ast.expr() as value):
            marked = annotation.value if isinstance(annotation, ast.Subscript) else annotation
            if (dotted(marked) or "").rpartition(".")[2] == CLASS:
                return _parts(marked, [value], unit, names)
    return None


def _parts(made: ast.expr, values: Sequence[ast.expr], unit: Unit, names: Names) -> Registry:
    rows: list[tuple[str | None, Sequence[ast.expr]]] = []
    rest: list[ast.AST] = []
    for value in values:
        match value:
            case ast.Dict(keys=keys, values=items):
                for key, item in zip(keys, items, strict=True):
                    named = _names_of(key, unit, names) or _names_of(item, unit, names)
                    rows += [(name, [*([key] if key else []), item]) for name in named or NAMELESS]
            case ast.Tuple(elts=items) | ast.List(elts=items):
                rows += [(name, [item]) for item in items for name in _names_of(item, unit, names) or NAMELESS]
            case ast.Call():
                rows += [(name, [value]) for name in _names_of(value, unit, names) or NAMELESS]
            case _:
                rest.append(value)
    return Registry(made, rows, rest)


def _names_of(node: ast.expr | None, unit: Unit, names: Names) -> list[str]:
    """By which a row is chosen: a text, a row's `name`, or the tag of its class of params."""
    match node:
        case ast.Constant(value=str(name)):
            return [name]
        case ast.Call(args=arguments, keywords=keywords):
            named = [each.value for each in keywords if each.arg == "name"]
            for each in [*named, *arguments[:1], *(each.value for each in keywords)]:
                if found := _names_of(each, unit, names):
                    return found
        case ast.Name() | ast.Attribute():
            return [tag for each in names.targets(unit, node) if isinstance(each, Unit) for tag in _tags(each, names)]
    return []


def _tags(unit: Unit, names: Names) -> list[str]:
    """The values of `name: Literal[...]` in a class of params or those above it."""
    if not isinstance(unit.node, ast.ClassDef):
        return []
    for statement in unit.node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id="name"), annotation=ast.Subscript(slice=values)):
                constants = [each.value for each in ast.walk(values) if isinstance(each, ast.Constant)]
                return [value for value in constants if isinstance(value, str)]
    above = [each for base in unit.node.bases for each in names.targets(unit, base)]
    return [tag for each in above if isinstance(each, Unit) for tag in _tags(each, names)]
