"""Shards: Arrow files of encoded images, each named by a digest of everything that shaped it.

A file with the right name is already right, once its checksum agrees. So a stage builds the shards that are missing and
drops the stale ones, and from this follow incremental runs, resuming after a kill, parallel work
without coordination, and the same bytes for any number of workers. A missing shard takes over
each row that an older shard holds under the same key, so that ten new files among a thousand cost
ten decodings.
"""

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import DataError, MissingInputError
from pipeline.store.arrow import open_arrow, open_verified
from pipeline.store.reading import maker
from pipeline.store.refusals import refusals
from pipeline.store.shard_files import Finisher, Make, make_and_write, path_of, write_shard
from pipeline.store.shard_plan import Chunk, Older, Row, Task, Tasks, chunks_of, digest, name_of
from pipeline.store.writing import remove, write_text
from pipeline.workers.engine import Engine, Files
from pipeline.workers.serving import Guard

# With fewer shards to be made, workers would end at different times: what is new is made in slices first, shards of
# their own, whose rows the shards then take over. After a kill they count like any older shard.
SHARDS_A_WORKER = 8
SLICES_A_WORKER = 8
# Of a folder without shards: a file, and what it says.
NO_SHARDS, NO_SHARDS_TEXT = "empty.txt", "The last run needed no pictures or vectors here.\n"
# Rows, each of some hundredths of a second, in the second or two in which processes start.
MIN_ROWS_FOR_WORKERS = 50


def fingerprint(code: str, libraries: Sequence[str], params: Mapping[str, Any]) -> str:
    """A digest of code, library versions and params: what shapes pixels beside the input files.

    Args:
        code: the version of the functions that make a row, see versions/stages.py.
    """
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in libraries]
    return digest(code, *versions, json.dumps(params, sort_keys=True))


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
        min_rows_for_workers: int = MIN_ROWS_FOR_WORKERS,
    ) -> "Placed":
        """Make the rows that no shard holds yet, and say where each row is stored.

        Args:
            rows: in their final order; keys are unique. Of a sequence that makes them when asked, few are in memory.
            make: picklable; a row's payload to its columns, those of `schema`. A guard of such a function
                keeps what a payload does to its process from the run; it needs a process at any rate.
            schema: names and types of the columns, `image` (binary, nullable) among them.
            min_rows_for_workers: so many rows are made sooner than worker processes start.

        Returns:
            Where each row lies.
        """
        chunks = chunks_of(rows)
        full = pa.schema([pa.field("key", pa.string()), *schema])
        lengths = {chunk.name: chunk.stop - chunk.start for chunk in chunks}
        self._used.update(lengths)
        whole, older = set[str](), dict[str, pa.ChunkedArray]()
        for name in self._names():
            table = self._open_if_whole(name, full)
            if table is not None and lengths.get(name) == len(table):
                whole.add(name)
            elif table is not None and name not in lengths:
                older[name] = _copied(table["key"])
        tasks = Tasks(rows, [chunk for chunk in chunks if chunk.name not in whole], Older(older))
        with refusals(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        chosen = Engine(1) if tasks.new <= min_rows_for_workers else engine
        if chosen.slots > 1 and len(tasks) < SHARDS_A_WORKER * chosen.slots:
            most = max(1, tasks.new // (SLICES_A_WORKER * chosen.slots))
            slices = [Task(name_of(part), part, {}) for task in tasks for part in _cut(task.made, most)]
            self._make_all(slices, make, full, chosen, title, tasks.new)
            older |= {part.name: _copied(self._open(part.name)["key"]) for part in slices}
            tasks = Tasks(rows, [chunk for chunk in chunks if chunk.name not in whole], Older(older))
        self._make_all(tasks.largest_first() if chosen.slots > 1 else tasks, make, full, chosen, title, tasks.rows)
        return Placed(self.folder, chunks, full)

    def drop_stale(self) -> None:
        """Remove every shard that this run did not ask for, and what a killed run left half-written.

        A folder without shards gets a file: DVC warns about empty folders whenever it looks at them.
        """
        for path in self.folder.glob("*.arrow"):
            if path.stem not in self._used:
                remove(path)
        for path in self.folder.glob(".*.partial"):
            remove(path)
        if self._used:
            remove(self.folder / NO_SHARDS)
        elif self.folder.is_dir():
            write_text(NO_SHARDS_TEXT, self.folder / NO_SHARDS)

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.arrow"))

    def _make_all(
        self, tasks: Sequence[Task], make: Make | Guard, schema: pa.Schema, engine: Engine, title: str, rows: int
    ) -> None:
        common = {"folder": self.folder, "schema": schema}
        with Finisher(self.folder) as finisher:
            told: dict[str, Any] = {"size": lambda task: len(task.rows), "total": rows}
            told["files"] = Files(
                lambda task: [path_of(self.folder, name) for name in sorted(task.shards)], finisher.take
            )
            if isinstance(make, Guard):
                write = partial(write_shard, **common)
                engine.map_guarded(write, tasks, lambda task: task.payloads, make, title, **told)
            else:
                engine.map(partial(make_and_write, make=make, **common), tasks, title, **told)

    def _open(self, name: str) -> pa.Table:
        return open_arrow(path_of(self.folder, name))

    def _open_if_whole(self, name: str, schema: pa.Schema) -> pa.Table | None:
        try:
            table = self._open(name)
        except DataError:
            return None  # damaged from outside: it is built again
        return table if table.schema.equals(schema) else None


@dataclass(frozen=True)
class Placed:
    """Where rows lie in a folder's shards: chunk by chunk, in order."""

    folder: Path
    chunks: Sequence[Chunk]
    schema: pa.Schema

    def tables(self, *columns: str) -> Iterator[pa.Table]:
        """Of each shard these columns, `image` only by name; each table's file is open while the table is there.

        With `shard` (string) and `row` (int32), which say where a row lies.
        """
        for chunk in self.chunks:
            table = open_verified(path_of(self.folder, chunk.name)).select(columns)
            yield _located(table, chunk.name)

    def table(self) -> pa.Table:
        """All rows: their columns but `image`, `shard` and `row`."""
        columns = [name for name in self.schema.names if name != "image"]
        found = [*self.tables(*columns)]
        return pa.concat_tables(found) if found else _located(self.schema.empty_table().select(columns), "")


class ShardReader:
    """Encoded images by (shard, row), through memory maps that are opened, and their checksums verified, at first use.

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
            DataError: it is damaged, not a shard, or has fewer rows.
        """
        images = self._images.get(shard)
        if images is None:
            images = self._images[shard] = _images(self._find(shard))
        if not 0 <= row < len(images):
            raise DataError(f"shard {shard} has {len(images)} rows and no row {row}: run `dvc repro`")
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


def _images(path: Path) -> pa.BinaryArray:
    table = open_arrow(path)
    if "image" not in table.schema.names or table.schema.field("image").type != pa.binary():
        raise DataError(f"{path} is not a shard: it has no column of images. Remove it and run `{maker(path)}`")
    column = table["image"]
    # In one piece as it was written: what is put together lies in this process's own memory.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _cut(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    """Parts of at most so many rows."""
    return (rows[start : start + most] for start in range(0, len(rows), most))


def _copied(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same, and its file need not stay open."""
    return column.take(pa.array(range(len(column))))


def _located(table: pa.Table, shard: str) -> pa.Table:
    table = table.append_column("shard", pa.array([shard] * len(table), pa.string()))
    return table.append_column("row", pa.array(range(len(table)), pa.int32()))
