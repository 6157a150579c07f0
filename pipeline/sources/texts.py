"""Read users' tables as frames of texts, with values as a person would type them."""

import json
import math
import re
from collections.abc import Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.names import is_utf8, shown
from pipeline.store.tables import READERS

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Of a wide table, that a message names.
MAX_PROBLEMS = 20
# From here on floats are not all whole numbers: one of a person's may have become another (IEEE 754).
EXACT = 2**53


def read_texts(data: bytes, name: str, single: Collection[str], max_rows: int | None = None) -> pd.DataFrame:
    """Read columns into a frame of texts, "" for empty cells; rows without any text are left out.

    Args:
        single: columns that must have a value a cell; in others lists and objects are taken as JSON.
        max_rows: more of them are an error; None for any number.

    Raises:
        DataError: it is damaged, not UTF-8, too long or too wide, or has values that are no texts, numbers or times.
    """
    columns = READERS[f".{name.rpartition('.')[2].lower()}"](data, name, max_rows=max_rows)
    problems = _name_problems(columns, name)
    texts: dict[str, list[str]] = {}
    for column, values in columns.items():
        cells = [_text(value, column in single) for value in values]
        texts[column] = [cell or "" for cell in cells]
        for wrong, what in (
            ([row for row, cell in enumerate(cells, 1) if cell is None], "not a text, number or time"),
            ([row for row, cell in enumerate(texts[column], 1) if not is_utf8(cell)], "not UTF-8"),
        ):
            if wrong:
                problems.append(f"{name}: {shown(column)} is {what} in {len(wrong)} rows: {listing(wrong)}")
    if problems:
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] * (len(problems) > MAX_PROBLEMS)
        raise DataError(
            "\n  ".join([*problems[:MAX_PROBLEMS], *more])
            + "\nSave the table as UTF-8 (in Excel: CSV UTF-8), with one value per cell"
        )
    frame = pd.DataFrame(texts, dtype="str")
    return frame[(frame != "").any(axis=1)].reset_index(drop=True) if len(frame) else frame


def _name_problems(columns: Iterable[str], name: str) -> list[str]:
    """A sentence for each kind of column name that is no text."""
    wrong = [column for column in columns if not is_utf8(column)]
    steering = [column for column in columns if is_utf8(column) and _CONTROL.search(column)]
    problems = []
    if wrong:
        read = [_as_windows(column) for column in wrong]
        as_words = f", as Windows-1252 {listing(map(repr, read))}" if all(read) else ""
        problems.append(f"{name}: column names are not UTF-8: {listing(wrong)}{as_words}")
    if steering:
        problems.append(f"{name}: column names have control characters: {listing(steering)}")
    return problems


def _as_windows(column: str) -> str:
    """What bytes that are no UTF-8 mean in Windows-1252; "" if they are no text there, or were never bytes."""
    try:
        return column.encode(errors="surrogateescape").decode("cp1252")
    except UnicodeError:
        return ""


def _text(value: Any, single: bool) -> str | None:
    """A cell as text; None for what is none, or must be a single value and is not."""
    match value:
        case None:
            text = ""
        case bool():
            text = str(value).lower()
        case float() if abs(value) >= EXACT and not math.isinf(value):
            text = f"{value:.16e}"
        case float():
            # A column of whole numbers with gaps becomes one of floats.
            text = "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
        case str() | int() | Decimal():
            text = str(value)
        case datetime() | date():
            text = value.isoformat()
        case list() | dict() if not single:
            return _json(value)
        case _:
            return None
    return text


def _json(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:  # of a table that may have more kinds of values
        return None
