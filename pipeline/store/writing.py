"""Write files and folders: next to their target, and moved into place once they are complete.

So a path always names a complete file, even after a kill or on a full disk.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.store.refusals import refusals


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
        check_replaceable(path)
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            half.touch()
        remove(half)


def check_replaceable(path: Path) -> None:
    """Raise StorageError if something else than a file or folder is in a path's place, or what a link there leads to.

    A file that takes the place of /dev/null or of /dev/stdout would do harm to all programs of the machine.
    """
    with refusals(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise StorageError(f"{path} is a pipe, a socket or a device, and would be replaced: name a file")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to inside the block; moved to the final path at its end, removed if the block fails."""
    half = partial_path(path)
    check_replaceable(path)
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


def write_bytes(value: bytes, place: Path) -> None:
    """Write a file; its content is on the disk when this returns."""
    with refusals(place), place.open("wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write the files of a command, creating their folders: all of them, or none."""
    for path in contents:
        check_replaceable(path)
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


def write_text(value: str, place: Path) -> None:
    """Write a file of text as UTF-8; its content is on the disk when this returns."""
    with refusals(place), place.open("w", encoding="utf-8", newline="\n") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
