"""Upgrade an older params file: rename and add params; the user's order, values and comments stay."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import StringIO
from typing import Any

from ruamel.yaml.comments import CommentedMap

from pipeline.project.dvc_files import DEMONSTRATION
from pipeline.project.params_template import block, flow, wrapped
from pipeline.project.params_text import round_trip
from pipeline.renamed import RENAMED, renamed

# Whose keys are a person's, or of one of several kinds: what they lack is none of ours.
FREE = (
    "sources",
    "problem.rename",
    "problem.merge",
    "evaluate.satisficing",
    "train.class_weights",
    "split.production",
    "tune.space",
)


def upgraded(text: str, template: str) -> tuple[str, list[str]]:
    """The text, and a line for each change.

    Args:
        text, template: params files; the template's values and comments are those of what is inserted.
    """
    text, changes = _with_new_names(text)
    for _ in range(template.count("\n")):
        values, new = round_trip().load(text), round_trip().load(template)
        missing = next(_missing(values, new), None)
        if missing is None:
            break
        text = _inserted(text, template, values, missing)
        changes.append(f"added {missing}")
    return text, changes


def _with_new_names(text: str) -> tuple[str, list[str]]:
    changes: list[str] = []
    for _ in range(10 * len(RENAMED)):
        values = round_trip().load(text)
        found = next(_renames(values), None)
        if found is None:
            break
        place, new, line, column = found
        lines = text.splitlines(keepends=True)
        old = re.escape(place.rpartition(".")[2])
        lines[line] = lines[line][:column] + re.sub(
            rf"^([\"']?){old}\1", new.rpartition(".")[2], lines[line][column:], count=1
        )
        changed = "".join(lines)
        if changed == text:
            break
        text = changed
        changes.append(f"renamed {place} to {new}")
    return text, changes


def _renames(values: Any, above: str = "") -> Iterator[tuple[str, str, int, int]]:
    """Places with an old name, the outermost first: its new name, and line and column of its key."""
    inner = []
    for key, value in values.items() if isinstance(values, CommentedMap) else ():
        place = f"{above}{key}"
        new = renamed(place)
        parent = new.rpartition(".")[0] if new else ""
        if new and parent == above.removesuffix(".") and new.rpartition(".")[2] not in values:
            yield place, new, *values.lc.key(key)
        inner.append((value, f"{place}."))
    for value, below in inner:
        if isinstance(value, CommentedMap):
            yield from _renames(value, below)


def _missing(values: Any, new: Any, above: str = "") -> Iterator[str]:
    """Places that the template has and the file has not, the outermost first."""
    for key, value in new.items():
        place = f"{above}{key}"
        if place == DEMONSTRATION:
            continue
        if key not in values:
            yield place
        elif place not in FREE and _same_choice(values[key], value):
            yield from _missing(values[key], value, f"{place}.")


def _same_choice(value: Any, new: Any) -> bool:
    """Whether both are mappings of the same params: another choice has params of its own."""
    both = isinstance(value, Mapping) and isinstance(new, Mapping)
    return both and value.get("name") == new.get("name")


def _inserted(text: str, template: str, values: Any, place: str) -> str:
    """The text with what the template has at a place, behind the key that stands before it there."""
    parent, _, key = place.rpartition(".")
    inside, own = _at(values, parent), _at(round_trip().load(template), parent)
    if inside and not inside.fa.flow_style() and not own.fa.flow_style():
        before = [one for one in list(own)[: list(own).index(key)] if one in inside]
        with suppress(KeyError):
            changed = _with_lines(text.splitlines(), template.splitlines(), place, before, next(iter(inside)))
            # Lines are laid out in more ways than are known here.
            if key in _at(round_trip().load(changed), parent):
                return changed
    return _in_braces(text, parent, f"{flow(key)}: {flow(_plain(own[key]))}") or _rewritten(values, inside, own, key)


def _in_braces(text: str, parent: str, item: str) -> str | None:
    """The text with an item at the end of a mapping in braces; None where it is none."""
    node = round_trip().compose(text)
    for part in parent.split("."):
        node = next((value for key, value in node.value if key.value == part), None)
        if node is None or not isinstance(node.value, list):
            return None
    behind = node.end_mark.index - 1
    if not node.flow_style or text[behind] != "}":
        return None
    before = text[:behind].rstrip()
    comma = "" if before.endswith(("{", ",")) else ","
    return f"{before}{comma}{'' if before.endswith('{') else ' '}{item}{text[behind:]}"


def _rewritten(values: Any, inside: Any, own: Any, key: str) -> str:
    """The whole as ruamel lays it out: indentation may change, comments and order stay."""
    inside.insert(_position(inside, own, key), key, _plain(own[key]))
    written = StringIO()
    round_trip().dump(values, written)
    return written.getvalue()


def _with_lines(lines: list[str], source: list[str], place: str, before: list[str], first_key: str) -> str:
    """The lines with those of a place in the source, its comments too, indented as the others there."""
    above = f"{parent}." if (parent := place.rpartition(".")[0]) else ""
    first, end = block(source, place)
    first = _with_comments(source, first)
    sibling = block(lines, f"{above}{first_key}")[0]
    at = block(lines, f"{above}{before[-1]}")[1] if before else _with_comments(lines, sibling)
    indent = " " * _indent(lines[sibling])
    own_indent = min(_indent(line) for line in source[first:end] if line.strip())
    inserted = [
        *wrapped("Added by pipeline upgrade", indent),
        *(indent + line[own_indent:] for line in source[first:end]),
    ]
    if not parent:
        inserted = ["", *inserted] if before else [*inserted, ""]
    return "\n".join([*lines[:at], *inserted, *lines[at:]]) + "\n"


def _with_comments(lines: list[str], number: int) -> int:
    """The first of the comment's lines that stand before a line."""
    above = number
    while above and lines[above - 1].strip().startswith("#") and _indent(lines[above - 1]) == _indent(lines[number]):
        above -= 1
    return above


def _at(values: Any, place: str) -> Any:
    for part in place.split(".") if place else ():
        values = values[part]
    return values


def _position(inside: Any, own: Any, key: str) -> int:
    before = [one for one in list(own)[: list(own).index(key)] if one in inside]
    return list(inside).index(before[-1]) + 1 if before else 0


def _plain(value: Any) -> Any:
    """The value without comments, which would end a mapping in braces."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
