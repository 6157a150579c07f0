"""Which names a function binds: they stand for nothing of the module."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.versions.modules import Unit, bound_names, dotted
from pipeline.versions.names import Names, Target

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class _Scope:
    """Names that a function binds; those of its arguments with their annotations."""

    names: set[str]
    arguments: Mapping[str, ast.expr | None] = field(default_factory=dict)


class Scopes:
    """The functions around a place in a unit, and the names that they bind."""

    def __init__(self, unit: Unit, names: Names) -> None:
        self.unit, self.names = unit, names
        self._scopes: list[_Scope] = []

    @contextmanager
    def function(self, node: Function) -> Iterator[None]:
        """Enter a function."""
        arguments = {each.arg: each.annotation for each in all_arguments(node.args)}
        walked = ast.walk(node) if "global" in self.unit.source else ()
        declared = {name for each in walked if isinstance(each, ast.Global) for name in each.names}
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        self._scopes.append(_Scope({*arguments, *bound_names(body)} - declared, arguments))
        yield
        self._scopes.pop()

    @contextmanager
    def comprehension(self, generators: Iterable[ast.comprehension]) -> Iterator[None]:
        """Enter a comprehension."""
        self._scopes.append(_Scope(bound_names(generator.target for generator in generators)))
        yield
        self._scopes.pop()

    def is_local(self, name: str) -> bool:
        """Whether a function around binds the name."""
        return name not in self.unit.imports and any(name in scope.names for scope in self._scopes)

    def path(self, node: ast.expr) -> list[str] | None:
        """A name of the module in parts; None of anything else."""
        named = dotted(node)
        path = named.split(".") if named else None
        return None if path is None or self.is_local(path[0]) else path

    def resolved(self, node: ast.expr) -> list[Target]:
        """What a name of the module stands for."""
        path = self.path(node)
        return self.names.of_path(self.unit, path) if path else []

    def of_annotation(self, name: str) -> list[Target]:
        """What the annotation of an argument leads to."""
        found = next((scope.arguments.get(name) for scope in reversed(self._scopes) if name in scope.names), None)
        nodes = [each for root in with_quoted(found) for each in ast.walk(root)]
        return [
            target for each in nodes if isinstance(each, ast.Name) for target in self.names.targets(self.unit, each)
        ]


def all_arguments(arguments: ast.arguments) -> Sequence[ast.arg]:
    """All arguments of a function, of every kind."""
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def with_quoted(annotation: ast.expr | None) -> Iterator[ast.expr]:
    """An annotation, and those that stand in it as texts."""
    if annotation is None:
        return
    yield annotation
    for each in ast.walk(annotation):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            try:
                yield ast.parse(each.value, mode="eval").body
            except SyntaxError:
                continue  # a text of a Literal
