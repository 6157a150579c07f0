"""What a name in a unit stands for: units, modules of the package, or something outside it."""

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.versions.modules import Binding, Module, Package, Unit, dotted


@dataclass(frozen=True)
class Whole:
    """A module that is used as a value, so all of it may be used."""

    module: str


@dataclass(frozen=True)
class Outside:
    """A name of another package."""

    name: str


@dataclass(frozen=True)
class Dynamic:
    """What no syntax tree shows, such as a computed import or code in a text."""

    where: str


Target = Unit | Whole | Outside | Dynamic


class Names:
    """Resolves names in the units of a package."""

    def __init__(self, package: Package) -> None:
        self.package = package

    def targets(self, unit: Unit, node: ast.expr) -> list[Target]:
        """What `a` or `a.b.c` stands for at a unit's top level; [] of builtins and of what is no such name."""
        named = dotted(node)
        return self.of_path(unit, named.split(".")) if named else []

    def of_path(self, unit: Unit, path: Sequence[str]) -> list[Target]:
        """`targets` of a dotted name in parts. Only attributes of modules are looked up."""
        root, *attributes = path
        if root in unit.imports:
            return self._followed(unit.imports[root], attributes, set())
        module = self.package.module(unit.module)
        return self._in_module(module, root, attributes, set()) if module else []

    def exception_names(self, unit: Unit, node: ast.expr) -> tuple[str, ...]:
        """A class of exceptions that carries nothing but its message, and those above it; () of any other.

        Builtin ones by their names, those of the package as `module:name`.
        """
        return self._ancestors(unit, node, own=False)

    def caught_names(self, unit: Unit, node: ast.expr | None) -> Iterator[str]:
        """The classes that a handler catches."""
        if node is None:
            yield "BaseException"
        for each in node.elts if isinstance(node, ast.Tuple) else [node] if node else []:
            known, targets = self._ancestors(unit, each, own=True), self.targets(unit, each)
            if known:
                yield known[0]
            elif any(isinstance(target, Outside) for target in targets):
                continue  # another package's, which nothing here raises
            else:
                named = [target for target in targets if isinstance(target, Unit)]
                tuples = [target for target in named if isinstance(target.node, ast.Assign)]
                if tuples and all(isinstance(target.node.value, ast.Tuple) for target in tuples):  # type: ignore[attr-defined]
                    for target in tuples:
                        yield from self.caught_names(target, target.node.value)  # type: ignore[attr-defined]
                else:
                    yield "BaseException"

    def _ancestors(self, unit: Unit, node: ast.expr, own: bool) -> tuple[str, ...]:
        found = self.targets(unit, node)
        if not found and isinstance(node, ast.Name):
            builtin = getattr(builtins, node.id, None)
            is_error = isinstance(builtin, type) and issubclass(builtin, BaseException)
            return tuple(each.__name__ for each in builtin.__mro__[:-1]) if is_error and builtin else ()
        for target in found:
            if isinstance(target, Unit) and isinstance(target.node, ast.ClassDef):
                # One with an own constructor or fields carries more than a message.
                plain = all(_is_plain(statement) for statement in target.node.body)
                above = [self._ancestors(target, base, own) for base in target.node.bases]
                if (plain or own) and above and all(above):
                    return (f"{target.module}:{target.node.name}", *(name for names in above for name in names))
        return ()

    def _followed(self, binding: Binding, attributes: Sequence[str], seen: set[Binding]) -> list[Target]:
        if binding in seen:
            return []
        seen.add(binding)
        if not self.package.owns(binding.module):
            return [Outside(".".join([str(binding), *attributes]))]
        module = self.package.module(binding.module)
        if module is None:
            return [Dynamic(f"import of {binding.module}, which is not there")]
        path = [*([binding.name] if binding.name else []), *attributes]
        return self._in_module(module, path[0], path[1:], seen) if path else [Whole(module.name)]

    def _in_module(self, module: Module, name: str, attributes: Sequence[str], seen: set[Binding]) -> list[Target]:
        found: list[Target] = [*module.units.get(name, [])]
        if name in module.imports:
            found += self._followed(module.imports[name], attributes, seen)
        if not found:
            stars = [binding for key, binding in module.imports.items() if key.startswith("* ")]
            found += [Whole(star.module) for star in stars if self.package.owns(star.module)] if seen or stars else []
        if found:
            return found
        below = self.package.module(f"{module.name}.{name}") if module.is_package else None
        if below:
            return self._in_module(below, attributes[0], attributes[1:], seen) if attributes else [Whole(below.name)]
        if "__getattr__" in module.units and seen:
            return [*module.units["__getattr__"]]
        # Where it was asked for by an import or an attribute, it must be somewhere; a bare name may be a builtin.
        return [Whole(module.name)] if seen and not name.startswith("__") else []


def _is_plain(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr():
            return True
        case ast.Assign(value=ast.Constant()):
            return True
    return False
