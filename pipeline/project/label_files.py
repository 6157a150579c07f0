"""A file with labels inside a source -> what params.yaml says of it."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from pipeline.errors import DataError, ParamsError, listing
from pipeline.images.rejection import Rejection
from pipeline.names import clean
from pipeline.problem.label_sets import SEPARATOR
from pipeline.sources.files import Files
from pipeline.sources.label_studio import labels_of
from pipeline.sources.metadata import captured_times, unusable
from pipeline.sources.params import Columns, LabelStudioLabels
from pipeline.sources.texts import read_texts
from pipeline.store.tables import MAX_BYTES, READERS

# What stands between several labels of a cell, the surest first.
SEPARATORS = ("|", ";", ",")
# What people call the columns, the likeliest first.
NAMES: Mapping[str, Sequence[str]] = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path", "filepath", "img", "name"),
    "label": ("label", "class", "class_name", "category", "target", "species", "y"),
    "group": ("group", "group_id", "patient", "subject", "scene", "user_group"),
    "captured_at": ("captured_at", "taken", "taken_at", "timestamp", "date", "datetime"),
}


def file_in(inside: Collection[str], place: str, asked: Sequence[str]) -> str | None:
    """Which of the files that --labels names is in a source; None if none is.

    Args:
        inside: the files of the source.

    Raises:
        ParamsError: there are two.
    """
    found = {name: there for name in asked for there in (name, _from_there_on(name, place)) if there in inside}
    if len({*found.values()}) > 1:
        raise ParamsError(f"--labels names {listing(found)}, which are all in {place}: a source has one file of labels")
    return next(iter(found.values()), None)


def labels_from(
    files: Files, images: Sequence[str], name: str, columns: Mapping[str, str], role: str
) -> tuple[dict[str, Any], list[str]]:
    """The `labels` of a source for a table, or an export of Label Studio, inside it; and notes on how it is read.

    Raises:
        DataError: it cannot be read as a table or an export, or the column that is named for times has none.
        ParamsError: which column is which does not show.
    """
    unlisted = "ignore" if role == "raw" else "unlabelled"
    if name.lower().endswith(".json"):
        return _label_studio(_content(files, name), set(images), name, unlisted), []
    table = _table(files, name)
    found = _columns([*map(str, table)], name, columns)
    _, wrong = captured_times(table, Columns.model_validate(found), pd.Timestamp.now(tz="UTC"))
    if wrong and "captured_at" in columns:
        raise DataError(unusable(name, wrong))
    notes = [f"{name} has no times that can be used: {problem}" for problem in wrong]
    found |= {"captured_at": None} if wrong else {}
    separator = separator_of({clean(cell) for cell in table[str(found["label"])] if cell})
    labels = {"name": "table", "file": name, "columns": found, "unlisted": unlisted}
    paths = table[str(found["path"])]
    if prefix := _prefix_of(paths, set(images)):
        labels["prefix"] = prefix
    return labels if separator is None else {**labels, "separator": separator}, notes


def _prefix_of(paths: Iterable[str], images: Collection[str]) -> str:
    """What stands before most paths of a table, such as a folder of another machine; "" if they are right as they are.

    Paths that name no image whatever is taken off have no part in it.
    """
    prefixes: Counter[str] = Counter()
    for path in paths:
        found = path if path in images else _path_at_end(path, images)
        if found is not None:
            prefixes[path.removesuffix(found)] += 1
    return max(prefixes, key=lambda prefix: (prefixes[prefix], not prefix), default="")


def separator_of(cells: Collection[str]) -> str | None:
    """What stands between the labels of cells that have several; None if no cell has.

    A bar or a semicolon is hardly ever part of a name; a comma counts only if all of its parts stand alone elsewhere.
    """
    for separator in SEPARATORS:
        several = [cell for cell in cells if separator in cell]
        parts = [{part.strip() for part in cell.split(separator)} for cell in several]
        stand_alone = separator != "," or all(names <= {*cells} for names in parts)
        if several and stand_alone and all("" not in names for names in parts):
            return separator
    return None


def has_several(labels: Mapping[str, Any]) -> bool:
    """Whether the `labels` of a source give images several labels."""
    return labels.get("separator") is not None or labels.get("several_choices") == "keep"


def by_label(counts: Mapping[str, int], labels: Mapping[str, Any]) -> dict[str, int]:
    """Images by label, from rows by cell."""
    found: Counter[str] = Counter()
    for cell, count in counts.items():
        for name in {clean(part) for part in cell.split(labels.get("separator") or SEPARATOR)}:
            found[name] += count
    return dict(sorted(found.items()))


def _from_there_on(name: str, place: str) -> str:
    """A path as a person may type it, from the current folder on, as one from the source's folder on."""
    path, folder = Path(name).absolute(), Path(place).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else name


def label_counts(files: Files, labels: Mapping[str, Any], images: Collection[str]) -> tuple[dict[str, int], list[str]]:
    """Images by label, "" for none; and the paths of rows, or of tasks, that name no image of the source."""
    if labels["name"] == "label_studio":
        params = LabelStudioLabels.model_validate(labels)
        tasks = labels_of(json.loads(_content(files, params.file)), params, params.file)
        said = [(one.path, one.label) for one in tasks]
    else:
        table, columns, prefix = _table(files, labels["file"]), labels["columns"], labels.get("prefix", "")
        paths = [str(path).removeprefix(prefix) for path in table[columns["path"]]]
        said = [*zip(paths, map(clean, table[columns["label"]]), strict=True)]
    counts = Counter(label for path, label in said if path in images)
    return dict(sorted(counts.items())), [path for path, _ in said if path not in images]


def labels_by_path(files: Files, labels: Mapping[str, Any]) -> dict[str, str]:
    """The label of each path that a table or an export names."""
    if labels["name"] == "label_studio":
        params = LabelStudioLabels.model_validate(labels)
        said = labels_of(json.loads(_content(files, params.file)), params, params.file)
        return {one.path: one.label for one in said if one.label and not one.reason}
    columns, table = labels["columns"], _table(files, labels["file"])
    return {
        str(path).removeprefix(labels.get("prefix") or ""): clean(str(label))
        for path, label in zip(table[columns["path"]], table[columns["label"]], strict=True)
        if path and label
    }


def _columns(header: Sequence[str], name: str, named: Mapping[str, str]) -> dict[str, str | None]:
    unknown = [*(named.keys() - NAMES.keys()), *(set(named.values()) - set(header))]
    by_name = {column.lower(): column for column in reversed(header)}
    found = {
        use: named.get(use) or next((by_name[one] for one in known if one in by_name), None)
        for use, known in NAMES.items()
    }
    lacking = [use for use in ("path", "label") if found[use] is None]
    if unknown or lacking:
        which = (
            f"names columns that do not exist: {listing(unknown)}" if unknown else f"no column fits {listing(lacking)}"
        )
        raise ParamsError(
            f"--labels {name}: {which}. Its columns are {listing(header, 20)}; name the right ones with "
            "--columns path=COLUMN,label=COLUMN (and group=, captured_at=)"
        )
    return found


def _table(files: Files, name: str) -> pd.DataFrame:
    """A table's cells as texts, "" for empty ones."""
    kind = next((ending for ending in READERS if name.lower().endswith(ending)), None)
    if kind is None:
        raise ParamsError(f"--labels {name}: it must be a table ({', '.join(READERS)}) or Label Studio's .json")
    return read_texts(_content(files, name), name, ())


def _label_studio(data: bytes, images: set[str], name: str, unlisted: str) -> dict[str, Any]:
    asked: Counter[str] = Counter()
    several = False
    prefixes: dict[str, list[str]] = {}
    try:
        tasks = json.loads(data)
        # An escape such as \ud800 is no character, and params.yaml could not hold it.
        json.dumps(tasks, ensure_ascii=False).encode()
        for task in tasks:
            results = [one for note in task["annotations"] for one in note["result"]]
            asked.update(one["from_name"] for one in results if one.get("type") == "choices")
            several |= any(len(one["value"]["choices"]) > 1 for one in results if one.get("type") == "choices")
            for key, value in task["data"].items():
                if isinstance(value, str) and (path := _path_at_end(unquote(value), images)) is not None:
                    prefixes.setdefault(key, []).append(unquote(value).removesuffix(path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"--labels {name} is not a JSON export of Label Studio ({type(error).__name__})") from error
    if not asked or not prefixes:
        lacks = "answers of a Choices tag" if not asked else "paths of images in the source"
        raise DataError(f"--labels {name} has no {lacks}: export the project again, as JSON")
    image = max(prefixes, key=lambda key: len(prefixes[key]))
    ((prefix, _),) = Counter(prefixes[image]).most_common(1)
    return {
        **{"name": "label_studio", "file": name, "image": image, "prefix": prefix},
        **{"choice": asked.most_common(1)[0][0], "disagreement": "reject", "unlisted": unlisted},
        **({"several_choices": "keep"} if several else {}),
    }


def _path_at_end(text: str, images: Collection[str]) -> str | None:
    """The longest path of an image that a text ends in, after a slash."""
    parts = text.split("/")
    return next((path for start in range(len(parts)) if (path := "/".join(parts[start:])) in images), None)


def _content(files: Files, name: str) -> bytes:
    data = files.read(name, MAX_BYTES)
    if isinstance(data, Rejection):
        raise DataError(f"{name} cannot be read: {data.detail}")
    return data
