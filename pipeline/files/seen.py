"""SHA-256 of files, remembered by their stamps: a file that nobody has touched is not read again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.files.arrow import open_arrow, write_arrow
from pipeline.files.storage import partial_path, put_in_place, refusals, sha256_of
from pipeline.processes.engine import Engine

NOT_HASHED = UNREADABLE, TOO_LARGE = "unreadable", "too_many_bytes"
# A file changed again within the clock's step keeps its stamp: what is so young is not remembered.
YOUNG = 2_000_000_000
TOGETHER = 64
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.int64()),
        ("changed", pa.int64()),
        ("inode", pa.uint64()),
        ("sha256", pa.string()),
    ]
)


class Stamp(NamedTuple):
    """What the system says of a file unread: bytes, times in ns, number."""

    size: int
    modified: int
    changed: int
    inode: int


def file_hashes(
    root: Path, paths: Sequence[str], most: Callable[[str], float], memory: Path, now: int, engine: Engine, title: str
) -> dict[str, str]:
    """SHA-256 of each file under a folder, or UNREADABLE, or TOO_LARGE and its bytes.

    Args:
        most: the bytes that a path may have to be read.
        memory: file that remembers them from run to run; a damaged one costs time alone.
        now: nanoseconds since 1970.
    """
    known = _remembered(memory)
    all_stamps = {path: _stamp(root / path) for path in paths}
    large = {path: stamp.size for path, stamp in all_stamps.items() if stamp is not None and stamp.size > most(path)}
    stamps = {path: stamp for path, stamp in all_stamps.items() if path not in large}
    new = [path for path, stamp in stamps.items() if known.get(path, (None, ""))[0] != stamp or stamp is None]
    made = dict(zip(new, engine.map(partial(_sha256, root), new, title, together=TOGETHER), strict=True))
    found = {path: made[path] if path in made else known[path][1] for path in stamps}
    if made or len(known) != len(stamps):
        _remember({path: (stamp, found[path]) for path, stamp in stamps.items() if stamp is not None}, memory, now)
    return {path: found[path] if path in found else f"{TOO_LARGE} {large[path]}" for path in paths}


def _sha256(root: Path, path: str) -> str:
    try:
        return sha256_of(root / path)
    except StorageError:
        return UNREADABLE


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _remembered(memory: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        table = open_arrow(memory)
    except (MissingInputError, DataError):
        return {}
    if not table.schema.equals(SCHEMA):
        return {}
    columns = [column.to_pylist() for column in table.columns]
    return {path: (Stamp(*stamp), sha256) for path, *stamp, sha256 in zip(*columns, strict=True)}


def _remember(files: Mapping[str, tuple[Stamp, str]], memory: Path, now: int) -> None:
    rows = [
        (path, *stamp, sha256)
        for path, (stamp, sha256) in files.items()
        if sha256 != UNREADABLE and max(stamp.modified, stamp.changed) < now - YOUNG
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    with refusals(memory):
        memory.parent.mkdir(parents=True, exist_ok=True)
    write_arrow(pa.Table.from_arrays(arrays, schema=SCHEMA), partial_path(memory))
    put_in_place(partial_path(memory), memory)
