"""Shards: Arrow files of encoded images, each named by a digest of all that shaped it.

A file with the right name is already right. So a stage builds the shards that are missing and
drops the stale ones, and from this follow incremental runs, resuming after a kill, parallel work
without coordination, and the same bytes for any number of workers. A missing shard takes over
each row that an older shard holds under the same key, so that ten new files among a thousand cost
ten decodings.
"""

import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError, MissingInputError
from pipeline.files.arrow import open_arrow, write_arrow
from pipeline.files.storage import partial_path, put_in_place, refusals, remove
from pipeline.processes.engine import Engine
from pipeline.processes.serving import Guard

# Rows a shard holds on average and at most. Part of the format: another value gives other files.
MEAN_ROWS = 128
MOST_ROWS = 512
# With fewer shards to be made, workers would end at different times: what is new is made in slices first, shards of
# their own, whose rows the shards then take over. After a kill they count like any older shard.
SHARDS_A_WORKER = 8
SLICES_A_WORKER = 8
# Rows, each of some hundredths of a second, in the second or two in which processes start.
FEW_ROWS = 50


@dataclass(frozen=True)
class Row:
    """A row to be: `place` (its lasting name) sets chunk boundaries, `key` names all that shapes it."""

    place: str
    key: str
    payload: Any


Make = Callable[[Any], Mapping[str, Any]]


def digest(*parts: str) -> str:
    """32 hex digits that stand for the parts and their boundaries."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def fingerprint(modules: Sequence[ModuleType], libraries: Sequence[str], params: Mapping[str, Any]) -> str:
    """A digest of code, library versions and params: what shapes pixels beside the input files."""
    sources = [inspect.getsource(module) for module in modules]
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in libraries]
    return digest(*sources, *versions, json.dumps(params, sort_keys=True))


class ShardStore:
    """The shards in one folder, for the stage that owns it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def build(
        self,
        rows: Sequence[Row],
        make: Make | Guard,
        schema: pa.Schema,
        engine: Engine,
        title: str,
        few: int = FEW_ROWS,
    ) -> pa.Table:
        """Make the rows that no shard holds yet, and say where each row lies.

        Args:
            rows: in their final order; keys are unique.
            make: picklable; a row's payload to its columns, those of `schema`. A guard of such a function
                keeps what a payload does to its process from the run; it needs a process at any rate.
            schema: names and types of the columns, `image` (binary, nullable) among them.
            few: so many rows are made sooner than worker processes start.

        Returns:
            In order, `key`, the columns of all rows but `image`, and `shard` (string), `row` (int32).
        """
        chunks = {_name(chunk): chunk for chunk in _chunks(rows)}
        full = pa.schema([pa.field("key", pa.string()), *schema])
        found = {name: self._open_if_whole(name, full) for name in self._names()}
        missing = [name for name in chunks if found.get(name) is None]
        old = _index(found, [row.key for name in missing for row in chunks[name]])
        tasks = [_task(self._path(name), chunks[name], old) for name in missing]
        with refusals(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        new = sum(task.new for task in tasks)
        chosen = Engine(1) if new <= few else engine
        if chosen.workers > 1 and len(tasks) < SHARDS_A_WORKER * chosen.workers:
            most = max(1, new // (SLICES_A_WORKER * chosen.workers))
            slices = [_Task(self._path(_name(part)), part, {}) for task in tasks for part in _cut(task.made, most)]
            _make_all(slices, make, full, chosen, title)
            made = {part.path.stem: self._open(part.path.stem) for part in slices}
            old |= _index(made, [row.key for part in slices for row in part.rows])
            tasks = [_task(task.path, task.rows, old) for task in tasks]
        _make_all(tasks, make, full, chosen, title)
        self._used.update(chunks)
        columns = [name for name in full.names if name != "image"]
        tables = [_located(self._open(name).select(columns), name) for name in chunks]
        return pa.concat_tables(tables) if tables else _located(full.empty_table().select(columns), "")

    def drop_stale(self) -> None:
        """Remove every shard that this run did not ask for, and what a killed run left half-written."""
        for path in self.folder.glob("*.arrow"):
            if path.stem not in self._used:
                remove(path)
        for path in self.folder.glob(".*.partial"):
            remove(path)

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.arrow"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.arrow"

    def _open(self, name: str) -> pa.Table:
        return open_arrow(self._path(name))

    def _open_if_whole(self, name: str, schema: pa.Schema) -> pa.Table | None:
        try:
            table = self._open(name)
        except DataError:
            return None  # damaged from outside: it is built again
        return table if table.schema.equals(schema) else None


class ShardReader:
    """Encoded images by (shard, row), through memory maps that are opened at first use.

    It travels to other processes as the folders it looks in.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self._paths: dict[str, Path] | None = None
        self._images: dict[str, pa.BinaryArray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardReader, self.folders

    def image(self, shard: str, row: int) -> bytes:
        """The encoded image that a manifest row points at.

        Raises:
            MissingInputError: there is no such shard.
            DataError: it is damaged, or shorter than the row number.
        """
        images = self._images.get(shard)
        if images is None:
            images = self._images[shard] = open_arrow(self._find(shard))["image"].chunk(0)
        if not 0 <= row < len(images):
            raise DataError(f"shard {shard} has {len(images)} rows, no row {row}: run `dvc repro`")
        data: bytes = images[row].as_py()
        return data

    def _find(self, shard: str) -> Path:
        if self._paths is None:
            self._paths = {path.stem: path for folder in self.folders for path in folder.rglob("*.arrow")}
        try:
            return self._paths[shard]
        except KeyError:
            places = " or ".join(map(str, self.folders))
            raise MissingInputError(f"shard {shard} is not under {places}: run `dvc repro`") from None


@dataclass(frozen=True)
class _Task:
    path: Path
    rows: Sequence[Row]
    reuse: Mapping[str, tuple[str, int]]

    @property
    def new(self) -> int:
        """Rows to be made."""
        return len(self.rows) - len(self.reuse)

    @property
    def made(self) -> list[Row]:
        """The rows to be made."""
        return [row for row in self.rows if row.key not in self.reuse]

    @property
    def payloads(self) -> list[Any]:
        """Those of the rows to be made."""
        return [row.payload for row in self.made]


def _task(path: Path, rows: Sequence[Row], old: Mapping[str, tuple[str, int]]) -> _Task:
    return _Task(path, rows, {row.key: old[row.key] for row in rows if row.key in old})


def _cut(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    """Parts of at most so many rows."""
    return (rows[start : start + most] for start in range(0, len(rows), most))


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Consecutive rows; a row starts a chunk when the hash of its place says so.

    A new row can thus split or lengthen the chunk that it falls in and no other.
    """
    chunk: list[Row] = []
    for row in rows:
        head = int.from_bytes(hashlib.sha256(row.place.encode()).digest()[:4], "big")
        if chunk and (head % MEAN_ROWS == 0 or len(chunk) == MOST_ROWS):
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _name(chunk: Sequence[Row]) -> str:
    return digest(*(row.key for row in chunk))


def _index(tables: Mapping[str, pa.Table | None], wanted: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Where each of the keys lies that a table holds: its name and the row."""
    whole = {name: table["key"] for name, table in tables.items() if table is not None}
    if not whole:
        return {}
    keys = pa.chunked_array([chunk for column in whole.values() for chunk in column.chunks], pa.string())
    hits = np.flatnonzero(pc.is_in(keys, value_set=pa.array(wanted, pa.string())).to_numpy())
    names, ends = list(whole), np.cumsum([len(column) for column in whole.values()])
    tables_of_hits = np.searchsorted(ends, hits, side="right")
    rows = hits - (ends - [len(column) for column in whole.values()])[tables_of_hits]
    places = [(names[table], row) for table, row in zip(tables_of_hits.tolist(), rows.tolist(), strict=True)]
    return dict(zip(keys.take(pa.array(hits)).to_pylist(), places, strict=True))


def _make_all(tasks: Sequence[_Task], make: Make | Guard, schema: pa.Schema, engine: Engine, title: str) -> None:
    # The largest first, so that workers end at about the same time.
    jobs = sorted(tasks, key=lambda task: task.new, reverse=True) if engine.workers > 1 else tasks
    if isinstance(make, Guard):
        write = partial(_write_shard, schema=schema)
        engine.map_guarded(write, jobs, lambda task: task.payloads, make, title, size=lambda task: len(task.rows))
    else:
        write = partial(_make_and_write, make=make, schema=schema)
        engine.map(write, jobs, title, size=lambda task: len(task.rows))


def _make_and_write(task: _Task, make: Make, schema: pa.Schema) -> None:
    _write_shard(task, map(make, task.payloads), schema)


def _write_shard(task: _Task, made: Iterator[Mapping[str, Any]], schema: pa.Schema) -> None:
    table = pa.concat_tables(_parts(task, made, schema)) if task.rows else schema.empty_table()
    partial_file = partial_path(task.path)
    try:
        write_arrow(table, partial_file)
    except BaseException:
        remove(partial_file)  # on a full disk even a half shard is in the way
        raise
    put_in_place(partial_file, task.path)


def _parts(task: _Task, made: Iterator[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in order: those of older shards as they lie there, without a look at each; new ones made."""
    old: dict[str, pa.Table] = {}
    runs = groupby(enumerate(task.rows), key=lambda item: _run(item[0], task.reuse.get(item[1].key)))
    for (name, _), run in runs:
        rows = [row for _, row in run]
        if not name:
            yield pa.Table.from_pylist([{"key": row.key, **next(made)} for row in rows], schema=schema)
            continue
        if name not in old:
            old[name] = open_arrow(task.path.with_name(f"{name}.arrow"))
        yield old[name].slice(task.reuse[rows[0].key][1], len(rows))


def _run(number: int, place: tuple[str, int] | None) -> tuple[str, int]:
    """The same for rows that follow each other in one older shard, and for rows that are new."""
    return ("", 0) if place is None else (place[0], place[1] - number)


def _located(table: pa.Table, shard: str) -> pa.Table:
    table = table.append_column("shard", pa.array([shard] * len(table), pa.string()))
    return table.append_column("row", pa.array(range(len(table)), pa.int32()))
