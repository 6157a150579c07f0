"""Tables, reports and folders on disk; with shards.py, the only module that touches data files.

Everything is written beside its target and moved into place once whole, so that a name always
stands for a complete file. No host name, time or absolute path goes into a file: DVC compares bytes.
"""

import csv
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.errors import DataError, MissingInputError, StorageError

# Rows of a record batch of what is written in parts. Part of the format: another value gives other files.
PART = 100_000
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class Artifact:
    """A file or folder, how it is read, and how it is written (to the path that is handed in)."""

    path: str
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], None]

    def named(self, **names: str) -> "Artifact":
        """The same with the `{placeholders}` of its path filled in."""
        return replace(self, path=self.path.format(**names))


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the file system refuses (full, read-only, no permission) into a StorageError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path}: {reason}. Free space or mend the permissions, then run the command again"
        ) from error


def partial_path(path: Path) -> Path:
    """Where a file is written before it is whole: beside it, hidden, the same name at each run."""
    return path.with_name(f".{path.name}.partial")


def put_in_place(whole: Path, path: Path) -> None:
    """Give a whole file or folder its final name, replacing what stood there."""
    # A folder cannot replace or be replaced in one step: what stands there steps aside first.
    aside = path.with_name(f".{path.name}.old")
    remove(aside)
    with refusals(path):
        if os.path.lexists(path) and (whole.is_dir() or (path.is_dir() and not path.is_symlink())):
            path.rename(aside)
        whole.replace(path)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    with refusals(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_arrow(table: pa.Table, path: Path) -> None:
    """One uncompressed record batch in an Arrow IPC file (Feather v2), flushed to the disk."""
    # One batch a file, so that a row's number is its position in the file.
    _write_parts([table.combine_chunks()], table.schema, path)


def _write_parts(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    with refusals(path), path.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            for table in tables:
                writer.write_table(table, max_chunksize=max(len(table), 1))
        file.flush()
        os.fsync(file.fileno())


def open_arrow(path: Path) -> pa.Table:
    """A memory-mapped view of an Arrow IPC file.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is truncated or no Arrow file.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            # Arrow believes offsets and codes unless asked; wrong ones crash the process that reads them.
            table.validate(full=True)
            return table
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} is missing: run `{_maker(path)}`") from error
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path} is damaged, or no Arrow file ({error}): remove it and run `{_maker(path)}`") from error


def manifest(path: str, schema: pa.Schema, further: str | None = None) -> Artifact:
    """An artifact: a data frame with the columns of `schema`, in an Arrow IPC file.

    Columns whose name starts with `further` travel as well, as categories.

    Dictionary columns come back as categoricals whose categories are sorted and all in use, so that
    the bytes of a file depend on its rows alone.
    """

    def read(place: Path) -> pd.DataFrame:
        frame: pd.DataFrame = _open_manifest(place, schema, further).to_pandas()
        return frame

    def write(frame: pd.DataFrame, place: Path) -> None:
        write_arrow(arrow_table(frame, _with_further(schema, frame.columns, further)), place)

    return Artifact(path, read, write)


@dataclass(frozen=True)
class Taken:
    """Rows of a table, and columns of their own beside them, put together in parts when they are written.

    Copying into fresh memory costs ten times as much as into memory that was used before.
    """

    table: pa.Table
    rows: npt.NDArray[np.intp]
    beside: Mapping[str, npt.NDArray[Any]]

    def part(self, start: int, stop: int) -> pa.Table:
        """The rows from one position to another."""
        part = self.table.take(pa.array(self.rows[start:stop]))
        for name, values in self.beside.items():
            part = part.append_column(name, pa.array(values[start:stop]))
        return part


def taken_manifest(path: str, schema: pa.Schema, further: str | None = None) -> Artifact:
    """The same file as `manifest`; read as an Arrow table, written from `Taken` rows of one.

    For a stage that looks at few columns and hands all on: half the time and memory.
    """

    def read(place: Path) -> pa.Table:
        return _open_manifest(place, schema, further)

    def write(taken: Taken, place: Path) -> None:
        full = _with_further(schema, taken.table.schema.names, further)
        tidy = replace(taken, table=_tidy(taken.table, taken.rows))
        starts = range(0, max(len(taken.rows), 1), PART)
        _write_parts((tidy.part(start, start + PART).select(full.names) for start in starts), full, place)

    return Artifact(path, read, write)


def _open_manifest(place: Path, schema: pa.Schema, further: str | None) -> pa.Table:
    table = open_arrow(place)
    if _without(table.schema.names, further) != schema.names:
        raise DataError(
            f"{place} has the columns {table.schema.names}, not {schema.names}: "
            f"another version wrote it; run `{_maker(place)}`"
        )
    if not table.select(schema.names).schema.equals(schema):
        raise DataError(f"{place} has columns of other types: another version wrote it; run `{_maker(place)}`")
    return table


def _with_further(schema: pa.Schema, names: Iterable[str], further: str | None) -> pa.Schema:
    extra = [name for name in names if further is not None and name.startswith(further)]
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([*schema, *(pa.field(name, kind) for name in sorted(extra))])


def _tidy(table: pa.Table, rows: npt.NDArray[np.intp]) -> pa.Table:
    """Dictionary columns with their values sorted, and those alone that the rows use."""
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table[number].combine_chunks()
            codes, values = column.indices.to_numpy(zero_copy_only=False), column.dictionary.to_pylist()
            used = np.flatnonzero(np.bincount(codes[rows], minlength=len(values))).tolist()
            order = sorted(used, key=values.__getitem__)
            places = np.zeros(len(values), dtype=codes.dtype)
            places[order] = np.arange(len(order))
            sorted_values = pa.array([values[code] for code in order], type=field.type.value_type)
            # What no row uses gets a code, too, and is never taken.
            table = table.set_column(number, field, pa.DictionaryArray.from_arrays(places[codes], sorted_values))
    return table


def _without(names: Sequence[str], further: str | None) -> list[str]:
    return [name for name in names if further is None or not name.startswith(further)]


def arrow_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as an Arrow table of exactly this schema, without pandas' own metadata."""
    columns = [_arrow_column(frame[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _arrow_column(column: "pd.Series[Any]", kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        values = column.astype("category").cat.remove_unused_categories()
        values = values.cat.reorder_categories(sorted(values.cat.categories))
        codes = pa.array(values.cat.codes.to_numpy(), type=kind.index_type)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.cat.categories.tolist(), type=kind.value_type))
    array = pa.array(column, type=kind, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def table(path: str) -> Artifact:
    """An artifact: a data frame in a CSV file, for people and for DVC's plots."""

    def read(place: Path) -> pd.DataFrame:
        try:
            return pd.read_csv(place, keep_default_na=False)
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{_maker(place)}`") from error
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{place} is not a readable CSV file ({error}): run `{_maker(place)}`") from error

    def write(frame: pd.DataFrame, place: Path) -> None:
        _write_text(frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC), place)

    return Artifact(path, read, write)


def read_texts(path: Path) -> pd.DataFrame:
    """A CSV file of a user, every cell as text.

    Raises:
        DataError: it is not UTF-8, or no CSV file.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV file in UTF-8: {error}") from error


def report(path: str) -> Artifact:
    """An artifact: a JSON object, keys sorted, NaN and Infinity refused."""

    def read(place: Path) -> Any:
        try:
            return json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{_maker(place)}`") from error
        except ValueError as error:
            raise DataError(f"{place} is not readable JSON ({error}): run `{_maker(place)}`") from error

    def write(value: Mapping[str, Any], place: Path) -> None:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        _write_text(text + "\n", place)

    return Artifact(path, read, write)


def text(path: str) -> Artifact:
    """An artifact: a text for people to read."""

    def read(place: Path) -> str:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{_maker(place)}`")
        return read_bytes(place).decode()

    return Artifact(path, read, _write_text)


def folder(path: str, read: Callable[[Path], Any], write: Callable[[Any, Path], None]) -> Artifact:
    """An artifact: a folder of files that belong together."""

    def read_checked(place: Path) -> Any:
        if not place.is_dir():
            raise MissingInputError(f"{place} is missing: run `{_maker(place)}`")
        return read(place)

    def write_whole(value: Any, place: Path) -> None:
        with refusals(place):
            place.mkdir()
            write(value, place)

    return Artifact(path, read_checked, write_whole)


def folder_of_folders(path: str, *files: Artifact) -> Artifact:
    """An artifact, read only: {folder name: what reads the files in it} of the folders in a folder.

    Nothing is read before it is asked for: a folder that nobody needs may be damaged.
    """

    def read(place: Path) -> dict[str, Callable[[], tuple[Any, ...]]]:
        folders = sorted(entry for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
        return {entry.name: partial(read_one, entry) for entry in folders if (entry / names[0]).exists()}

    def read_one(entry: Path) -> tuple[Any, ...]:
        return tuple(file.read(entry / name) for file, name in zip(files, names, strict=True))

    names = [Path(file.path).name for file in files]
    return read_only(path, read)


def read_only(path: str, read: Callable[[Path], Any]) -> Artifact:
    """An artifact that no stage writes as a whole: a folder above several outs, or one of shards."""

    def write(_: Any, place: Path) -> None:
        raise NotImplementedError(f"{place} is put together from other outs")

    return Artifact(path, read, write)


def binary(path: str) -> Artifact:
    """An artifact: bytes."""

    def write(value: bytes, place: Path) -> None:
        with refusals(place), place.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())

    def read(place: Path) -> bytes:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{_maker(place)}`")
        return read_bytes(place)

    return Artifact(path, read, write)


def curves(path: str) -> Artifact:
    """An artifact: numbers per epoch, as the folder of plots and metrics.json that DVCLive writes."""

    def write(epochs: Sequence[Mapping[str, float]], place: Path) -> None:
        from dvclive.live import Live
        from scmrepo.exceptions import SCMError

        try:
            # dvc.yaml declares the plots itself, and DVC, not DVCLive, keeps the experiments.
            with Live(str(place), dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False) as live:
                for epoch in epochs:
                    for name, value in epoch.items():
                        live.log_metric(name, value)
                    live.next_step()
        except SCMError as error:
            raise StorageError(
                f"DVCLive cannot work in this Git repository ({error}): commit once, then run again"
            ) from error

    def read(place: Path) -> Any:
        return report(path).read(place / "metrics.json")

    return folder(path, read, write)


def images_in_class_folders(path: str) -> Artifact:
    """An artifact: encoded images by their path (`class/name.png`) inside a folder."""

    def write(images: Mapping[str, bytes], place: Path) -> None:
        for name, data in images.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)

    return folder(path, scan, write)


@dataclass(frozen=True)
class Scan:
    """The files under a folder: those to read, those refused unread (path, reason), those ignored."""

    files: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    ignored: int


def scan(root: Path) -> Scan:
    """All files under a folder as sorted relative paths with `/`; nothing is opened.

    Hidden and system files are ignored. Links that leave the folder or lead nowhere, sockets,
    pipes, devices and names that are not UTF-8 are refused.

    Raises:
        MissingInputError: there is no such folder.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "is missing"
        raise MissingInputError(f"the source folder {root} {state}: correct its path under `sources` in params.yaml")
    files: list[str] = []
    refused: list[tuple[str, str]] = []
    ignored = 0
    inside = root.resolve()
    with refusals(root):
        for folder_name, folders, names in os.walk(root, onerror=_raise):
            ignored += sum(_is_system_file(name) for name in [*folders, *names])
            folders[:] = [name for name in folders if not _is_system_file(name)]
            links = [name for name in folders if (Path(folder_name) / name).is_symlink()]
            for name in [*names, *links]:
                if _is_system_file(name):
                    continue
                place = Path(folder_name) / name
                path = place.relative_to(root).as_posix()
                reason = _refusal(place, inside)
                if reason:
                    refused.append((path.encode(errors="backslashreplace").decode(), reason))
                else:
                    files.append(path)
    return Scan(tuple(sorted(files)), tuple(sorted(refused)), ignored)


def read_bytes(path: Path) -> bytes:
    """The whole content of a file."""
    with refusals(path):
        return path.read_bytes()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with refusals(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refusal(place: Path, inside: Path) -> str | None:
    try:
        str(place).encode()
    except UnicodeEncodeError:
        return "name_not_utf8"
    try:
        target = place.resolve(strict=True)
    except (OSError, RuntimeError):
        return "dangling_link"
    if place.is_symlink() and not target.is_relative_to(inside):
        return "link_leaves_source"
    mode = target.stat().st_mode
    if stat.S_ISDIR(mode):
        return "linked_folder"
    return None if stat.S_ISREG(mode) else "not_a_regular_file"


def _is_system_file(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def _raise(error: OSError) -> None:
    raise error


def _write_text(value: str, place: Path) -> None:
    with refusals(place), place.open("w", encoding="utf-8", newline="\n") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def _maker(path: Path) -> str:
    """The command that makes a file: the stage's name is the folder under data/ or reports/."""
    stage = path.parts[1] if len(path.parts) > 1 and path.parts[0] in {"data", "reports"} else ""
    return f"dvc repro {stage}".strip()
