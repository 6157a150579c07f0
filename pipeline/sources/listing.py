"""What is said of a source's files: which are its images, under which label, and which are refused.

A label of "" is none. Every file that a scan found is an image, refused with a reason, or ignored; and
so is every row that a table has of them.
"""

import posixpath
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import RAW
from pipeline.sources.metadata import captured_times, missing_columns, unusable, with_metadata
from pipeline.sources.params import Columns, Unlisted
from pipeline.sources.scan import Scan
from pipeline.sources.table_errors import table_errors

REFUSED_COLUMNS = ["path", "reason", "detail"]
Refusal = tuple[str, str, str]


@dataclass(frozen=True)
class Listing:
    """Images: columns path and label, and of a table user_group, captured_at, meta_*; refused: path, reason, detail.

    ignored: path, and one of reasons.IGNORED.
    """

    images: pd.DataFrame
    refused: tuple[Refusal, ...]
    ignored: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LabelStatement:
    """What a row of a table, or a task, says of one file: the path as it stands there, and the label, "" for none.

    row: its number from 1, for messages. other: what else stands there; two rows of one file must agree in it.
    reason, detail: why the file is refused for what is said of it.
    """

    path: str
    label: str
    row: int
    other: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def by_folders(found: Scan, role: str) -> Listing:
    """Labels from the first folder; files in none are refused, or without a label if they are production's."""
    refused = [(*item, "") for item in found.refused]
    if role == RAW:
        refused += [(path, "no_class_folder", "") for path in found.files if "/" not in path]
    paths = [path for path in found.files if "/" in path or role != RAW]
    # A text for each label, not for each file.
    labels: dict[str, str] = {}
    first = (path.partition("/")[0] if "/" in path else "" for path in paths)
    return Listing(_of_files(paths, [labels.setdefault(one, one) for one in first]), tuple(refused), found.ignored)


def without_labels(found: Scan) -> Listing:
    """Every file is an image without a label."""
    refused = [(*item, "") for item in found.refused]
    return Listing(_of_files(found.files, [""] * len(found.files)), tuple(refused), found.ignored)


def by_table(
    found: Scan,
    table: pd.DataFrame,
    columns: Columns,
    role: str,
    unlisted: Unlisted,
    now: pd.Timestamp,
    name: str,
    left_out: Collection[str] = frozenset(),
) -> Listing:
    """Labels and metadata from a table of texts.

    Args:
        now: later times are errors.
        name: of the table, for messages.
        left_out: further files, of which nothing is wanted, whatever the table says.

    Raises:
        DataError: with every broken rule, and the rows.
    """
    needed = [column for column in (columns.path, columns.label, columns.group, columns.captured_at) if column]
    problems = missing_columns(table, needed)
    if problems:
        raise DataError(unusable(name, problems))
    times, problems = captured_times(table, columns, now)
    problems = [*table_errors(table, columns), *problems]
    if problems:
        raise DataError(unusable(name, problems))
    labels = table[columns.label].tolist() if columns.label else [""] * len(table)
    others = [column for column in table.columns if column not in {columns.path, columns.label}]
    cells = table[others].itertuples(index=False, name=None) if others else [()] * len(table)
    paths = table[columns.path].tolist()
    said = [LabelStatement(*row) for row in zip(paths, labels, range(1, len(table) + 1), cells, strict=True)]
    listed = by_statements(found, said, role, unlisted, left_out)
    rows = listed.images["row"].to_numpy() - 1
    images = with_metadata(listed.images.drop(columns="row"), table, columns, times, rows)
    return Listing(images, listed.refused, listed.ignored)


def by_statements(
    found: Scan,
    said: Sequence[LabelStatement],
    role: str,
    unlisted: Unlisted,
    left_out: Collection[str] = frozenset(),
    unit: str = "row",
) -> Listing:
    """Labels from what is said of files; the images have a column `row` too, 0 where nothing is said.

    Args:
        left_out: further files, of which nothing is wanted, whatever is said of them.
        unit: what messages call a statement.

    Reasons for refusal: path_leaves_source, missing_file, listed_twice, conflicting_labels, conflicting_rows,
    no_label (of a raw image), and why a scan refused the file.
    """
    files = frozenset(found.files)
    unread = dict(found.refused)
    refused: list[Refusal] = []
    of_file: dict[str, list[LabelStatement]] = {}

    @cache
    def alike() -> dict[str, str]:
        return {_likeness(path): path for path in reversed(found.files)}

    for one in said:
        path, reason, detail = _resolve(one.path, files, unread, alike)
        if reason == "missing_file" and posixpath.normpath(one.path) in left_out:
            continue
        if reason:
            refused.append((one.path, one.reason or reason, f"{one.detail or detail} ({unit} {one.row})"))
        else:
            of_file.setdefault(path, []).append(one)
    images: list[tuple[str, str, int]] = []
    for path, rows in of_file.items():
        chosen, why = _settled(path, rows, unit)
        refused += why
        if chosen is not None and not chosen.label and role == RAW:
            refused.append((path, "no_label", f"raw images need one ({unit} {chosen.row})"))
        elif chosen is not None:
            images.append((path, chosen.label, chosen.row))
    rest = [path for path in found.files if path not in of_file]
    if unlisted == "unlabelled":
        images += [(path, "", 0) for path in rest]
    named = {path for path, _, _ in refused}
    refused += [(path, reason, "") for path, reason in found.refused if path not in named]
    ignored = (*found.ignored, *((path, "not_listed") for path in rest if unlisted == "ignore"))
    return Listing(_frame(images, ("path", "label", "row")), tuple(refused), ignored)


def _settled(path: str, rows: Sequence[LabelStatement], unit: str) -> tuple[LabelStatement | None, list[Refusal]]:
    """The row that counts of those that speak of one file, if they agree; and a refusal for each other."""
    unclear = next((one for one in rows if one.reason), None)
    if unclear is not None:
        return None, [(path, unclear.reason, f"{unclear.detail} ({unit} {unclear.row})")]
    first = next((one for one in rows if one.label), rows[0])
    if len(rows) == 1:
        return first, []
    where = f"{unit}s {listing((one.row for one in rows), 10)}"
    labels = sorted({one.label for one in rows if one.label})
    if len(labels) > 1:
        return None, [(path, "conflicting_labels", f"{' / '.join(labels)} in {where}")]
    if len({one.other for one in rows}) > 1:
        return None, [(path, "conflicting_rows", f"other cells differ in {where}")]
    same = f"says the same as {unit} {first.row}"
    return first, [(path, "listed_twice", f"{unit} {one.row} {same}") for one in rows if one is not first]


def _resolve(
    path: str, files: frozenset[str], unread: Mapping[str, str], alike: Callable[[], Mapping[str, str]]
) -> Refusal:
    """The file that a path means; or ("", why it means none, in words).

    Args:
        alike: the files by _likeness; it is made for the first path that means none.
    """
    if path in files:
        return path, "", ""
    inside = posixpath.normpath(path) if path else ""
    if inside.startswith(("/", "../")) or inside == "..":
        return "", "path_leaves_source", "paths are relative to the source's path, and stay inside it"
    if inside in files:
        return inside, "", ""
    for place in (inside, *_parents(inside)):
        if place in unread:
            return "", unread[place], ""
    return "", "missing_file", f"there is no such file in the source{_hint(path, alike().get(_likeness(path)))}"


def _hint(path: str, near: str | None) -> str:
    if near is None:
        return ""
    same = unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", near)
    return f", did you mean {near}?{' It has the same letters in other bytes (Unicode NFC or NFD)' if same else ''}"


def _likeness(path: str) -> str:
    """What is equal for paths that differ in capitals, blanks at the ends, slashes, or how accents are written."""
    return unicodedata.normalize("NFC", posixpath.normpath(path.strip().replace("\\", "/"))).casefold()


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _of_files(paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """The images of files that come sorted."""
    return pd.DataFrame({"path": paths, "label": labels}, dtype="str")


def _frame(rows: Sequence[tuple[Any, ...]], names: Sequence[str] = ("path", "label")) -> pd.DataFrame:
    frame = pd.DataFrame(sorted(rows), columns=list(names))
    return frame.astype({"path": "str", "label": "str", **({"row": "int64"} if "row" in names else {})})
