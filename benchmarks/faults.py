"""Faults of a module: a comparison turned, an operator or number changed, a condition negated, "and" made "or".

A number is one more, a fraction fifty times as large, a number of a hundred or more twice as large: 20,001 images for
20,000 are no fault that anybody should notice. Left out, because no input tells them apart or each choice is as right:

- what an `assert` says, and `strict=` of a `zip`: guards against mistakes of the code itself, not of its input;
- numbers of a million or more, also as `1 << 20`: how much is in memory at one time;
- `repr=` of a field: how a value looks in a debugger;
- `sort=` of a `factorize` of which the numbers alone are taken: they only tell groups apart;
- fractions of at most a millionth: what roundings may differ by, floors of divisors, and steps of derivatives;
- digits of a rounding, six or more: what no order of additions changes;
- seeds of random numbers that are written in the code: another draw is as good.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPARISONS = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}


# A number of so many, or more, is doubled; says how much is in memory; is the digits of a rounding.
LARGE, MEMORY, DIGITS = 100, 1_000_000, 6
# A fraction that is no larger is one of roundings.
ROUNDING = 1e-6


def _left_out(node: Any) -> Iterator[Any]:
    """The parts of a node that are not made wrong, for what the module says."""
    match node:
        case ast.Assert():
            yield node
        case ast.Call(func=ast.Name(id="zip")):
            yield from (keyword for keyword in node.keywords if keyword.arg == "strict")
        case ast.Call(func=ast.Name(id="field")):
            yield from (keyword for keyword in node.keywords if keyword.arg == "repr")
        case ast.Subscript(value=ast.Call(func=ast.Attribute(attr="factorize")) as call, slice=ast.Constant(value=0)):
            yield from (keyword for keyword in call.keywords if keyword.arg == "sort")
        case ast.BinOp(left=ast.Constant(), op=ast.LShift(), right=ast.Constant()):
            yield node
        case ast.Call(func=ast.Name(id="keyed_generator" | "keyed_uniform")):
            yield node.args[0]
        case ast.Call(
            func=ast.Name(id="round") | ast.Attribute(attr="round"), args=[*_, ast.Constant(value=int() as digits)]
        ):
            yield from node.args[-1:] if digits >= DIGITS else ()
        case ast.Assign(targets=[ast.Name(id="DIGITS")], value=ast.Constant(value=int() as digits)) if digits >= DIGITS:
            yield node.value
        case ast.Constant(value=int() as number) if number >= MEMORY:
            yield node
        case ast.Constant(value=float() as number) if 0 < number <= ROUNDING:
            yield node
    yield from (
        part for part in (getattr(node, "annotation", None), getattr(node, "returns", None)) if part is not None
    )


def _sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that can be made wrong, in the order of the walk; annotations and texts are none."""
    skipped = {id(inner) for node in ast.walk(tree) for part in _left_out(node) for inner in ast.walk(part)}
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
        case ast.Constant(value=int() | float() as number):
            node.value = (
                number * 50 if isinstance(number, float) and number else number * 2 if number >= LARGE else number + 1
            )
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
    # A decorator stands above what it decorates.
    return range(min(statement.lineno, node.lineno), last.end_lineno + 1)
