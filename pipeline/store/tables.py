"""Tables of other tools as columns of values: CSV, Parquet and JSON Lines."""

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError, listing

# What may stand between the cells of a CSV file, the usual one first.
DELIMITERS = (",", ";", "\t")
# A table is read whole: 2 GB are some 20,000,000 rows.
MAX_BYTES = 2_000_000_000
# Each column of a table of labels travels with every image, through all stages.
MAX_COLUMNS = 1_000
# Of the columns that are read. Equal cells of a Parquet file, and missing keys of JSON lines, take no bytes there.
MAX_CELLS = 50_000_000


def read_csv(
    data: bytes, name: str, needed: Collection[str] | None = None, max_rows: int | None = None
) -> dict[str, list[Any]]:
    """Columns of texts; of columns that are not needed, the names alone.

    Commas stand between the cells; semicolons or tabs where they do in the first line, as spreadsheet programs write
    them in many countries. What is no UTF-8 stays as surrogates: a file's name may be any bytes.
    """
    if data.startswith(b"PK\x03\x04"):
        raise DataError(f"{name} is a workbook or an archive, not a CSV file: save the sheet as CSV in UTF-8")
    with _damage(name, ".csv"):
        text = data.decode("utf-8-sig", "surrogateescape")
    lines = csv_lines(*_delimited(text, name))
    if not lines:
        raise DataError(f"{name} is empty: its first line must name the columns")
    names, rows = [cell.strip() for cell in lines[0]], lines[1:]
    if any("\0" in cell for cell in names):
        raise DataError(f"{name} is not UTF-8 but perhaps UTF-16: save it as UTF-8")
    check_names(names, name)
    uneven = [number for number, row in enumerate(rows, 1) if len(row) != len(names)]
    if uneven:
        raise DataError(
            f"{name} is damaged: {len(uneven)} rows ({listing(uneven)}) do not have {len(names)} cells, one per "
            f"column; put values with commas or semicolons in quotes"
        )
    check_size(names, len(rows), name, needed, max_rows)
    wanted = [needed is None or name in needed for name in names]
    return {name: [row[column] for row in rows] if wanted[column] else [] for column, name in enumerate(names)}


def _delimited(text: str, name: str) -> tuple[str, str, str]:
    """The text, the table's name, and what stands between its cells: by the first line, which names the columns."""
    head, _, rest = text.lstrip("\r\n").partition("\n")
    # Excel may write its delimiter into a first line of its own.
    told = head.strip().strip('"')
    if len(told) == 5 and told.lower().startswith("sep="):
        return rest, name, told[4]
    for delimiter in DELIMITERS:
        with suppress(DataError):
            if any(len(line) > 1 for line in csv_lines(head, name, delimiter)):
                return text, name, delimiter
    return text, name, DELIMITERS[0]


def csv_lines(text: str, name: str, delimiter: str) -> list[list[str]]:
    """The cells of each line that is not empty."""
    with _damage(name, ".csv"):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [line for line in reader if line]


def read_jsonl(
    data: bytes, name: str, needed: Collection[str] | None = None, max_rows: int | None = None
) -> dict[str, list[Any]]:
    """Columns of values, None where an object lacks a key; of columns that are not needed, the names alone."""
    rows: list[dict[str, Any]] = []
    broken: list[int] = []
    for number, text in enumerate(data.decode("utf-8-sig", "surrogateescape").split("\n"), 1):
        try:
            row = json.loads(text) if text.strip() else None
        except (ValueError, RecursionError):
            row = text
        if isinstance(row, dict):
            rows.append(row)
        elif row is not None:
            broken.append(number)
    if broken:
        raise DataError(f"{name} is damaged: {len(broken)} lines ({listing(broken)}) are not JSON objects")
    names = dict.fromkeys(key for row in rows for key in row)
    check_size(list(names), len(rows), name, needed, max_rows)
    return {key: [row.get(key) for row in rows] if needed is None or key in needed else [] for key in names}


def read_parquet(
    data: bytes, name: str, needed: Collection[str] | None = None, max_rows: int | None = None
) -> dict[str, list[Any]]:
    """Columns of values; of columns that are not needed, the names alone."""
    with _damage(name, ".parquet"):
        file = pq.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
        check_names(names, name)
        check_size(names, file.metadata.num_rows, name, needed, max_rows)
        return lists(file.read(), needed)


def lists(table: pa.Table, needed: Collection[str] | None = None) -> dict[str, list[Any]]:
    """The values of the columns needed, None for all; the names of others."""
    table.validate(full=True)
    values = {name: table.column(number) for number, name in enumerate(table.column_names)}
    return {name: _values(column) if needed is None or name in needed else [] for name, column in values.items()}


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        values: list[Any] = column.to_pylist()
        return values
    # One text for all equal cells of a chunk.
    texts: list[Any] = []
    for chunk in column.chunks:
        encoded = chunk.dictionary_encode()
        known = encoded.dictionary.to_pylist()
        none = len(known)
        texts += map([*known, None].__getitem__, encoded.indices.fill_null(none).to_numpy())
    return texts


READERS = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}


def check_names(names: Sequence[str], table: str) -> None:
    """Refuse two columns of one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{table} has several columns named {listing(map(repr, twice))}: keep or rename one of each")


def check_size(
    names: Sequence[str], rows: int, table: str, needed: Collection[str] | None, max_rows: int | None = None
) -> None:
    """Raise DataError for a table that would take far more time and memory than its size suggests.

    Args:
        needed: the columns that are read, None for all.
        max_rows: None for any number.
    """
    if max_rows is not None and rows > max_rows:
        raise DataError(
            f"{table} has {rows:,} rows, and at most {max_rows:,} are allowed: each row describes one file of the "
            f"source. Remove rows that name no file or a file that another row names"
        )
    width = len(names) if needed is None else sum(name in needed for name in names)
    if needed is None and width > MAX_COLUMNS:
        raise DataError(
            f"{table} has {width:,} columns, and at most {MAX_COLUMNS:,} are allowed: {listing(names, 3)}. Every "
            f"image keeps all of them: remove those that you do not need, and use the same names in every line"
        )
    if width * rows > MAX_CELLS:
        raise DataError(
            f"{table} has {rows:,} rows of {width:,} columns, {width * rows:,} cells, and at most {MAX_CELLS:,} are "
            "allowed: remove columns and rows that you do not need"
        )


@contextmanager
def _damage(name: str, kind: str) -> Iterator[None]:
    try:
        yield
    # Arrow says of some damage to bytes in memory that it is the disk's.
    except (csv.Error, pa.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{name} is damaged or not a {kind} file: {error}") from error
