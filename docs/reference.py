"""The reference: all commands, params, exit codes and reasons of rejected files, from the code and params.yaml."""

import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from typer.models import ArgumentInfo, OptionInfo

from pipeline import cli
from pipeline.errors import PipelineError
from pipeline.images.rejection import IGNORED, REASONS
from pipeline.project.params_file import Params

HEAD = """\
<!-- Written by `make generated`, from the commands, the params' types and the comments of params.yaml. -->
# Reference

[Commands](#commands) · [params.yaml](#paramsyaml) · [Exit codes](#exit-codes) ·
[Rejected and ignored files](#rejected-and-ignored-files)
"""
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
LENGTHS = {"minItems": "{} or more items", "maxItems": "at most {} items", "minLength": "{} or more characters"}


def reference(params_file: Path) -> str:
    """The page, in Markdown."""
    return "\n".join([HEAD, *_commands(), *_params(params_file), *_exit_codes(), *_reasons()])


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield (
        "Run `pipeline COMMAND`, or `python -m pipeline COMMAND`, in the folder that holds `params.yaml`. Each command "
        "has `--help`.\n"
    )
    commands = {
        command.name or command.callback.__name__: command
        for command in cli.app.registered_commands
        if command.callback
    }
    for name, command in sorted((name.replace("_", "-"), command) for name, command in commands.items()):
        given = [*_given(command.callback)]
        arguments = [f" {one.name}" for one in given if one.is_argument]
        yield f"### pipeline {name}{''.join(arguments)}\n"
        yield f"{_paragraphs(command.help or inspect.getdoc(command.callback) or '')}\n"
        if given:
            yield "| | | default |\n| --- | --- | --- |"
            yield "\n".join(one.row() for one in given) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


@dataclass(frozen=True)
class _Given:
    """An argument or option of a command."""

    name: str
    value: str
    about: str
    default: Any
    is_argument: bool

    def row(self) -> str:
        named = f"{self.name} {self.value}".rstrip() if not self.is_argument else self.name
        none = self.default in (None, False, inspect.Parameter.empty)
        default = "" if none or isinstance(self.default, bool) else f"`{getattr(self.default, 'value', self.default)}`"
        required = self.default is inspect.Parameter.empty
        return f"| `{_in_cell(named)}` | {_in_cell(self.about)} | {'required' if required else default} |"


def _given(function: Any) -> Iterator[_Given]:
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = typing.get_args(hints[name])
        info = next(extra for extra in extras if isinstance(extra, OptionInfo | ArgumentInfo))
        is_argument = isinstance(info, ArgumentInfo)
        # In an annotation, typer takes the first name for a default until it runs.
        own = [
            one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str) and one.startswith("--")
        ]
        option = ", ".join(own) or f"--{name.replace('_', '-')}"
        if kind is bool and parameter.default is True:
            option += f", --no-{name.replace('_', '-')}"
        bounds = [f"{info.min} or more"] if info.min is not None else []
        bounds += [f"at most {info.max:,}"] if info.max is not None else []
        bounds += [f"or the variable `{info.envvar}`"] if info.envvar else []
        about = f"{info.help} ({', '.join(bounds)})" if bounds else str(info.help)
        shown = str(info.metavar or name.upper()) if is_argument else option
        yield _Given(shown, info.metavar or _word(kind), about, parameter.default, is_argument)


def _word(kind: Any) -> str:
    """What an option takes, as `--help` calls it."""
    kinds = [each for each in (typing.get_args(kind) or (kind,)) if each is not type(None)]
    if isinstance(kinds[0], type) and issubclass(kinds[0], Enum):
        return "|".join(str(member.value) for member in kinds[0])
    return {bool: "", int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kinds[0], "TEXT")


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def _params(file: Path) -> Iterator[str]:
    schema = Params.model_json_schema()
    comments = _comments(file.read_text(encoding="utf-8"))
    yield "## params.yaml\n"
    yield (
        "What each param may be. A param without a default here must be in the file; one that is not in this list is "
        "an error. `pipeline params` checks the file.\n"
    )
    for name, section in schema["properties"].items():
        yield f"### {name}\n"
        if comments.get(name):
            # A list in a comment stays one.
            about, *items = _sentence(comments[name]).split("\n")
            yield "\n".join([f"{about.rstrip()}\n", *(f"{item.rstrip()}" for item in items)]) + "\n" * bool(items)
        yield "| param | value | |\n| --- | --- | --- |"
        yield "\n".join(dict.fromkeys(_rows(schema, section, name, comments))) + "\n"


def _rows(schema: Mapping[str, Any], node: Mapping[str, Any], place: str, comments: Mapping[str, str]) -> Iterator[str]:
    given, node = node, _resolved(schema, node)
    if values := _values_of(node):
        inner = _resolved(schema, values)
        if "properties" in inner:
            yield from _rows(schema, inner, f"{place}.NAME", comments)
            return
    if "properties" not in node or "const" in str(node["properties"].get("name", "")):
        value = _value(schema, given)
        # The comment of a whole section is above the table already.
        about = _sentence(comments.get(place, "")) if "." in place else ""
        yield f"| `{place}` | {value} | {about} |"
        yield from _tagged_rows(schema, node, place, comments)
        return
    for key, field in node["properties"].items():
        yield from _rows(schema, field, f"{place}.{key}", comments)


def _tagged_rows(
    schema: Mapping[str, Any], node: Mapping[str, Any], place: str, comments: Mapping[str, str]
) -> Iterator[str]:
    """The fields of each class that may stand at a place, told apart by `name`."""
    for member in _members(schema, node):
        named = _tag(schema, member).replace("|", " or ")
        if about := str(member.get("description", "")).split("\n\n")[0]:
            yield f"| `{place}: {{name: {_in_cell(_tag(schema, member))}}}` | | {_sentence(' '.join(about.split()))} |"
        for key, field in member["properties"].items():
            if key != "name":
                about = _sentence(comments.get(f"{place}.{key}", ""))
                yield f"| `{place}.{key}` ({named}) | {_value(schema, field)} | {about} |"
                yield from _tagged_rows(schema, field, f"{place}.{key}", comments)


def _tag(schema: Mapping[str, Any], member: Mapping[str, Any]) -> str:
    """The names by which a class of params is chosen; … for any."""
    tag = _resolved(schema, member["properties"]["name"])
    return str(tag.get("const") or "|".join(tag.get("enum", [])) or "…")


def _values_of(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the values of a mapping are, whose keys are names of the user's."""
    patterns = [*node.get("patternProperties", {}).values()]
    found = node.get("additionalProperties") or (patterns[0] if patterns else None)
    return found if isinstance(found, Mapping) else None


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _members(schema: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes of params that are told apart by `name`, at this place."""
    found: list[Mapping[str, Any]] = []
    for each in [*node.get("oneOf", []), *node.get("anyOf", [])]:
        member = _resolved(schema, each)
        found += [member] if "name" in member.get("properties", {}) else _members(schema, member)
    return found


def _value(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    default = f"; default `{_in_cell(json.dumps(node['default']))}`" if "default" in node else ""
    return f"{_type(schema, node)}{default}"


def _type(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    node = _resolved(schema, node)
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if several := [*node.get("oneOf", []), *node.get("anyOf", [])]:
        return ", or ".join(dict.fromkeys(_value(schema, each) for each in several))
    bounds = [
        words.format(f"{node[key]:,}" if isinstance(node[key], int) else node[key])
        for key, words in (BOUNDS | LENGTHS).items()
        if key in node
    ]
    kind = KINDS.get(node.get("type", ""), "")
    if node.get("type") == "array":
        items = [_value(schema, each) for each in node.get("prefixItems", [])] or [
            _value(schema, node.get("items", {}))
        ]
        kind = f"list of {', '.join(dict.fromkeys(items))}" if any(items) else "list"
    if node.get("type") == "object":
        inner = _values_of(node)
        kind = "mapping"
        if "name" in node.get("properties", {}):
            more = "" if len(node["properties"]) == 1 else ", …"
            kind = _in_cell(f"`{{name: {_tag(schema, node)}{more}}}`")
        elif "properties" in node:
            kind = "`{" + ", ".join(node["properties"]) + "}`"
        elif inner:
            kind = f"mapping of names to {_value(schema, inner)}"
    return ", ".join([kind or "value", *bounds])


def _comments(text: str) -> dict[str, str]:
    """Dotted place -> the comments before it and behind it."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    waiting: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            said = line.strip().lstrip("#")
            # Lines of a list's item are indented; a line that is not begins a paragraph behind the list.
            ends_list = any(one.startswith("\n- ") for one in waiting) and not said.startswith(("  ", " - "))
            said = said.strip()
            waiting.append(f"\n{said}" if said.startswith("- ") else f"\n\n{said}" if ends_list else said)
            continue
        match = re.match(r"( *)([A-Za-z_][\w]*):(?: |$)", line)
        if match is None:
            waiting = []
            continue
        indent = len(match[1])
        parents = [(depth, name) for depth, name in parents if depth < indent]
        place = ".".join([*(name for _, name in parents), match[2]])
        parents.append((indent, match[2]))
        behind = re.search(r" # (.*)$", line)
        found[place] = " ".join([*waiting, *([behind[1]] if behind else [])])
        waiting = []
    return found


def _sentence(text: str) -> str:
    """A comment in a table's cell: what looks like YAML as code, guides as links."""
    found, depth = "", 0
    for character in text:
        depth += (character == "{") - (character == "}")
        opens, closes = (character == "{" and depth == 1), (character == "}" and depth == 0)
        found += "`" * opens + character + "`" * closes
    return _in_cell(re.sub(r"docs/(\w+\.md)", r"[\1](\1)", found))


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | error | what happened |\n| --- | --- | --- |"
    yield "| 0 | | The command succeeded. |"
    yield "| 1 | | A bug. Please report it with the traceback. |"
    yield "| 2 | | The command line has an unknown command, option or value. |"
    for error in sorted(PipelineError.__subclasses__(), key=lambda each: each.exit_code):
        yield f"| {error.exit_code} | `{error.__name__}` | {' '.join((error.__doc__ or '').split())} |"
    yield "| 130 | | Ctrl-C stopped the command. Finished work is kept; earlier results are unchanged. |"
    yield "| 143 | | SIGTERM stopped the command. Finished work is kept; earlier results are unchanged. |"
    yield ""


def _reasons() -> Iterator[str]:
    yield "## Rejected and ignored files\n"
    yield "`data/ingest/<source>/rejected.csv` has a row for each rejected file, with one of these reasons:\n"
    yield from _reason_rows(REASONS)
    yield "`reports/ingest/<source>/ignored.csv` has a row for each ignored file:\n"
    yield from _reason_rows(IGNORED)


def _reason_rows(reasons: Mapping[str, str]) -> Iterator[str]:
    yield "| reason | the file |\n| --- | --- |"
    yield "\n".join(f"| `{reason}` | {_in_cell(meaning)} |" for reason, meaning in reasons.items()) + "\n"
