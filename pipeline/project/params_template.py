"""The package's own params file with some values of it replaced: comments and layout stay."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("template")
WIDTH = 120
_KEY = re.compile(r'( *)("(?:[^"\\]|\\.)*"|[^\s#:"-][^:#]*):(?=\s|$)')
# Plain in YAML, and text to every reader of it.
_PLAIN = re.compile(r"[A-Za-z_/][\w/.-]*")
_NOT_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class Choice:
    """A value for a dotted place of params.yaml, and why it is this one, in words.

    comment: of the param itself; None leaves the template's.
    """

    place: str
    value: Any
    why: str = ""
    comment: str | None = None


def template_text() -> str:
    """The params of the demonstration, with a comment on each."""
    return (TEMPLATE / "params.yaml").read_text(encoding="utf-8")


def with_choices(text: str, choices: Iterable[Choice]) -> str:
    """A params file with the values chosen, each below a comment that says why.

    Raises:
        KeyError: the text has no such place.
    """
    lines = text.splitlines()
    for choice in choices:
        first, end = block(lines, choice.place)
        lines[first:end] = _written(lines[first], lines[first + 1 : end], choice)
    return "\n".join(lines) + "\n"


def without(text: str, place: str) -> str:
    """A params file without what stands at a place, and without the comment on it."""
    lines = text.splitlines()
    first, end = block(lines, place)
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    while end < len(lines) and not lines[end].strip():
        end += 1
    return "\n".join([*lines[:first], *lines[end:]]) + "\n"


def block(lines: list[str], place: str) -> tuple[int, int]:
    """The lines of a place in block style: of its key, and behind all that belongs to it.

    Comments that stand before the next key are that one's.

    Raises:
        KeyError: there is no such place.
    """
    first, end, indent = 0, len(lines), -1
    for part in place.split("."):
        found = None
        inner: int | None = None
        for number in range(first if indent < 0 else first + 1, end):
            key = _KEY.match(lines[number])
            if key is None or (inner is not None and len(key[1]) > inner):
                continue
            inner = len(key[1])
            if _name(key[2]) == part:
                found = number
                break
        if found is None or inner is None:
            raise KeyError(place)
        first, indent = found, inner
        end = next((number for number in range(first + 1, end) if _is_outside(lines[number], indent)), end)
        while end > first + 1 and _belongs_to_next(lines[end - 1], indent):
            end -= 1
    return first, end


def flow(value: Any) -> str:
    """A value in YAML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def wrapped(words: str, indent: str) -> list[str]:
    """A comment, in lines that are not too long."""
    lines = [f"{indent}#"]
    for word in words.split():
        if len(lines[-1]) + 1 + len(word) > WIDTH and lines[-1].strip() != "#":
            lines.append(f"{indent}#")
        lines[-1] += f" {word}"
    return lines


def _written(head: str, body: list[str], choice: Choice) -> list[str]:
    key = _KEY.match(head)
    assert key is not None  # noqa: S101 - block found it
    indent = key[1]
    _, sign, comment = head.partition(" # ")
    if choice.comment is not None:
        sign, comment = " # ", choice.comment
    above = wrapped(f"Chosen: {choice.why}", indent) if choice.why else []
    # What a section says of itself, in further lines, stays.
    more = body[: next((n for n, line in enumerate(body) if not line.strip().startswith("#")), len(body))]
    more = more if choice.place.count(".") == 0 else []
    short = f"{indent}{key[2]}: {flow(choice.value)}"
    if choice.place.count(".") and len(short) + len(sign + comment) <= WIDTH:
        return [*above, f"{short}{sign}{comment}"]
    lines = [*above, f"{indent}{key[2]}:{sign}{comment}", *more]
    if isinstance(choice.value, dict) and choice.value:
        return [*lines, *(f"{indent}  {flow(name)}: {flow(one)}" for name, one in choice.value.items())]
    if isinstance(choice.value, list) and choice.value:
        return [*lines, *(f"{indent}  - {flow(one)}" for one in choice.value)]
    return [*above, f"{indent}# {comment}", short] if comment else [*above, short]


def _name(key: str) -> str:
    return json.loads(key) if key.startswith('"') else key.strip()


def _is_outside(line: str, indent: int) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#") and len(line) - len(line.lstrip()) <= indent


def _belongs_to_next(line: str, indent: int) -> bool:
    stripped = line.strip()
    return not stripped or (stripped.startswith("#") and len(line) - len(line.lstrip()) <= indent)
