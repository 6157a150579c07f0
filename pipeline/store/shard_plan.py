"""What shards are to hold: rows, the chunks that they are cut into, and where older shards have them.

Of a million rows most lie in Arrow or are made when they are asked for: a sequence of rows need not be a list.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Rows a shard holds on average and at most. Part of the format: another value gives other files.
MEAN_ROWS = 128
MAX_ROWS = 512
NOWHERE = -1


@dataclass(frozen=True)
class Row:
    """A planned row: `place`, its lasting name, sets chunk boundaries; `key` names all that shapes it."""

    place: str
    key: str
    payload: Any


class Chunk(NamedTuple):
    """The rows from one position to another; its name is that of the shard that holds them."""

    name: str
    start: int
    stop: int


class Place(NamedTuple):
    """Where an older shard has a row."""

    shard: str
    row: int


@dataclass(frozen=True)
class Task:
    """A shard to be written, by the name and place of its rows; `reuse`: key of a row -> where it lies already."""

    name: str
    rows: Sequence[Row]
    reuse: Mapping[str, Place]

    @property
    def made(self) -> list[Row]:
        """The rows to be made."""
        return [row for row in self.rows if row.key not in self.reuse]

    @property
    def shards(self) -> set[str]:
        """The older shards that have some of its rows."""
        return {place.shard for place in self.reuse.values()}

    @property
    def payloads(self) -> list[Any]:
        """The payloads of the rows to be made."""
        return [row.payload for row in self.made]


class Tasks(Sequence[Task]):
    """A task for each of some chunks, in order, made when it is asked for."""

    def __init__(self, rows: Sequence[Row], chunks: Sequence[Chunk], old: "Older") -> None:
        self._rows, self._chunks, self._old = rows, chunks, old
        lengths = np.array([chunk.stop - chunk.start for chunk in chunks], np.int64)
        self._begins = np.cumsum(lengths) - lengths
        self.rows = int(lengths.sum())
        """Of all tasks."""
        self._places = np.full(self.rows, NOWHERE)
        if old:
            self._places = old.places(row.key for chunk in chunks for row in rows[chunk.start : chunk.stop])
        self._made = np.add.reduceat(self._places == NOWHERE, self._begins) if chunks else lengths
        self.new = int(self._made.sum())
        """Rows to be made, of all tasks."""
        self._order = [*range(len(chunks))]

    def largest_first(self) -> "Tasks":
        """The same, those with most rows to be made in front: workers so end at about the same time."""
        tasks = copy(self)
        tasks._order = np.argsort(-self._made, kind="stable").tolist()
        return tasks

    def __len__(self) -> int:
        return len(self._chunks)

    @overload
    def __getitem__(self, which: int) -> Task: ...

    @overload
    def __getitem__(self, which: slice) -> list[Task]: ...

    def __getitem__(self, which: int | slice) -> Task | list[Task]:
        if isinstance(which, slice):
            return [self[number] for number in range(len(self))[which]]
        number = self._order[which]
        name, start, stop = self._chunks[number]
        rows, begin = self._rows[start:stop], self._begins[number]
        places = self._places[begin : begin + len(rows)].tolist()
        reuse = {row.key: self._old.place(at) for row, at in zip(rows, places, strict=True) if at != NOWHERE}
        return Task(name, rows, reuse)


class Older:
    """The rows that older shards hold.

    Args:
        keys: name of a shard -> the keys of its rows.
    """

    def __init__(self, keys: Mapping[str, pa.ChunkedArray]) -> None:
        self._names = list(keys)
        self._ends = np.cumsum([len(column) for column in keys.values()])
        self._keys = pa.chunked_array([chunk for column in keys.values() for chunk in column.chunks], pa.string())

    def __bool__(self) -> bool:
        """Whether there are any."""
        return len(self._keys) > 0

    def places(self, keys: Iterable[str]) -> npt.NDArray[np.int64]:
        """For each key a number that `place` knows, NOWHERE for one that no older shard has."""
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self._keys.combine_chunks())
        return np.asarray(pc.fill_null(found, NOWHERE).to_numpy(zero_copy_only=False), np.int64)

    def place(self, number: int) -> Place:
        """The shard and row of a number from `places`."""
        shard = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[shard - 1]) if shard else 0
        return Place(self._names[shard], number - before)


def digest(*parts: str) -> str:
    """32 hex digits that stand for the parts and their boundaries."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def chunks_of(rows: Sequence[Row]) -> list[Chunk]:
    """Consecutive rows; a row starts a chunk when the hash of its place says so.

    A new row can thus split or lengthen the chunk that it falls in and no other.
    """
    return [*_chunks(rows)]


def name_of(rows: Iterable[Row]) -> str:
    """The name of the shard that holds these rows and no others."""
    return digest(*(row.key for row in rows))


def _chunks(rows: Iterable[Row]) -> Iterator[Chunk]:
    keys: list[str] = []
    start = 0
    for number, row in enumerate(rows):
        head = int.from_bytes(hashlib.sha256(row.place.encode()).digest()[:4], "big")
        if keys and (head % MEAN_ROWS == 0 or len(keys) == MAX_ROWS):
            yield Chunk(digest(*keys), start, number)
            keys, start = [], number
        keys.append(row.key)
    if keys:
        yield Chunk(digest(*keys), start, start + len(keys))
