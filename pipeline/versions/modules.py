"""The modules of a package as syntax trees, cut into units: a function, a class, an assignment each.

A file is read once, and nothing is imported.
"""

import ast
import builtins
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.errors import MissingInputError

# Decorators of these hand back what they get, or wrap it: a decorated function counts where its name is used.
PLAIN_DECORATORS = ("abc.", "contextlib.", "dataclasses.", "enum.", "functools.", "pydantic.", "typing.")
# Of these, an annotation decides what is called.
READ_ANNOTATIONS = ("functools.singledispatch", "functools.singledispatchmethod", "pydantic.validate_call")


@dataclass(frozen=True)
class Binding:
    """What an import gives a name: a module, or a name in one."""

    module: str
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True, eq=False)
class Unit:
    """A statement of a module's top level; `names` are those that it binds, none for one that only acts."""

    module: str
    node: ast.stmt
    names: frozenset[str]
    package: str
    """What relative imports count from."""
    source: str
    """Its lines."""

    def __str__(self) -> str:
        return f"{self.module}:{'/'.join(sorted(self.names)) or f'line {self.node.lineno}'}"

    @cached_property
    def imports(self) -> dict[str, Binding]:
        """The imports inside the unit, such as those of a function."""
        return dict(_imports_in(self.node, self.package)) if "import" in self.source else {}


@dataclass
class Module:
    """A module's units and imports.

    acting: units that do something when the module is imported, whoever uses their names.
    imported: modules that importing it imports.
    """

    name: str
    is_package: bool
    units: dict[str, list[Unit]] = field(default_factory=dict)
    acting: list[Unit] = field(default_factory=list)
    imports: dict[str, Binding] = field(default_factory=dict)
    imported: list[Binding] = field(default_factory=list)

    @property
    def package(self) -> str:
        """What its relative imports count from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def all_units(self) -> list[Unit]:
        """All units, each once, in the order of the file."""
        found = {unit: None for units in self.units.values() for unit in units}
        return sorted([*found, *(unit for unit in self.acting if unit not in found)], key=lambda unit: unit.node.lineno)


class Package:
    """A package in a folder.

    Args:
        folder: that of the package itself, which has its name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._modules: dict[str, Module | None] = {}

    def owns(self, module: str) -> bool:
        """Whether a module's name is one of this package's."""
        return module == self.name or module.startswith(f"{self.name}.")

    def module(self, name: str) -> Module | None:
        """The module of this dotted name; None if the package has none.

        Raises:
            MissingInputError: the package lies in a zip, or has no sources.
        """
        if name not in self._modules:
            self._modules[name] = self._read(name) if self.owns(name) else None
        return self._modules[name]

    def names(self) -> list[str]:
        """The dotted names of all modules."""
        parts = [path.relative_to(self.folder.parent).with_suffix("").parts for path in self.folder.rglob("*.py")]
        return sorted(".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts)

    def inside(self, name: str) -> list[str]:
        """The module and, if it is a package, all modules in it."""
        return [found for found in self.names() if found == name or found.startswith(f"{name}.")]

    def digest(self) -> str:
        """A hash of all of its files: where it is the same, so is all that is computed of them."""
        found = hashlib.sha256()
        for file in sorted(self.folder.rglob("*.py")):
            content = file.read_bytes()
            found.update(f"{file.relative_to(self.folder).as_posix()} {len(content)}\n".encode())
            found.update(content)
        return found.hexdigest()

    def _read(self, name: str) -> Module | None:
        bare = self.folder.parent.joinpath(*name.split("."))
        file = next((path for path in (bare / "__init__.py", bare.with_suffix(".py")) if path.is_file()), None)
        if file is None:
            # A package without sources has not even this one.
            if not (self.folder / "__init__.py").is_file():
                raise MissingInputError(
                    f"{self.folder} has no Python files, from which the version of a stage's code is computed: install "
                    "the package with its sources into a folder, by `pip install`; no zip, no compiled files alone"
                )
            return None
        text = file.read_text(encoding="utf-8")
        module, lines = Module(name, file.name == "__init__.py"), text.split("\n")
        for statement in ast.parse(text, filename=str(file)).body:
            # Lines of decorators lie above that of the definition, and hold no imports.
            _take(statement, module, "\n".join(lines[statement.lineno - 1 : statement.end_lineno]))
        return module


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that statements bind in their own scope, imports aside."""
    return {name for node in nodes for name in _bound(node)}


def _take(statement: ast.stmt, module: Module, source: str) -> None:
    if is_text(statement) or _is_main(statement):
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        _join(statement, module)
        return
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
        # Of annotations: they lead somewhere, and nothing is run.
        module.imports.update(_imports_in(statement, module.package))
        return
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        _join(statement, module)
    unit = Unit(module.name, statement, frozenset(bound_names([statement])), module.package, source)
    for name in unit.names:
        module.units.setdefault(name, []).append(unit)
    if not unit.names or _acts(statement, module):
        module.acting.append(unit)


def _join(statement: ast.stmt, module: Module) -> None:
    found = [*_imports_in(statement, module.package)]
    module.imports.update(found)
    module.imported += [binding for _, binding in found]


def is_text(statement: ast.AST) -> bool:
    """Whether a statement is a docstring, or another constant that nothing uses."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__main__" in ast.dump(statement.test)


def _acts(statement: ast.stmt, module: Module) -> bool:
    """Whether it does more than bind names: a decorator that may register, a compound statement, a part assigned."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return any(not plain_decorator(decorator, module.imports) for decorator in statement.decorator_list)
        case ast.Assign():
            return any(not isinstance(target, ast.Name | ast.Tuple | ast.List) for target in statement.targets)
        case ast.AnnAssign() | ast.AugAssign():
            return not isinstance(statement.target, ast.Name)
    return True


def plain_decorator(node: ast.expr, imports: dict[str, Binding]) -> bool:
    """Whether a decorator registers nothing and reads no annotation."""
    named = dotted(node.func if isinstance(node, ast.Call) else node)
    if named is None:
        return False
    root, _, rest = named.partition(".")
    if root not in imports:
        return hasattr(builtins, root) or rest in {"setter", "deleter"}
    full = f"{imports[root]}.{rest}".rstrip(".")
    return full.startswith(PLAIN_DECORATORS) and full not in READ_ANNOTATIONS


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` of a name or attributes of one."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            before = dotted(value)
            return before and f"{before}.{name}"
    return None


def _imports_in(node: ast.AST, package: str) -> Iterator[tuple[str, Binding]]:
    for each in ast.walk(node):
        match each:
            case ast.Import(names=names):
                for alias in names:
                    root = alias.name.partition(".")[0]
                    yield (alias.asname, Binding(alias.name)) if alias.asname else (root, Binding(root))
                    if not alias.asname and alias.name != root:
                        yield f"import {alias.name}", Binding(alias.name)
            case ast.ImportFrom(names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                module = ".".join([*above, *([each.module] if each.module else [])])
                for alias in names:
                    star = alias.name == "*"
                    yield (
                        (f"* {module}", Binding(module))
                        if star
                        else (alias.asname or alias.name, Binding(module, alias.name))
                    )


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
            return
        case ast.Lambda():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            # Their own names stay inside; what := binds does not.
            yield from (each.target.id for each in ast.walk(node) if isinstance(each, ast.NamedExpr))
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Import() | ast.ImportFrom():
            return
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)
