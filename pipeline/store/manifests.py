"""Manifests as Arrow IPC files: whole frames, rows taken of a table, or streams of which a part is in memory.

Their dictionary columns have sorted categories that are all in use, so that a file's bytes depend on its rows alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.errors import DataError, MissingInputError
from pipeline.store.arrow import open_arrow, write_parts
from pipeline.store.artifacts import Artifact
from pipeline.store.categories import tidy
from pipeline.store.reading import check_regular, maker
from pipeline.store.row_parts import RowParts

# Rows of a record batch of what is written in parts. Part of the format: another value gives other files.
PART = 100_000

CATEGORY = pa.dictionary(pa.int32(), pa.string())


def manifest(
    path: str, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None = None, kind: pa.DataType = CATEGORY
) -> Artifact:
    """An artifact: a data frame with the columns of `schema`, in an Arrow IPC file.

    Columns whose name starts with `further` travel as well, as this kind.

    Dictionary columns come back as categoricals whose categories are sorted and all in use, so that
    the bytes of a file depend on its rows alone.
    """

    def read(place: Path) -> pd.DataFrame:
        rows = RowParts.in_file(place)
        _check_columns(rows.schema, place, schema, extra_columns)
        # Each column is let go as soon as pandas has it: the table and the frame never lie in memory side by side.
        table = rows.select(rows.schema.names)
        frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
        return frame

    def write(frame: pd.DataFrame, place: Path) -> None:
        whole = _with_extra_columns(schema, frame.columns, extra_columns, kind)
        write_parts(_parts_of(frame, whole), whole, place)

    return Artifact(path, read, write)


@dataclass(frozen=True)
class TableSlice:
    """Rows of a table, and columns of their own beside them, put together in parts when they are written.

    Copying into fresh memory costs ten times as much as into memory that was used before.
    """

    table: pa.Table | RowParts
    rows: npt.NDArray[np.intp]
    beside: Mapping[str, pa.Array]

    @property
    def source(self) -> RowParts:
        """The table, to be read in parts."""
        return self.table if isinstance(self.table, RowParts) else RowParts.of(self.table)

    def part(self, start: int, stop: int) -> pa.Table:
        """The rows from one position to another."""
        return next(self.parts([(start, stop)]))

    def parts(self, bounds: Sequence[tuple[int, int]]) -> Iterator[pa.Table]:
        """The rows from some positions to others, a table for each pair."""
        turns = [self.rows[start:stop] for start, stop in bounds]
        for (start, stop), part in zip(bounds, self.source.in_turn(turns), strict=True):
            whole = part
            for name, values in self.beside.items():
                whole = whole.append_column(name, values[start:stop])
            yield whole


@dataclass(frozen=True)
class TableStream:
    """Rows that stay where they are until they are written, and columns of their own beside them.

    tables: gives all rows in order, in tables of any size; each is asked for when the one before is done with.
    beside: arrays of `length` rows.
    schema: of all columns.
    """

    tables: Callable[[], Iterator[pa.Table]]
    beside: Mapping[str, pa.Array]
    length: int
    schema: pa.Schema

    def __len__(self) -> int:
        return self.length

    def to_pandas(self) -> pd.DataFrame:
        """All rows."""
        frame: pd.DataFrame = pa.concat_tables(self.parts()).to_pandas()
        return frame

    def parts(self) -> Iterator[pa.Table]:
        """The rows in parts of PART, each column of a part in one piece; one empty part if there are none."""
        schema = self.schema
        for start, pieces in self._pieces([name for name in schema.names if name not in self.beside]):
            length = min(PART, self.length - start)
            # Piece by piece given back, because a part is there twice else.
            columns = {name: pa.chunked_array(pieces.pop(name), schema.field(name).type) for name in [*pieces]}
            whole = {name: columns.pop(name).combine_chunks() for name in [*columns]}
            # Taken, not cut out: Arrow would write some of what lies behind a slice, and the values under nulls.
            rows = pa.array(np.arange(start, start + length))
            whole |= {name: values.take(rows) for name, values in self.beside.items()}
            yield pa.Table.from_arrays([whole[name] for name in schema.names], schema=schema)

    def _pieces(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, list[pa.Array]]]]:
        """The first row of a part, and the arrays that make up each of its columns."""
        start, count = 0, 0
        pieces: dict[str, list[pa.Array]] = {name: [] for name in names}
        for table in self.tables():
            done = 0
            while done < len(table):
                taken = table.slice(done, PART - count)
                for name in names:
                    pieces[name] += taken[name].chunks
                count, done = count + len(taken), done + len(taken)
                if count == PART:
                    yield start, pieces
                    start, count, pieces = start + count, 0, {name: [] for name in names}
        if count or not start:
            yield start, pieces


def manifest_slice(path: str, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None = None) -> Artifact:
    """The same bytes as `manifest`; read as an Arrow table, written from the rows of a `TableSlice`.

    For a stage that looks at few columns and hands all on: half the time and memory.
    """

    def read(place: Path) -> pa.Table:
        return _open_manifest(place, schema, extra_columns)

    def write(taken: TableSlice, place: Path) -> None:
        _write_taken(taken, _with_extra_columns(schema, taken.table.schema.names, extra_columns), place)

    return Artifact(path, read, write)


def manifest_rows(path: str, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None = None) -> Artifact:
    """The same file, read as rows that stay on the disk; for a stage that hands on more rows than memory has room."""

    def read(place: Path) -> RowParts:
        found = RowParts.in_file(place)
        _check_columns(found.schema, place, schema, extra_columns)
        return found

    return Artifact(path, read, manifest_slice(path, schema, extra_columns).write)


def remembered(path: str, schema: pa.Schema) -> Artifact:
    """An artifact: a table that only saves time; if it is missing, damaged or of another version, it reads as empty."""
    whole = manifest(path, schema)

    def read(place: Path) -> pd.DataFrame:
        try:
            frame: pd.DataFrame = whole.read(place)
        except (MissingInputError, DataError):
            frame = schema.empty_table().to_pandas()
        return frame

    return Artifact(path, read, whole.write)


def lasting(path: str, schema: pa.Schema) -> Artifact:
    """An artifact: a table of what must stay as it is from run to run; missing or of another version, it is empty.

    Reading a damaged one is an error: a run that took it for empty would decide anew.
    """
    whole = manifest(path, schema)

    def read(place: Path) -> pd.DataFrame:
        check_regular(place)
        try:
            found = open_arrow(place) if place.exists() else schema.empty_table()
        except DataError as error:
            raise DataError(
                f"{place} is damaged. It keeps what earlier runs decided; without it, images could move to another "
                f"split. Remove it, then run `dvc checkout {place}`, which takes it from DVC's cache"
            ) from error
        frame: pd.DataFrame = (found if found.schema.equals(schema) else schema.empty_table()).to_pandas()
        return frame

    return Artifact(path, read, whole.write)


def manifest_stream(path: str, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None = None) -> Artifact:
    """The same bytes as `manifest`; read as a frame, written from a `TableStream`, a part of which is in memory."""

    def write(rows: TableStream, place: Path) -> None:
        write_parts(rows.parts(), rows.schema, place)

    return Artifact(path, manifest(path, schema, extra_columns).read, write)


def arrow_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as an Arrow table of exactly this schema, without pandas' own metadata."""
    columns = [_arrow_column(frame[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _parts_of(frame: pd.DataFrame, schema: pa.Schema) -> Iterator[pa.Table]:
    """The frame in parts of PART; one empty part if it has no rows."""
    # The values of all rows, which are sorted; other columns are converted a part at a time.
    named = {
        field.name: _arrow_column(frame[field.name], field.type)
        for field in schema
        if pa.types.is_dictionary(field.type)
    }
    for start in range(0, max(len(frame), 1), PART):
        part = frame.iloc[start : start + PART]
        columns = [
            named[field.name].slice(start, len(part))
            if field.name in named
            else _arrow_column(part[field.name], field.type)
            for field in schema
        ]
        # Taken, not cut out: Arrow would write some of what lies behind a slice, and the values under nulls.
        yield pa.Table.from_arrays(columns, schema=schema).take(pa.array(np.arange(len(part))))


def _write_taken(taken: TableSlice, schema: pa.Schema, place: Path) -> None:
    tidied = replace(taken, table=tidy(taken.source, taken.rows))
    # A manifest without rows is one empty part.
    bounds = [(start, min(start + PART, len(taken.rows))) for start in range(0, max(len(taken.rows), 1), PART)]
    write_parts((part.select(schema.names) for part in tidied.parts(bounds)), schema, place)


def _open_manifest(place: Path, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None) -> pa.Table:
    table = open_arrow(place)
    _check_columns(table.schema, place, schema, extra_columns)
    return table


def _check_columns(
    found: pa.Schema, place: Path, schema: pa.Schema, extra_columns: str | tuple[str, ...] | None
) -> None:
    if _without(found.names, extra_columns) != schema.names:
        raise DataError(
            f"{place} has the columns {found.names}, not {schema.names}: another version wrote it; run `{maker(place)}`"
        )
    if not pa.schema([found.field(name) for name in schema.names]).equals(schema):
        raise DataError(f"{place} has columns of other types: another version wrote it; run `{maker(place)}`")


def _with_extra_columns(
    schema: pa.Schema, names: Iterable[str], extra_columns: str | tuple[str, ...] | None, kind: pa.DataType = CATEGORY
) -> pa.Schema:
    extra = [name for name in names if extra_columns is not None and name.startswith(extra_columns)]
    # Columns of tables come in any order; probabilities in that of the model's classes.
    ordered = sorted(extra) if kind == CATEGORY else extra
    return pa.schema([*schema, *(pa.field(name, kind) for name in ordered)])


def _without(names: Sequence[str], extra_columns: str | tuple[str, ...] | None) -> list[str]:
    return [name for name in names if extra_columns is None or not name.startswith(extra_columns)]


def _arrow_column(column: "pd.Series[Any]", kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        values = column.astype("category").cat.remove_unused_categories()
        values = values.cat.reorder_categories(sorted(values.cat.categories))
        codes = pa.array(values.cat.codes.to_numpy(), type=kind.index_type)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.cat.categories.tolist(), type=kind.value_type))
    array = pa.array(column, type=kind, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
