"""What names and attributes in a unit refer to, each with its text: other units, rows of registries, things outside."""

import ast
from collections.abc import Sequence

from pipeline.versions.modules import Unit
from pipeline.versions.names import Dynamic, Names, Outside, Target, Whole
from pipeline.versions.registries import LOOKUPS, Rows, registry_of
from pipeline.versions.scopes import Scopes

# What no tree shows: code in texts, and modules by computed names.
COMPUTED = frozenset({"__import__", "eval", "exec", "globals"})


class References:
    """Collects what a unit refers to while it is written.

    typing: above 0 inside of what makes a type from a registry, in whatever way its rows are gone through.
    """

    def __init__(self, unit: Unit, names: Names, scopes: Scopes) -> None:
        self.unit, self.names, self.scopes = unit, names, scopes
        self.targets: list[Target | Rows] = []
        self.typing = 0

    def of_name(self, node: ast.Name) -> str:
        """The text of a name."""
        if self.scopes.is_local(node.id):
            return f"{node.id};"
        looked_up = self.of_lookup(node) if self.typing else ""
        return looked_up or self._reached(self.names.of_path(self.unit, [node.id]), node.id, node.id)

    def of_attribute(self, node: ast.Attribute) -> str | None:
        """The text of an attribute; None if it is one of a value, whose own text counts."""
        path = self.scopes.path(node)
        if path is None:
            return None
        targets = self.names.of_path(self.unit, path)
        registry = self._registry(targets) if node.attr in LOOKUPS or self.typing else None
        if registry is not None:
            return f"{self._look_up(registry)}.{node.attr};"
        return self._reached(targets, ".".join(path), path[0])

    def of_lookup(self, value: ast.expr) -> str:
        """The text of a registry in which a row is looked up; "" if it is none."""
        registry = self._registry(self.scopes.resolved(value))
        return "" if registry is None else self._look_up(registry)

    def to_module(self, node: ast.Call) -> None:
        """Record the module that `importlib.import_module` loads."""
        match node.args:
            case [ast.Constant(value=str(name))]:
                self.targets.append(Whole(name) if self.names.package.owns(name) else Outside(name))
            case _:
                self.targets.append(Dynamic(f"{self.unit}: a module by a computed name"))

    def _registry(self, targets: Sequence[Target]) -> Unit | None:
        return next(
            (each for each in targets if isinstance(each, Unit) and registry_of(each, self.names) is not None), None
        )

    def _look_up(self, registry: Unit) -> str:
        self.targets.append(Rows(registry))
        return f"look-up {registry.module}:{sorted(registry.names)}"

    def _reached(self, targets: Sequence[Target], written: str, root: str) -> str:
        self.targets += targets
        if not targets and root in COMPUTED:
            self.targets.append(Dynamic(f"{self.unit}: {root}"))
        # The name that it has where it comes from: `import numpy as np` says what np is.
        known = sorted(
            each.name if isinstance(each, Outside) else str(each) if isinstance(each, Unit) else repr(each)
            for each in targets
            if isinstance(each, Outside | Whole) or (isinstance(each, Unit) and each.module != self.unit.module)
        )
        rest = written.split(".", 1)[1:] if any(isinstance(each, Unit) for each in targets) else []
        return f"{'|'.join(known)}.{'.'.join(rest)};" if known else f"{written};"
