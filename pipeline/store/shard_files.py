"""The files of shards: their paths, how their rows are written, and when they get their names."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from pipeline.store.arrow import open_arrow, write_unflushed
from pipeline.store.shard_plan import Place, Task
from pipeline.store.writing import flush, partial_path, put_in_place, remove
from pipeline.workers.cluster.node import WRITER_VARIABLE

Make = Callable[[Any], Mapping[str, Any]]


@runtime_checkable
class MakesMany(Protocol):
    """Makes several rows at once, which is faster; a row must not depend on the others."""

    def many(self, payloads: Sequence[Any]) -> Iterator[Mapping[str, Any]]: ...


def make_and_write(task: Task, make: Make | MakesMany, folder: Path, schema: pa.Schema) -> str:
    """Write the shard of a task, its new rows made of their payloads; returns the name it has until it is finished."""
    made = make.many(task.payloads) if isinstance(make, MakesMany) else map(make, task.payloads)
    return write_shard(task, made, folder, schema)


def write_shard(task: Task, made: Iterator[Mapping[str, Any]], folder: Path, schema: pa.Schema) -> str:
    """The same of new rows that are made already."""
    # With a part that is empty, so that a single other one is copied, too: of a slice Arrow writes some of what lies
    # behind it, and the bytes of a shard must not depend on where its rows were.
    table = pa.concat_tables([*_parts(task, made, folder, schema), schema.empty_table()])
    partial_file = partial_path(path_of(folder, f"{task.name}{writer()}"))
    with _gone_if_it_fails(partial_file):
        write_unflushed(table, partial_file)
    return partial_file.name


class Finisher(AbstractContextManager["Finisher"]):
    """Gives written shards their names, once they are on the disk, while others are being made.

    To wait for the disk took 4 % of the time that a worker makes variants in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Neither has a lock in Python, which Ctrl-C in the wrong moment would leave locked.
        self._written: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._errors: deque[Exception] = deque()
        # A daemon: Ctrl-C before the `with` block begins must not leave a thread that the process waits for.
        self._thread = Thread(target=self._finish_all, daemon=True)
        self._thread.start()

    def take(self, task: Task, written: str) -> None:
        """Begin to finish a shard that is written under a temporary name; raise what went wrong with an earlier one."""
        self._written.put((task.name, written))
        if self._errors:
            raise self._errors[0]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Of a run that failed, too: what is whole is kept.
        self._written.put(None)
        self._thread.join()
        if kind is None and self._errors:
            raise self._errors[0]

    def _finish_all(self) -> None:
        for name, written in iter(self._written.get, None):
            path, partial_file = path_of(self._folder, name), self._folder / written
            try:
                with _gone_if_it_fails(partial_file):
                    flush(partial_file)
                    put_in_place(partial_file, path)
            except Exception as error:  # noqa: BLE001 - raised where the run waits
                self._errors.append(error)


@contextmanager
def _gone_if_it_fails(partial_file: Path) -> Iterator[None]:
    """On a full disk even a half shard is in the way."""
    try:
        yield
    except BaseException:
        remove(partial_file)
        raise


def _parts(task: Task, made: Iterator[Mapping[str, Any]], folder: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in order: those of older shards as they lie there, without a look at each; new ones made."""
    old: dict[str, pa.Table] = {}
    runs = groupby(enumerate(task.rows), key=lambda item: _run(item[0], task.reuse.get(item[1].key)))
    for (name, _), run in runs:
        rows = [row for _, row in run]
        if not name:
            yield pa.Table.from_pylist([{"key": row.key, **next(made)} for row in rows], schema=schema)
            continue
        if name not in old:
            old[name] = open_arrow(path_of(folder, name))
        yield old[name].slice(task.reuse[rows[0].key].row, len(rows))


def writer() -> str:
    """What tells the half-written files of this process from those of others; empty but on a node of a cluster.

    There two may write one shard: a slow node, or one that was given up too early, and the one that took over.
    """
    return os.environ.get(WRITER_VARIABLE, "")


def path_of(folder: Path, name: str) -> Path:
    """The path of a shard."""
    return folder / f"{name}.arrow"


def _run(number: int, place: Place | None) -> tuple[str, int]:
    """The same for rows that follow each other in one older shard, and for rows that are new."""
    return ("", 0) if place is None else (place.shard, place.row - number)
