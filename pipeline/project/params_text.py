"""Write a params file back as text with presets replaced by lists; comments and layout stay."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter


class _Representer(RoundTripRepresenter):
    """Writes null as null, not as nothing."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def params_text(path: Path, lists: Mapping[int, Sequence[Mapping[str, Any]]]) -> str:
    """The text of a params file that `load_params` has read, with presets replaced.

    Args:
        lists: what stands for an item of `augment.transforms`, by its place there.
    """
    yaml = round_trip()
    values = yaml.load(path.read_text(encoding="utf-8"))
    for place in sorted(lists, reverse=True):
        _replace(values["augment"]["transforms"], place, [_in_braces(item) for item in lists[place]])
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def round_trip() -> YAML:
    """Reads and writes params so that comments, order, quotes and the layout of lists stay."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _replace(items: Any, place: int, new: Sequence[CommentedMap]) -> None:
    """Put several items in the place of one; what stands before or behind it stands before or behind all of them."""
    # ruamel keeps what is written behind an item with the list, or with the last value of an item in block style.
    # What is written before one goes to the value before, or, where that is a list in brackets, stays with the item.
    behind, before = (items.ca.items.pop(place, None) or [None, None])[:2]
    behind = behind or next(iter(items[place].ca.items.get("preset", [None] * 3)[2:3]), None)
    items[place] = new[0]
    for number, item in enumerate(new[1:], place + 1):
        items.insert(number, item)
    if before is not None:
        items.ca.items[place] = [None, before]
    if behind is not None:
        items.ca.items.setdefault(place + len(new) - 1, [None, None])[0] = behind


def _in_braces(item: Mapping[str, Any]) -> CommentedMap:
    written = CommentedMap(item)
    written.fa.set_flow_style()
    return written
