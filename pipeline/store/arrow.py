"""Arrow IPC files (Feather v2), written and opened: of manifests and of shards.

Each file carries a checksum of all its bytes in its footer's metadata. Reading verifies it first: a damaged file is an
error, never data.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from pipeline.errors import DataError, MissingInputError
from pipeline.store.checksums import BLANK, checksum, find, is_right
from pipeline.store.reading import check_regular, maker
from pipeline.store.refusals import refusals
from pipeline.store.writing import flush

NO_CHECKSUM = "it has no checksum"


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


def _opened(path: Path, verify: bool, foreign: bool) -> pa.Table:
    check_regular(path)
    try:
        with pa.memory_map(str(path)) as source:
            if verify:
                _verify(source.read_buffer(), foreign)
                source.seek(0)
            table = pa.ipc.open_file(source).read_all()
            # Arrow believes offsets and codes unless asked; wrong ones crash the process that reads them.
            table.validate(full=True)
            return table
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
        raise ValueError("its content does not match its checksum")


def _place(content: memoryview) -> int | None:
    """Where the footer has the digits of the checksum.

    Arrow puts the footer's metadata in front of the schema: what a column is called cannot be taken for it.
    """
    end = len(content) - len(b"ARROW1") - 4
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
    with path.open("r+b") as file, pa.memory_map(str(path)) as source:
        content = memoryview(source.read_buffer())
        place = _place(content)
        assert place is not None  # noqa: S101
        file.seek(place)
        file.write(checksum(content, place))
