"""Which files of a source are its images, with which label, and which files are rejected.

A label of "" means none. Every file that a scan found is an image, rejected with a reason, or ignored; and
so is every row that a table has of them.
"""

import posixpath
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import RAW
from pipeline.names import clean, shown, take_labels
from pipeline.sources.layouts import GIVEN_SPLIT, given_split_problem
from pipeline.sources.metadata import captured_times, missing_columns, unusable, with_metadata
from pipeline.sources.params import Layout, TableLabels, Unlisted
from pipeline.sources.scan import Scan
from pipeline.sources.suggestions import Nearest
from pipeline.sources.table_errors import named_rows, set_errors, set_of_cell, several_labels, table_errors, table_notes

Refusal = tuple[str, str, str]


@dataclass(frozen=True)
class Listing:
    """Images: columns path and label, and of a table user_group, captured_at, meta_*; refused: path, reason, detail.

    ignored: path, and one of rejection.IGNORED.
    notes: what a person should know of how labels and groups were taken, a sentence each.
    groups_from: the file that says which group an image is of, for messages.
    """

    images: pd.DataFrame
    refused: tuple[Refusal, ...]
    ignored: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    groups_from: str = ""


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


def by_folders(found: Scan, role: str, layout: Layout | None = None, name: str = "the source") -> Listing:
    """Labels from the first folder. Files in no folder are rejected if raw, and unlabelled if production.

    Args:
        layout: split/class for labels from the second folder; the first one is the column GIVEN_SPLIT of the images.
            None looks whether the first folders are those of a split.
        name: of the source, for messages.

    Raises:
        DataError: the first folders are the parts of a split, or some cannot be labels; the message lists all.
    """
    if layout is None and (problem := given_split_problem(found.files, name)) is not None:
        raise DataError(problem)
    deep = layout == "split/class"
    refused = [(*item, "") for item in found.refused]
    in_none = [path for path in found.files if path.count("/") <= deep]
    if role == RAW:
        refused += [(path, "no_class_folder", "") for path in in_none]
    paths = [path for path in found.files if path.count("/") > deep or role != RAW]
    folders = _folders(paths, deep)
    taken = take_labels(folders)
    blank = [f"a folder whose name is blank: {shown(repr(folder))}" for folder in {*folders} if folder.isspace()]
    if problems := [*sorted(blank), *taken.problems]:
        raise DataError(unusable(f"the class folders of {name}", problems))
    images = _of_files(paths, [taken.names[folder] for folder in folders])
    if deep:
        images[GIVEN_SPLIT] = pd.Series(_folders(paths, 0), dtype="str").map(clean)
    return Listing(images, tuple(refused), found.ignored, (*taken.notes, *named_rows(folders)))


def _folders(paths: Sequence[str], depth: int) -> list[str]:
    """The folder of each path at a depth, "" where it lies in none there."""
    # A text for each folder, not for each file.
    once: dict[str, str] = {}
    parts = (path.split("/", depth + 1) for path in paths)
    return [
        once.setdefault(folder, folder) for folder in (part[depth] if len(part) > depth + 1 else "" for part in parts)
    ]


def without_labels(found: Scan) -> Listing:
    """Every file is an image without a label."""
    refused = [(*item, "") for item in found.refused]
    return Listing(_of_files(found.files, [""] * len(found.files)), tuple(refused), found.ignored)


def by_table(
    found: Scan,
    table: pd.DataFrame,
    labels: TableLabels,
    role: str,
    now: pd.Timestamp,
    name: str,
    left_out: Collection[str] = frozenset(),
) -> Listing:
    """Labels and metadata from a table of texts.

    Args:
        labels: which columns say what.
        now: later times are errors.
        name: of the table, for messages.
        left_out: further files, of which nothing is wanted, whatever the table says.

    Raises:
        DataError: the table breaks rules; the message lists all of them, with the rows.
    """
    columns = labels.columns
    needed = [column for column in (columns.path, columns.label, columns.group, columns.captured_at) if column]
    problems = missing_columns(table, needed)
    if problems:
        raise DataError(unusable(name, problems))
    times, problems = captured_times(table, columns, now)
    problems = [*table_errors(table, columns), *set_errors(table, labels), *problems]
    if problems:
        raise DataError(unusable(name, problems))
    written = table[columns.label].tolist() if columns.label else [""] * len(table)
    names = take_labels(written).names
    texts = [names[label] for label in written]
    if labels.separator is not None:
        texts = [set_of_cell(text, labels.separator) for text in texts]
    several = several_labels(set(texts)) if labels.separator is None else frozenset()
    others = [column for column in table.columns if column not in {columns.path, columns.label}]
    cells = table[others].itertuples(index=False, name=None) if others else [()] * len(table)
    paths = [path.removeprefix(labels.prefix) for path in table[columns.path]]
    said = [
        LabelStatement(path, "", row, other, "several_choices", label)
        if label in several
        else LabelStatement(path, label, row, other)
        for path, label, row, other in zip(paths, texts, range(1, len(table) + 1), cells, strict=True)
    ]
    listed = by_statements(found, said, role, labels.unlisted, left_out)
    rows = listed.images["row"].to_numpy() - 1
    images = with_metadata(listed.images.drop(columns="row"), table, columns, times, rows)
    return Listing(images, listed.refused, listed.ignored, table_notes(table, columns, labels.separator), name)


def by_statements(
    found: Scan,
    said: Sequence[LabelStatement],
    role: str,
    unlisted: Unlisted,
    left_out: Collection[str] = frozenset(),
    unit: str = "row",
) -> Listing:
    """Labels from statements about files; the images also have a column `row`, 0 where there is no statement.

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
    def nearest() -> Nearest:
        return Nearest(found.files)

    for one in said:
        path, reason, detail = _resolve(one.path, files, unread, nearest)
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


def _resolve(path: str, files: frozenset[str], unread: Mapping[str, str], nearest: Callable[[], Nearest]) -> Refusal:
    """The file that a path means; or ("", why it means none, in words).

    Args:
        nearest: the files by what is like them; it is made for the first path that means none.
    """
    if path in files:
        return path, "", ""
    inside = posixpath.normpath(path) if path else ""
    if inside.startswith(("/", "../")) or inside == "..":
        rule = "paths are relative to the source's path, and stay inside it"
        return "", "path_leaves_source", f"{rule}{nearest().hint_of_prefix(path)}"
    if inside in files:
        return inside, "", ""
    for place in (inside, *_parents(inside)):
        if place in unread:
            return "", unread[place], ""
    return "", "missing_file", f"there is no such file in the source{nearest().hint(path)}"


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _of_files(paths: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """The images of files that come sorted."""
    return pd.DataFrame({"path": paths, "label": labels}, dtype="str")


def _frame(rows: Sequence[tuple[Any, ...]], names: Sequence[str] = ("path", "label")) -> pd.DataFrame:
    frame = pd.DataFrame(sorted(rows), columns=list(names))
    return frame.astype({"path": "str", "label": "str", **({"row": "int64"} if "row" in names else {})})
