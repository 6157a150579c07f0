"""Describe in words which values an argument accepts, from a pydantic schema; and its errors, one line per argument.

albumentations checks arguments by pydantic, whose messages give each branch of a union lines of its
own, and leave the accepted range to code that only runs.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic.functional_validators import AfterValidator

# By itself, and in a list: [number, number].
WORDS: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integer"),
    float: ("a number", "number"),
    str: ("text", "text"),
}
INSIDE = {"missing": "is missing", "extra_forbidden": "no such key"}
NO_TUPLES = "YAML has no tuples: write [1, 2] for (1, 2)"
# albumentations' own validators that hold each number above a bound.
AT_LEAST = {"process_non_negative_range": 0, "convert_to_0plus_range": 0, "convert_to_1plus_range": 1}


def accepted(field: FieldInfo) -> str:
    """All that an argument may be: `a number or [number, number], each from 0 to 1, the lower first`."""
    kinds = sorted(dict.fromkeys(_kinds(field.annotation)), key=lambda kind: kind.startswith("["))
    lower, upper, ordered = _bounds(field)
    if lower.startswith("of at least") and upper.startswith("at most"):
        lower, upper = lower.replace("of at least", "from") + upper.replace("at most", " to"), ""
    bounds = " and ".join(filter(None, [lower, upper]))
    each = ", each" if any(kind.startswith("[") for kind in kinds) else ""
    return " or ".join(kinds) + (f"{each} {bounds}" if bounds else "") + (f", {ordered}" if ordered else "")


def explain(error: ValidationError, schema: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, str]:
    """Argument -> what is wrong with it; under "" what is wrong with several together."""
    items: dict[str, list[Any]] = {}
    for item in error.errors(include_url=False):
        items.setdefault(str(item["loc"][0]) if item["loc"] else "", []).append(item)
    lines = {}
    for where, found in items.items():
        own = next((first_line(str(item["ctx"]["error"])) for item in found if item["type"] == "value_error"), "")
        field = schema.model_fields.get(where)
        if field is None:
            # A rule about several arguments, or one inside a mapping.
            mappings = [name for name, value in arguments.items() if isinstance(value, Mapping)]
            place = ".".join([*mappings, where]) if where and len(mappings) == 1 else where
            lines[place] = own or INSIDE.get(found[0]["type"]) or first_line(found[0]["msg"])
        elif not any(_kinds(field.annotation)):
            lines[where] = "cannot stand in params.yaml"
        elif found[0]["type"] == "missing":
            lines[where] = f"is missing, it must be {accepted(field)}"
        else:
            # The type says it all, unless only the code of another rule knows why.
            rule = f"{own}; it " if own and _fits(field, arguments[where]) else ""
            lines[where] = f"{rule}must be {accepted(field)}, {_got(arguments[where])}"
    return lines


def taken_for_another(schema: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, str]:
    """Argument -> what is wrong with a value that only a conversion makes right, such as '30' or true for a number."""
    fields = {name: schema.model_fields[name] for name in arguments if name in schema.model_fields}
    return {
        name: f"must be {accepted(field)}, {_got(arguments[name])}"
        for name, field in fields.items()
        if not _fits(field, arguments[name])
    }


def unknown_keys(made: Any, arguments: Mapping[str, Any]) -> dict[str, str]:
    """`argument.key` -> what is wrong with keys of a mapping that the transform took no notice of."""
    read = {name: getattr(made, name, None) for name, value in arguments.items() if isinstance(value, Mapping)}
    return {
        f"{name}.{key}": f"no such key; the keys here are {', '.join(sorted(known))}"
        for name, known in read.items()
        if isinstance(known, Mapping)
        for key in arguments[name]
        if key not in known
    }


def first_line(message: str) -> str:
    """The first line of a message, to stand after a colon."""
    line = next(iter(message.strip().splitlines()), "no reason given").rstrip(".")
    return line[0].lower() + line[1:] if line.split()[0][1:].islower() else line


def _got(value: Any) -> str:
    tuples = isinstance(value, str) and value.startswith("(")
    return f"got {value!r}" + (f": {NO_TUPLES}" if tuples else "")


def _fits(field: FieldInfo, value: Any) -> bool:
    """Whether a value is what its type says, as JSON has it: lists for tuples, and nothing else converted."""
    annotated: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotated, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _kinds(annotation: Any, inside: bool = False) -> Iterator[str]:
    """Each form that a value may have in YAML; arrays and functions have none, null is for leaving it out."""
    origin, members = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        yield WORDS[annotation][inside]
    elif origin is Literal:
        yield "one of " + ", ".join(sorted(repr(member) for member in members if member is not None))
    elif origin is dict:
        yield "a mapping"
    elif origin in {tuple, list, Sequence} and inside:
        yield "list"
    elif origin in {tuple, list, Sequence}:
        items = ["..." if item is ... else " or ".join(dict.fromkeys(_kinds(item, inside=True))) for item in members]
        yield f"[{', '.join(items if origin is tuple else [*items, '...'])}]"
    elif origin is not Callable:
        for member in members[:1] if origin is Annotated else members:
            yield from _kinds(member, inside)


def _bounds(field: FieldInfo) -> tuple[str, str, str]:
    """The lower and the upper bound of an argument's numbers, and their order, in words; "" where there is none."""
    nested = [
        rule for member in get_args(field.annotation) if get_origin(member) is Annotated for rule in get_args(member)
    ]
    lower = upper = ordered = ""
    for rule in [*field.metadata, *nested]:
        match rule:
            case Ge(ge=bound):
                lower = f"of at least {bound:g}"
            case Gt(gt=bound):
                lower = f"above {bound:g}"
            case Le(le=bound):
                upper = f"at most {bound:g}"
            case AfterValidator(func=function):
                name, inside = function.__name__, inspect.getclosurevars(function).nonlocals
                ordered = "the lower first" if name == "nondecreasing" else ordered
                if name in AT_LEAST:
                    lower = f"of at least {AT_LEAST[name]}"
                if inside.get("min_val") is not None:
                    lower = f"{'of at least' if inside['min_inclusive'] else 'above'} {inside['min_val']:g}"
                if inside.get("max_val") is not None:
                    upper = f"{'at most' if inside['max_inclusive'] else 'below'} {inside['max_val']:g}"
    return lower, upper, ordered
