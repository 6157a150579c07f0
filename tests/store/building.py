"""Shards of numbered rows, and how tests build them; and artifacts written where they belong."""

import hashlib
from collections.abc import Collection, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.store.artifacts import Artifact
from pipeline.store.shard_plan import Row, digest
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine

SCHEMA = pa.schema([("number", pa.int32()), ("share", pa.float32()), ("note", pa.string()), ("image", pa.binary())])
FOLDERS = count()

Content = dict[str, bytes]
Whole = tuple[Content, pa.Table]


def written(artifact: Artifact, value: object) -> Path:
    """Write an artifact to its own path in the current folder, and return the path."""
    artifact.write(value, Path(artifact.path))
    return Path(artifact.path)


def rows(numbers: Collection[int], changed: Collection[int] = ()) -> list[Row]:
    return [
        Row(f"cat/{number}.png", digest(str(number), "changed" if number in changed else ""), number)
        for number in sorted(numbers)
    ]


def make(number: int, calls: Path) -> dict[str, Any]:
    """The columns of a row; a file in `calls` stands for the call, and a second call is an error."""
    (calls / str(number)).touch(exist_ok=False)
    if number % 50 == 0:
        return {"number": number, "note": "no image"}
    return {"number": number, "share": number / 7, "note": None, "image": image_of(number)}


def image_of(number: int) -> bytes:
    return hashlib.sha512(str(number).encode()).digest() * (1 + number % 3)


def build(folder: Path, wanted: Sequence[Row], workers: int = 1) -> tuple[pa.Table, set[int]]:
    """Where the rows lie, and the numbers of the rows that were made for it."""
    calls = folder.parent / f"calls-{next(FOLDERS)}"
    calls.mkdir(parents=True)
    store = ShardStore(folder)
    placed = store.build(wanted, partial(make, calls=calls), SCHEMA, Engine(workers), "build")
    store.drop_stale()
    return placed.table(), {int(call.name) for call in calls.iterdir()}


def content(folder: Path) -> Content:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cold(base: Path, wanted: Sequence[Row]) -> Whole:
    folder = base / f"cold-{next(FOLDERS)}" / "shards"
    table, _ = build(folder, wanted)
    return content(folder), table


ROWS = rows(range(1000))
