"""A cache of SHA-256 hashes by file stamps: an untouched file is not read again.

In columns, because a list of objects takes ten times the memory of what it holds.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.store.reading import sha256_of
from pipeline.store.writing import replacing
from pipeline.workers.engine import Engine

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


# What the system says of a file unread: bytes, times in ns, number. All zeros: nothing.
STAMP = np.dtype([("size", "i8"), ("modified", "i8"), ("changed", "i8"), ("inode", "u8")])
NOWHERE = -1
# Texts that are turned into bytes at a time.
PART = 10_000


def file_hashes(
    root: Path, paths: Sequence[str], most: Callable[[str], float], memory: Path, now: int, engine: Engine, title: str
) -> pa.StringArray:
    """SHA-256 of each file under a folder, or UNREADABLE, or TOO_LARGE and its bytes; in the order of the paths.

    Args:
        most: the bytes that a path may have to be read.
        memory: file that remembers them from run to run; a damaged one costs time alone.
        now: nanoseconds since 1970.
    """
    names, stamps, known = pa.array(paths, pa.string()), _stamps(root, paths), _remembered(memory)
    large = stamps["size"] > np.fromiter((most(path) for path in paths), np.float64, len(paths))
    at = np.where(large, NOWHERE, _recalled(known, names, stamps))
    new = np.flatnonzero((at == NOWHERE) & ~large).tolist()
    there = engine.reading([root])
    made = there.map(partial(_sha256, root), [paths[number] for number in new], title, chunk_size=TOGETHER)
    sizes = [f"{TOO_LARGE} {size}" for size in stamps["size"][large].tolist()]
    found = known["sha256"].combine_chunks().take(pa.array(at, mask=at == NOWHERE))
    found = pc.replace_with_mask(found, (at == NOWHERE) & ~large, pa.array(made, pa.string()))
    found = pc.replace_with_mask(found, large, pa.array(sizes, pa.string()))
    if new or len(known) != len(paths) - len(sizes):
        _remember(names, stamps, found, ~large, memory, now)
    return found


def recall(
    root: Path, paths: pa.StringArray, most: int, memory: Path, prefix: str = ""
) -> tuple[npt.NDArray[np.intp], bytes]:
    """The cached hashes of files that have not changed since: their positions, for files of at most `most` bytes.

    Args:
        prefix: what the memory has in front of their paths.

    Returns:
        Also their SHA-256, 32 bytes each, one after the other.
    """
    known = _remembered(memory)
    if not len(known):
        return np.array([], np.intp), b""
    stamps = _stamps(root, paths)
    names = pc.binary_join_element_wise(prefix, paths, "")
    at = np.where(stamps["size"] > most, NOWHERE, _recalled(known, names, stamps))
    digests = known["sha256"].combine_chunks().take(pa.array(at[at != NOWHERE]))
    parts = (digests[start : start + PART].to_pylist() for start in range(0, len(digests), PART))
    return np.flatnonzero(at != NOWHERE), b"".join(bytes.fromhex("".join(part)) for part in parts)


def _sha256(root: Path, path: str) -> str:
    try:
        return sha256_of(root / path)
    except StorageError:
        return UNREADABLE


def _stamps(root: Path, paths: Sequence[str] | pa.StringArray) -> npt.NDArray[Any]:
    """Of each file, shape (n,), of type STAMP."""
    return np.fromiter((_stamp(f"{root}/{path}" if path else str(root)) for path in paths), STAMP, len(paths))


def _stamp(path: str) -> tuple[int, int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # a Path takes as long again
    except OSError:
        return 0, 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _recalled(known: pa.Table, paths: pa.StringArray, stamps: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The row of each file in the memory, NOWHERE if it is not there with the same stamp."""
    found = pc.fill_null(pc.index_in(paths, value_set=known["path"].combine_chunks()), NOWHERE)
    at = np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
    there = np.flatnonzero(at != NOWHERE)
    same = np.ones(len(there), bool)
    for name in STAMP.names or ():
        same &= known[name].to_numpy()[at[there]] == stamps[name][there]
    at[there[~same]] = NOWHERE
    return at


def _remembered(memory: Path) -> pa.Table:
    try:
        table = open_arrow(memory)
    except (MissingInputError, DataError):
        return SCHEMA.empty_table()
    return table if table.schema.equals(SCHEMA) else SCHEMA.empty_table()


def _remember(
    paths: pa.StringArray,
    stamps: npt.NDArray[Any],
    hashes: pa.StringArray,
    read: npt.NDArray[np.bool_],
    memory: Path,
    now: int,
) -> None:
    old = np.maximum(stamps["modified"], stamps["changed"]) < now - YOUNG
    there = (stamps["inode"] > 0) & pc.not_equal(hashes, UNREADABLE).to_numpy(zero_copy_only=False)
    columns = [paths, *(pa.array(stamps[name]) for name in STAMP.names or ()), hashes]
    table = pa.Table.from_arrays(columns, schema=SCHEMA).filter(pa.array(old & there & read))
    with replacing(memory) as half:
        write_arrow(table, half)
