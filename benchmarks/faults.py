"""Faults of a module: a comparison turned, an operator or number changed, a condition negated, "and" made "or"."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}


def _sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that can be made wrong, in the order of the walk; annotations and texts are none."""
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        turned = isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS
        changed = isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS
        number = isinstance(node, ast.Constant) and type(node.value) in {int, float, bool}
        if turned or changed or number or isinstance(node, ast.If | ast.IfExp | ast.BoolOp):
            yield node


def count_of(path: Path) -> int:
    """How many faults a module can have."""
    return sum(1 for _ in _sites(ast.parse(path.read_text(encoding="utf-8"))))


@dataclass(frozen=True)
class Fault:
    """A source with one node made wrong.

    key: what was done, with its place. lines: those that reach it. function: the qualified name of the function that
    has it, None if it runs at import.
    """

    path: Path
    source: str
    key: str
    lines: range
    function: str | None


def mutated(path: Path, number: int) -> Fault:
    """The fault of one node."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = list(_sites(tree))[number]
    lines, function = _lines(tree, node), _function(tree, node)
    before = ast.unparse(node).splitlines()[0]
    match node:
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        case ast.BinOp() | ast.AugAssign():
            node.op = OPERATORS[type(node.op)]()
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant():
            node.value = node.value * 50 if isinstance(node.value, float) and node.value else node.value + 1  # type: ignore[operator]
        case ast.If() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    place = f"{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}"
    key = f"{path}:{place}: {before} -> {ast.unparse(node).splitlines()[0]}"
    return Fault(path, ast.unparse(ast.fix_missing_locations(tree)), key, lines, function)


def _function(tree: ast.AST, node: ast.AST) -> str | None:
    """The qualified name of the outermost function in whose body the node is, if no other has that name."""

    def functions(inside: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for each in inside.body:
            if isinstance(each, ast.FunctionDef):
                yield prefix + each.name, each
            elif isinstance(each, ast.ClassDef):
                yield from functions(each, f"{prefix}{each.name}.")

    known = list(functions(tree, ""))
    names = [name for name, _ in known]
    for name, function in known:
        if any(node in ast.walk(statement) for statement in function.body):
            return name if names.count(name) == 1 else None
    return None


def _lines(tree: ast.AST, node: Any) -> range:
    """From the start of the statement that has the node to its end; of a condition, its head alone."""
    statement: Any = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and node in ast.walk(one)][-1]
    last: Any = node.test if isinstance(node, ast.If) else node
    return range(statement.lineno, last.end_lineno + 1)
