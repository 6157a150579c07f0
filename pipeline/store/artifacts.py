"""Tables, reports and folders on disk. Only this module and shards.py touch data files.

Everything is written next to its target and moved into place once it is complete, so that a path always
names a complete file. No file contains a host name, time or absolute path: DVC compares bytes.
"""

import csv
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.store.spreadsheets import safe, unsafe
from pipeline.yaml_values import shortened

# Folders of the stages that do not stand in the top level's dvc.yaml.
OTHER_FOLDERS = {
    "code": "data",
    "sample": "data",
    "inventory": "data",
    "final_evaluation": "final",
    "final_diagnosis": "final",
}


@dataclass(frozen=True)
class Artifact:
    """A file or folder, with the functions that read it and write it (to the given path)."""

    path: str
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], None]
    cached: bool = True
    """Whether DVC keeps it in its cache; if not, Git may keep it, or it is made again."""
    metrics: bool = False
    """Whether `dvc metrics` shows it."""
    verified: bool = False
    """Whether its checksum stands in its stage's checksums.json (see verified.py)."""

    def named(self, **names: str) -> "Artifact":
        """The same artifact with the `{placeholders}` of its path filled in."""
        return replace(self, path=self.path.format(**names))


# How to fix an error of the file system; without an entry, no cause is claimed.
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Fix the permissions"),
    errno.EROFS: "Make the file system writable, or work in a folder on another one",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "Allow more open files (`ulimit -n`), or use fewer workers (--workers)"
    ),
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV), "Check the disk and its cables, or the network's drive"),
    **dict.fromkeys((errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT), "Connect the drive again"),
    errno.ENAMETOOLONG: "Use a shorter name, or a folder nearer to the root",
    errno.EFBIG: "Allow larger files (`ulimit -f`), or use another file system",
    errno.ELOOP: "Remove the links that lead in a circle",
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY, errno.EAGAIN), "Wait for the program that uses it"),
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTEMPTY),
        "Another program, such as a second run of this command, changed it at the same time: let one of them end",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        "A file is in the place of a folder, or a folder in the place of a file: move it away",
    ),
}
UNKNOWN_REMEDY = "Fix the cause"


def uncached(artifact: Artifact) -> Artifact:
    """The same artifact, kept out of DVC's cache."""
    return replace(artifact, cached=False)


def metrics(path: str, form: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a small report of a given form, kept in Git and shown by `dvc metrics`."""
    return replace(report(path, form), cached=False, metrics=True)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn errors of the file system (full, read-only, no permission) into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {refusal_words(error)}, then run the command again") from error


def refusal_words(error: OSError) -> str:
    """The system's error message, and how to fix it."""
    # By the number, because Arrow puts a sentence of its own around the system's words.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{reason}. {REMEDIES.get(error.errno or 0, UNKNOWN_REMEDY)}"


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Lock a folder, so that no other process of this machine is inside the block for the same folder.

    The kernel locks the folder itself: no lock file is left, and the lock ends with the process.

    Args:
        what: the name of the command, for the message.

    Raises:
        StorageError: another process is inside.
    """
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"another run of `{what}` is writing to {folder}: wait until it ends, or stop it, then run the command "
                "again"
            ) from error
        except OSError:
            pass  # some network drives have no locks
        yield
    finally:
        os.close(place)


def partial_path(path: Path) -> Path:
    """Where a file is written until it is complete: next to it, hidden, under the same name in each run."""
    return path.with_name(f".{path.name}.partial")


def flush(path: Path) -> None:
    """Wait until a file's bytes are on the disk; else its name could survive a power failure without them."""
    with refusals(path), path.open("rb") as file:
        os.fsync(file.fileno())


def put_in_place(whole: Path, path: Path) -> None:
    """Give a complete file or folder its final name, replacing an older one."""
    # A folder cannot replace or be replaced in one step: what stands there steps aside first.
    aside = path.with_name(f".{path.name}.old")
    remove(aside)
    with refusals(path):
        if os.path.lexists(path) and (whole.is_dir() or (path.is_dir() and not path.is_symlink())):
            path.rename(aside)
        whole.replace(path)
    remove(aside)


def check_writable(*paths: Path) -> None:
    """Raise StorageError unless files can be written at these paths: said before the work of minutes, not after it."""
    for path in paths:
        half = partial_path(path)
        if path.is_dir():
            raise StorageError(f"{path} is a folder: name a file")
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            half.touch()
        remove(half)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to inside the block; moved to the final path at its end, removed if the block fails."""
    half = partial_path(path)
    try:
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield half
        put_in_place(half, path)
    except BaseException:
        # Where nothing can be written there may be nothing to remove; the first error is the one to show.
        with suppress(StorageError):
            remove(half)
        raise


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    with refusals(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def table(path: str) -> Artifact:
    """An artifact: a data frame in a CSV file, for people and for DVC's plots."""

    def read(place: Path) -> pd.DataFrame:
        check_regular(place)
        try:
            return pd.read_csv(place, keep_default_na=False)
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`") from error
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{place} is not a readable CSV file ({error}): run `{maker(place)}`") from error

    def write(frame: pd.DataFrame, place: Path) -> None:
        _write_text(frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC), place)

    return Artifact(path, read, write)


def spreadsheet(path: str) -> Artifact:
    """A table for people that is safe to open: no spreadsheet program runs a cell (see spreadsheets.py)."""
    plain = table(path)

    def read(place: Path) -> pd.DataFrame:
        return _mapped(plain.read(place), unsafe)

    def write(frame: pd.DataFrame, place: Path) -> None:
        plain.write(_mapped(frame, safe), place)

    return Artifact(path, read, write)


def _mapped(frame: pd.DataFrame, function: Callable[[str], str]) -> pd.DataFrame:
    """With the function's value for each text."""
    # Columns of users' tables travel with their names.
    return frame.map(lambda cell: function(cell) if isinstance(cell, str) else cell).rename(columns=function)


def report(path: str, form: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a JSON object, keys sorted, NaN and Infinity refused.

    Args:
        form: what must be in it to be read; without one, the readers check it.
    """

    def read(place: Path) -> Any:
        check_regular(place)
        try:
            value = json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not readable JSON ({error}): run `{maker(place)}`") from error
        check_form(value, form, place)
        return value

    def write(value: Mapping[str, Any], place: Path) -> None:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        _write_text(text + "\n", place)

    return Artifact(path, read, write)


def check_form(value: Any, form: TypeAdapter[Any] | None, place: Path) -> None:
    """Raise DataError unless a report has its form: otherwise it is damaged, edited or of another version."""
    try:
        if form is not None:
            form.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise DataError(
            f"{place} does not have the form that this version writes ({shortened(where)}: "
            f"{first['msg'].lower()}): it is damaged, edited or of another version; run `{maker(place)}`"
        ) from None


def text(path: str) -> Artifact:
    """An artifact: a text for people to read."""

    def read(place: Path) -> str:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read_bytes(place).decode()

    return Artifact(path, read, _write_text)


def folder(path: str, read: Callable[[Path], Any], write: Callable[[Any, Path], None]) -> Artifact:
    """An artifact: a folder of files that belong together."""

    def read_checked(place: Path) -> Any:
        if not place.is_dir():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read(place)

    def write_whole(value: Any, place: Path) -> None:
        with refusals(place):
            place.mkdir()
            write(value, place)

    return Artifact(path, read_checked, write_whole)


def texts(path: str) -> Artifact:
    """An artifact: {file name: text} of a folder; written only."""

    def write(files: Mapping[str, str], place: Path) -> None:
        for name, value in files.items():
            _write_text(value, place / name)

    return folder(path, lambda place: sorted(entry.name for entry in place.iterdir()), write)


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
    """An artifact that no stage writes as a whole: a folder of several outs, or of shards."""

    def write(_: Any, place: Path) -> None:
        raise NotImplementedError(f"{place} is put together from other outs")

    return Artifact(path, read, write)


def binary(path: str) -> Artifact:
    """An artifact: bytes."""

    def read(place: Path) -> bytes:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read_bytes(place)

    return Artifact(path, read, write_bytes)


def check_regular(path: Path) -> None:
    """Raise DataError unless a path is safe to open: a file, a folder, a link to one, or missing.

    Raises:
        DataError: it is a pipe, on which a read would wait, a socket, or a device, which may have no end.
    """
    with refusals(path):
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise DataError(f"{path} is a pipe, a socket or a device, not a file: remove it, then run `{maker(path)}`")


def read_bytes(path: Path) -> bytes:
    """The whole content of a file."""
    check_regular(path)
    with refusals(path):
        return path.read_bytes()


def write_bytes(value: bytes, place: Path) -> None:
    """Write a file; its content is on the disk when this returns."""
    with refusals(place), place.open("wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write the files of a command, creating their folders: all of them, or none."""
    try:
        for path, content in contents.items():
            with refusals(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(content, partial_path(path))
    except BaseException:
        for path in contents:
            with suppress(StorageError):
                remove(partial_path(path))
        raise
    for path in contents:
        put_in_place(partial_path(path), path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    check_regular(path)
    with refusals(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(data: bytes) -> str:
    """SHA-256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def hashed_file(path: Path, sha256: str) -> bytes:
    """The content of a file that params.yaml names with its SHA-256.

    Raises:
        MissingInputError: the file does not exist.
        DataError: the file has another SHA-256.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} is missing or not a file: name an existing file in params.yaml")
    content = read_bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} has SHA-256 {found}, but params.yaml says {sha256}: it is cut short, damaged or a different file. "
            "If it is the file that you mean and you trust its source, write its SHA-256 into params.yaml"
        )
    return content


def _write_text(value: str, place: Path) -> None:
    with refusals(place), place.open("w", encoding="utf-8", newline="\n") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def maker(path: PurePath) -> str:
    """The command that makes a file: the stage's name is the folder under data/ or reports/."""
    stage = path.parts[1] if len(path.parts) > 1 and path.parts[0] in {"data", "reports"} else ""
    address = f"{OTHER_FOLDERS[stage]}/dvc.yaml:{stage}" if stage in OTHER_FOLDERS else stage
    return f"dvc repro {address}".strip()
