"""What a source's metadata.csv says of its images: group, time of capture, and whatever else.

The file's form is that of Hugging Face's ImageFolder: a column `file_name` with paths inside the source.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from pipeline.core.manifest import FURTHER
from pipeline.errors import DataError, listing

FILE_NAME, GROUP, CAPTURED_AT = "file_name", "group", "captured_at"
# A time of day with a zone at its end: Z, +02:00, -0530, +02.
_ZONED = re.compile(r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$")


def attach_metadata(
    images: pd.DataFrame, table: pd.DataFrame | None, known: Collection[str], now: pd.Timestamp, name: str
) -> pd.DataFrame:
    """The images with the columns user_group, captured_at and meta_*.

    Args:
        images: with `path`, in any order.
        table: all text; None if the source has no metadata.csv.
        known: paths of all files of the source, those that were refused among them.
        now: later times are errors.
        name: of the file, for messages.

    Raises:
        DataError: with every broken rule, and the rows.
    """
    if table is None:
        return images.assign(user_group="", captured_at=_taken_times(None, [], len(images)))
    _check_columns(table, name)
    times, problems = _times(table, now)
    problems = [*_file_problems(table, known), *_group_problems(images, table), *problems]
    if problems:
        raise DataError(f"{name} cannot be used:\n  " + "\n  ".join(problems))
    rows = pd.Index(table[FILE_NAME]).get_indexer(pd.Index(images["path"]))
    further = [column for column in table.columns if column not in (FILE_NAME, GROUP, CAPTURED_AT)]
    values = {f"{FURTHER}{column}": _taken(table[column], rows) for column in further}
    groups = _taken(table[GROUP], rows) if GROUP in table.columns else ""
    return images.assign(user_group=groups, captured_at=_taken_times(times, rows, len(images)), **values)


def _check_columns(table: pd.DataFrame, name: str) -> None:
    if FILE_NAME not in table.columns:
        near = difflib.get_close_matches(FILE_NAME, [str(column) for column in table.columns], n=1)
        hint = f", is it {near[0]!r}?" if near else "."
        raise DataError(
            f"{name} has no column {FILE_NAME!r} with the paths of the images{hint} It has {listing(table.columns, 20)}"
        )
    # pandas takes the first column for an index where rows have one cell more than the header.
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{name} has rows with more cells than the header has columns, the first starting with "
            f"{table.index[0]!r}: a comma too many at their ends, or text with commas that is not in quotes?"
        )


def _file_problems(table: pd.DataFrame, known: Collection[str]) -> list[str]:
    twice = table.loc[table[FILE_NAME].duplicated(), FILE_NAME].unique()
    unknown = [path for path in table[FILE_NAME].unique() if path not in known]
    problems = [f"{len(twice)} files stand more than once: {listing(twice)}"] if len(twice) else []
    if unknown:
        problems.append(f"{len(unknown)} files are not in the source: {listing(unknown)}. Correct or remove these rows")
    return problems


def _group_problems(images: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    if GROUP not in table.columns:
        return []
    grouped = set(table.loc[table[GROUP] != "", FILE_NAME])
    without = [path for path in images["path"] if path not in grouped]
    # A column that is empty throughout groups nothing.
    if not grouped or not without:
        return []
    return [
        f"{len(without)} images have no group although others have one: {listing(without)}. "
        "Give each a group, a name of its own if it is alone"
    ]


def _times(table: pd.DataFrame, now: pd.Timestamp) -> "tuple[pd.Series[Any] | None, list[str]]":
    if CAPTURED_AT not in table.columns:
        return None, []
    texts = table[CAPTURED_AT]
    given = texts != ""
    # pandas reads "now" and "today", too, which would give other times at each run.
    numbers = texts.where(texts.str.match(r"\d"))
    times = pd.to_datetime(numbers, format="ISO8601", utc=True, errors="coerce")
    problems = _named(table, given & times.isna(), "are no ISO 8601 times", "write them as 2026-05-31T14:00:00+02:00")
    zoned, naive = (times.notna() & (texts.str.contains(_ZONED) == has_zone) for has_zone in (True, False))
    if zoned.any() and naive.any():
        problems += _named(table, naive, "have no time zone although others have one", "add it to all or none")
    problems += _named(table, times > now, "lie in the future", "correct them")
    return times, problems


def _named(table: pd.DataFrame, wrong: "pd.Series[Any]", what: str, way_out: str) -> list[str]:
    rows = table[wrong]
    items = [f"{row[FILE_NAME]} ({row[CAPTURED_AT]})" for _, row in rows.head(5).iterrows()]
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return [f"{len(rows)} values of {CAPTURED_AT} {what}: {', '.join(items)}{more}; {way_out}"] if len(rows) else []


def _taken(column: "pd.Series[Any]", rows: Sequence[int]) -> list[str]:
    values = column.to_list()
    return [values[row] if row >= 0 else "" for row in rows]


def _taken_times(times: "pd.Series[Any] | None", rows: Any, images: int) -> Any:
    if times is None:
        return pd.Series(pd.NaT, index=range(images), dtype="datetime64[us, UTC]").array
    return times.dt.as_unit("us").reindex(rows).array
