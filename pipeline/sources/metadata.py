"""Metadata of images from a table: group, capture time and other columns. With class folders it is metadata.csv.

Its form is that of Hugging Face's ImageFolder: a column `file_name` with paths inside the source.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import EXTRA_COLUMNS
from pipeline.names import clean, key, shown_bytes
from pipeline.sources.params import Columns
from pipeline.sources.suggestions import Nearest
from pipeline.sources.table_errors import table_errors

FILE_NAME, GROUP, CAPTURED_AT = "file_name", "group", "captured_at"
# A time of day with a zone at its end: Z, +02:00, -0530, +02.
_ZONED = re.compile(r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$")


def attach_metadata(
    images: pd.DataFrame, table: pd.DataFrame | None, known: Collection[str], now: pd.Timestamp, name: str
) -> pd.DataFrame:
    """Add the columns user_group, captured_at and meta_* of a metadata.csv to the images.

    Args:
        images: with `path`, in any order.
        table: all values as text; None if the source has no metadata.csv.
        known: paths of all files of the source, including rejected ones.
        now: later times are errors.
        name: of the file, for messages.

    Raises:
        DataError: with every broken rule, and the rows.
    """
    if table is None:
        return images.assign(user_group="", captured_at=_taken_times(None, [], len(images)))
    names = own_names(table)
    problems = missing_columns(table, [FILE_NAME])
    if not problems:
        times, wrong = captured_times(table, names, now)
        problems = [*table_errors(table, names), *_file_problems(table, known), *wrong]
    if problems:
        raise DataError(unusable(name, problems))
    rows = pd.Index(table[FILE_NAME]).get_indexer(pd.Index(images["path"]))
    return with_metadata(images, table, names, times, rows)


def own_names(table: pd.DataFrame) -> Columns:
    """The column names of a metadata.csv."""
    group, captured_at = (name if name in table.columns else None for name in (GROUP, CAPTURED_AT))
    return Columns(path=FILE_NAME, label=None, group=group, captured_at=captured_at)


def with_metadata(
    images: pd.DataFrame, table: pd.DataFrame, names: Columns, times: "pd.Series[Any] | None", rows: Any
) -> pd.DataFrame:
    """The images with the columns of a table: user_group, captured_at, and meta_* for those that have no other use.

    Args:
        times: as captured_times gives them.
        rows: shape (n,), the position of each image's row in the table, -1 for none.
    """
    used = {names.path, names.label, names.group, names.captured_at, ""}
    values = {f"{EXTRA_COLUMNS}{column}": _taken(table[column], rows) for column in table.columns if column not in used}
    groups: Any = ""
    if names.group is not None:
        written = table[names.group]
        named = {name: clean(name) for name in written.unique()}
        groups = _taken(written.map(named), rows)
    clash = sorted(values.keys() & {*images.columns})
    if clash:
        raise DataError(
            f"a table has the column {listing(column.removeprefix(EXTRA_COLUMNS) for column in clash)}, which the "
            "source's layout fills: rename it in the table"
        )
    said = images.assign(user_group=groups, captured_at=_taken_times(times, rows, len(images)))
    # All at once: a column at a time takes ever longer.
    return pd.concat([said, pd.DataFrame(values, index=said.index, dtype="str")], axis=1) if values else said


def missing_columns(table: pd.DataFrame, needed: Sequence[str]) -> list[str]:
    """A sentence for each column that is not there, with what may be meant."""
    columns = [str(column) for column in table.columns]
    problems = []
    for name in needed:
        if name in columns:
            continue
        same = [column for column in columns if key(column) == key(name)]
        near = same or difflib.get_close_matches(name, columns, n=1)
        # Names that look the same are told from one another by their bytes.
        hint = f", is it {near[0]!r}?" if near else "."
        if same and clean(near[0]) == clean(name):
            hint = f": params.yaml has {shown_bytes(name)}, the table {shown_bytes(near[0])}."
        problems.append(f"there is no column {name!r}{hint} It has {listing(columns, 20)}")
    return problems


def unusable(name: str, problems: Sequence[str]) -> str:
    """The message for a file that breaks rules."""
    return f"{name} cannot be used:\n  " + "\n  ".join(problems)


def check_groups(images: pd.DataFrame, name: str) -> None:
    """Raise DataError if only some of the images have a group.

    Raises:
        DataError: some images have a group, so that the split could separate the others from images they belong to.
    """
    grouped = (images["user_group"] != "").to_numpy()
    # A column that is empty throughout groups nothing.
    if grouped.any() and not grouped.all():
        without = images.loc[~grouped, "path"].tolist()
        problem = (
            f"{len(without)} images have no group although others have one: {listing(without)}. "
            "Give each image a group; an image on its own gets a name of its own"
        )
        raise DataError(unusable(name, [problem]))


def _file_problems(table: pd.DataFrame, known: Collection[str]) -> list[str]:
    twice = table.loc[table[FILE_NAME].duplicated(), FILE_NAME].unique()
    unknown = [path for path in table[FILE_NAME].unique() if path not in known]
    problems = [f"{len(twice)} files are listed more than once: {listing(twice)}"] if len(twice) else []
    if unknown:
        hint = Nearest(sorted(known)).hint(unknown[0])
        problems.append(
            f"{len(unknown)} files are not in the source: {listing(unknown)}{hint}. Correct or remove these rows"
        )
    return problems


def captured_times(table: pd.DataFrame, names: Columns, now: pd.Timestamp) -> "tuple[pd.Series[Any] | None, list[str]]":
    """The times of a table's rows in UTC, None without such a column; and messages on wrong values."""
    if names.captured_at is None:
        return None, []
    texts = table[names.captured_at]
    given = texts != ""
    # pandas reads "now" and "today", too, which would give other times at each run.
    numbers = texts.where(texts.str.match(r"\d"))
    times = pd.to_datetime(numbers, format="ISO8601", utc=True, errors="coerce")
    named = partial(_named, table, names.path, names.captured_at)
    problems = named(given & times.isna(), "are not ISO 8601 times", "write them as 2026-05-31T14:00:00+02:00")
    zoned, naive = (times.notna() & (texts.str.contains(_ZONED) == has_zone) for has_zone in (True, False))
    if zoned.any() and naive.any():
        problems += named(
            naive, "have no time zone although others have one", "add a time zone to all of them or to none"
        )
    problems += named(times > now, "are in the future", "correct them")
    return times, problems


def _named(table: pd.DataFrame, path: str, column: str, wrong: "pd.Series[Any]", what: str, way_out: str) -> list[str]:
    rows = table[wrong]
    items = (f"{one} ({value})" for one, value in zip(rows[path], rows[column], strict=True))
    return [f"{len(rows)} values of {column} {what}: {listing(items)}; {way_out}"] if len(rows) else []


def _taken(column: "pd.Series[Any]", rows: Sequence[int]) -> list[str]:
    values = column.to_list()
    return [values[row] if row >= 0 else "" for row in rows]


def _taken_times(times: "pd.Series[Any] | None", rows: Any, images: int) -> Any:
    if times is None:
        return pd.Series(pd.NaT, index=range(images), dtype="datetime64[us, UTC]").array
    return times.reset_index(drop=True).dt.as_unit("us").reindex(rows).array
