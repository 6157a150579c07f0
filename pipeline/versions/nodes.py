"""Parts of syntax nodes, the same under every Python."""

import ast
from collections.abc import Iterable, Iterator, Sequence

# Fields of nodes that say nothing, or that only some Pythons have.
SILENT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def speaking(fields: Iterable[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """Names and values of the fields that say something.

    Empty ones may be missing: Python 3.13 and later leave them out, older ones have not all of them.
    """
    return ((name, value) for name, value in fields if name not in SILENT and value is not None and value != [])


def pieces(node: ast.JoinedStr) -> Iterator[str | ast.expr]:
    """The texts of an f-string, none of them empty, and what stands between; where Pythons cut its texts differs."""
    text = ""
    for value in node.values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield text
        text = ""
        yield value
    if text:
        yield text


def raises_itself(body: Sequence[ast.stmt]) -> bool:
    """Whether statements raise, or call a method of their own object, which may."""
    nodes = (each for statement in body for each in ast.walk(statement))
    return any(
        isinstance(each, ast.Raise) or (isinstance(each, ast.Name) and each.id in {"self", "cls"}) for each in nodes
    )
