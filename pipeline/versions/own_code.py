"""The project's own code: the file that a function of train.model is in and what it imports; none of it is run.

Followed are imports that a syntax tree shows, of modules inside the project. A file counts whole, without comments,
layout and docstrings.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import ParamsError, listing
from pipeline.versions.modules import is_text
from pipeline.versions.reach import LENGTH

# This package has versions of its own code already.
PACKAGE = "pipeline"
# Fields of syntax trees that say nothing, or that only some Pythons have where they are empty.
_SILENT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def own_modules(place: str, root: Path) -> dict[str, str]:
    """Module -> a hash of its code: of the module of a function, and of all in the project that it imports.

    Args:
        place: `module:function`, the module inside the project.
        root: the project's folder.

    Raises:
        ParamsError: there is no such module or function in it, or a file cannot be parsed.
    """
    name, _, function = place.partition(":")
    file = file_of(name, root)
    if file is None:
        raise ParamsError(_missing(place, name, root))
    trees = _trees(name, root)
    if not _binds(trees[name], function):
        raise ParamsError(
            f"train.model.factory {place}: {file} defines no {function}{_instead(trees[name])}. Write "
            f"`def {function}(classes, size): …` there, which returns the network"
        )
    return {name: hashlib.sha256(_text(tree).encode()).hexdigest()[:LENGTH] for name, tree in sorted(trees.items())}


def own_version(place: str, root: Path) -> str:
    """One hash for all of `own_modules`."""
    return version_of_modules(own_modules(place, root))


def version_of_modules(modules: Mapping[str, str]) -> str:
    """One hash for hashes of modules."""
    lines = "".join(f"{name} {hashed}\n" for name, hashed in sorted(modules.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:LENGTH]


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module of the project, relative to it; None if it has none."""
    if module.partition(".")[0] == PACKAGE:
        return None
    place = Path(*module.split("."))
    found = (each for each in (place / "__init__.py", place.with_suffix(".py")) if (root / each).is_file())
    return next(found, None)


def _missing(place: str, name: str, root: Path) -> str:
    if name.partition(".")[0] == PACKAGE:
        return f"train.model.factory {place}: the name pipeline is this package's: give your module another name"
    there = sorted(path.stem for path in root.glob("*.py"))
    there += sorted(path.parent.name for path in root.glob("*/__init__.py") if path.parent.name != PACKAGE)
    wanted = name.replace(".", "/")
    seen = f"; there are {listing(there)}" if there else ""
    return (
        f"train.model.factory {place}: this project has no module {name}{seen}. Write {wanted}.py beside params.yaml, "
        "with a function that returns the network; a function of a library is called from there"
    )


def _instead(tree: ast.Module) -> str:
    functions = [each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    return f"; it has {listing(functions)}" if functions else ""


def _binds(tree: ast.Module, name: str) -> bool:
    """Whether a module has a top-level name, or may have it in a way that no tree shows."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=bound) | ast.ClassDef(name=bound) if bound in (name, "__getattr__"):
                return True
            case ast.Name(id=bound, ctx=ast.Store()) if bound == name:
                return True
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                if any((alias.asname or alias.name) in (name, "*") for alias in names):
                    return True
    return False


def _trees(name: str, root: Path) -> dict[str, ast.Module]:
    found: dict[str, ast.Module] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        # Importing a module runs the packages above it.
        for module in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            file = file_of(module, root)
            if file is not None and module not in found:
                found[module] = _parsed(root / file, file)
                waiting += _imports(found[module], module, file.name == "__init__.py")
    return found


def _parsed(file: Path, shown: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ParamsError(f"{shown}{where} is not Python code: {getattr(error, 'msg', error)}") from error
    except OSError as error:
        raise ParamsError(f"{shown} cannot be read: {error.strerror}") from error


def _imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*filter(None, above), *([node.module] if node.module else [])])
                yield from (f"{base}.{alias.name}".strip(".") for alias in names)


def _text(node: object) -> str:
    """A tree as text, the same under every Python."""
    if isinstance(node, ast.AST):
        fields = {key: value for key, value in ast.iter_fields(node) if key not in _SILENT and value not in (None, [])}
        return f"{type(node).__name__}({' '.join(f'{key}={_text(value)}' for key, value in fields.items())})"
    if isinstance(node, list):
        return f"[{' '.join(_text(each) for each in node if not (isinstance(each, ast.AST) and is_text(each)))}]"
    return repr(node)
