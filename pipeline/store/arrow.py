"""Arrow IPC files (Feather v2), written and opened: of manifests and of shards.

Each file carries a checksum of all its bytes in its footer's metadata. Reading verifies it first: a damaged file is an
error, never data.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pyarrow as pa

from pipeline.errors import DataError, MissingInputError
from pipeline.store.checksums import BLANK, ZEROS, checksum_of_parts, find, is_right
from pipeline.store.reading import check_regular, maker
from pipeline.store.refusals import refusals
from pipeline.store.writing import flush

NO_CHECKSUM, WRONG_CHECKSUM = "it has no checksum", "its content does not match its checksum"
# Bytes of a file that are looked at in one go, and bytes at its end that hold the footer of most files.
_BLOCK, _END = 1 << 22, 1 << 20
# Behind the footer: its length, and what every Arrow file ends with.
_FOOT = 4 + len(b"ARROW1")

ReadAt = Callable[[int, int], bytes]
"""(how many bytes, from where) -> these bytes of a file; fewer at its end."""


def write_arrow(table: pa.Table, path: Path) -> None:
    """One uncompressed record batch in an Arrow IPC file (Feather v2), flushed to the disk."""
    write_unflushed(table, path)
    flush(path)


def write_unflushed(table: pa.Table, path: Path) -> None:
    """`write_arrow` without a flush: call `flush` before the file gets its final name."""
    # One batch a file, so that a row's number is its position in the file.
    _write_batches([table.combine_chunks()], table.schema, path)


def open_arrow(path: Path) -> pa.Table:
    """A memory-mapped view of an Arrow IPC file that this package wrote, its checksum verified.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is damaged, no Arrow file, or without a checksum.
    """
    return _opened(path, verify=True, foreign=False)


def open_verified(path: Path) -> pa.Table:
    """`open_arrow` for a file that this run has verified or written: its checksum is not compared again."""
    return _opened(path, verify=False, foreign=False)


def open_foreign(path: Path) -> pa.Table:
    """`open_arrow` for a file of another program: a checksum is verified only if there is one."""
    return _opened(path, verify=True, foreign=True)


def opened_in_batches(
    path: Path,
) -> tuple[pa.Schema, list[int], Callable[[int, Sequence[str]], pa.RecordBatch]]:
    """The schema of such a file, the rows of each of its record batches, and what reads some columns of a batch.

    Neither the file nor a column of it is in memory at any time: a batch is read when it is asked for.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is damaged, no Arrow file, or without a checksum.
    """
    check_regular(path)
    with _damage_explained(path, foreign=False):
        # One open file for all that follows: another one may be put in its place.
        source = pa.OSFile(str(path))
        place = _place_in(source.read_at, source.size())
        if place is None:
            raise ValueError(NO_CHECKSUM)
        if source.read_at(len(ZEROS), place) != checksum_of_parts(_parts_around(source.read_at, place)):
            raise ValueError(WRONG_CHECKSUM)
        whole = pa.ipc.open_file(source)
        lengths = []
        for number in range(whole.num_record_batches):
            batch = whole.get_batch(number)
            batch.validate(full=True)
            lengths.append(len(batch))

    @cache
    def reader(names: tuple[str, ...]) -> pa.ipc.RecordBatchFileReader:
        places = [whole.schema.get_field_index(name) for name in names]
        return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=places))

    def batch_of(number: int, names: Sequence[str]) -> pa.RecordBatch:
        with refusals(path):
            # Without names Arrow would read all columns.
            return reader(tuple(names)).get_batch(number) if names else whole.get_batch(number).select([])

    return whole.schema, lengths, batch_of


def _opened(path: Path, verify: bool, foreign: bool) -> pa.Table:
    check_regular(path)
    with _damage_explained(path, foreign), pa.memory_map(str(path)) as source:
        if verify:
            _verify(source.read_buffer(), foreign)
            source.seek(0)
        table = pa.ipc.open_file(source).read_all()
        # Arrow believes offsets and codes unless asked; wrong ones crash the process that reads them.
        table.validate(full=True)
        return table


@contextmanager
def _damage_explained(path: Path, foreign: bool) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} is missing: run `{maker(path)}`") from error
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        then = "write it again" if foreign else f"run `pipeline doctor --fix`, then `{maker(path)}`"
        if str(error) == NO_CHECKSUM:
            # DVC would bring it back from its cache as it is.
            then = f"if an older version wrote it, run `dvc repro --force` once; otherwise {then}"
        raise DataError(f"{path} is damaged or not an Arrow file ({error}): {then}") from error


def _verify(buffer: pa.Buffer, foreign: bool) -> None:
    """Raise ValueError unless the file's checksum matches its content.

    Raises:
        ValueError: it does not match, or there is none and `foreign` is false.
    """
    content = memoryview(buffer)
    place = _place(content)
    if place is None and not foreign:
        raise ValueError(NO_CHECKSUM)
    if place is not None and not is_right(content, place):
        raise ValueError(WRONG_CHECKSUM)


def _place(content: memoryview) -> int | None:
    """Where the footer has the digits of the checksum.

    Arrow puts the footer's metadata in front of the schema: what a column is called cannot be taken for it.
    """
    end = len(content) - _FOOT
    length = int.from_bytes(content[max(end, 0) : end + 4], "little")
    return None if length > end else find(content, end - length, end)


def write_parts(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Tables as the record batches of one Arrow IPC file, flushed to the disk."""
    _write_batches(tables, schema, path)
    flush(path)


def _write_batches(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    with refusals(path):
        # Arrow's own file, because a Python one costs a copy of all bytes.
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, schema, metadata={"checksum": BLANK}) as writer,
        ):
            for table in tables:
                writer.write_table(table, max_chunksize=max(len(table), 1))
        _add_checksum(path)


def _add_checksum(path: Path) -> None:
    # Read in blocks: mapped into memory, the whole file would count as this process's.
    with path.open("r+b") as file:

        def read_at(size: int, start: int) -> bytes:
            return os.pread(file.fileno(), size, start)

        place = _place_in(read_at, path.stat().st_size)
        assert place is not None  # noqa: S101
        found = checksum_of_parts(_parts_around(read_at, place))
        os.pwrite(file.fileno(), found, place)


def _place_in(read_at: ReadAt, size: int) -> int | None:
    """The same of an open file of so many bytes, of which its end alone is read."""
    start = max(size - _END, 0)
    end = memoryview(read_at(size - start, start))
    length = int.from_bytes(end[-_FOOT:][:4], "little")
    if length + _FOOT > len(end) and start:
        start = max(size - length - _FOOT, 0)
        end = memoryview(read_at(size - start, start))
    place = _place(end)
    return None if place is None else start + place


def _parts_around(read_at: ReadAt, place: int) -> Iterator[bytes]:
    """The bytes of a file, with zeros for the digits of its checksum."""
    start = 0
    while start < place:
        yield (part := read_at(min(_BLOCK, place - start), start))
        start += len(part)
    yield ZEROS
    start += len(ZEROS)
    while part := read_at(_BLOCK, start):
        yield part
        start += len(part)
