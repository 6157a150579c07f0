"""Check DVC's locks: stale ones, and the processes that are running.

DVC notes who reads and writes what in `rwlock`, a JSON file that it edits under the guard of
`rwlock.lock`. The guards are locks of the kernel, which a death releases; with `core.hardlink_lock`
they are files, which stay. A file left by a dead process says its number, never its host.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import LockError, make_lock
from dvc.rwlock import SCHEMA, Invalid

from pipeline.errors import StorageError, listing
from pipeline.store.refusals import refusals
from pipeline.store.writing import remove, replacing
from pipeline.tools.doctor.findings import Check, Problem, near

PROGRAMS = {"dvc", "pipeline"}
# A process's start and a file's time come from different clocks of the kernel.
CLOCK_SLACK = 2.0

Locks = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A process of DVC or of this pipeline."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} (`{self.command}`)"


def running(root: Path) -> list[Running]:
    """The processes of DVC and this pipeline that work in a folder or below it; not this one and its parents.

    A stage goes on when the `dvc repro` that started it is killed: it is found as well.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        command, folder = process.info["cmdline"] or [], process.info["cwd"]
        inside = folder is not None and Path(folder).is_relative_to(root)
        if inside and process.pid not in own and process.info["status"] != psutil.STATUS_ZOMBIE and _is_ours(command):
            found.append(Running(process.pid, " ".join(command)))
    return sorted(found, key=lambda one: one.pid)


def examine_locks(folder: Path, hardlink: bool, at_work: str) -> Check:
    """Look for locks that nobody holds.

    Args:
        folder: DVC's for temporary files.
        hardlink: `core.hardlink_lock` of DVC's settings.
        at_work: who works here now.
    """
    problems = [] if at_work or not hardlink else list(_left_guards(folder))
    if not problems:
        problems = [problem for file in _notes(folder) for problem in _note_problems(file, hardlink)]
    return Check(
        "locks", f"{at_work} is running here" if at_work else "no DVC command and no stage is running here", problems
    )


@contextmanager
def guarded(file: Path, hardlink: bool) -> Iterator[None]:
    """Inside, nobody else takes the lock or edits the file that it guards.

    Raises:
        StorageError: a living process holds it.
    """
    with refusals(file):
        guard = make_lock(str(file), tmp_dir=str(file.parent), hardlink_lock=hardlink)
        try:
            guard.lock()
        except LockError as error:
            raise StorageError(f"{near(file)} is held by another process: wait until it has ended") from error
    try:
        yield
    finally:
        guard.unlock()


def dead_holders(locks: Locks, written: float) -> dict[int, str]:
    """Number -> command of each process that a valid `rwlock` names and that is not the one it was.

    Args:
        written: when the file was written, in seconds since 1970: who was born later is not in it.
    """
    writers = list(locks["write"].values())
    holders = [*writers, *(reader for readers in locks["read"].values() for reader in readers)]
    return {holder["pid"]: holder["cmd"] for holder in holders if not _lives(holder["pid"], written)}


def without(locks: Locks, dead: Mapping[int, str]) -> Locks:
    """The same locks but those of the dead."""
    reads = {path: [one for one in readers if one["pid"] not in dead] for path, readers in locks["read"].items()}
    return {
        "write": {path: holder for path, holder in locks["write"].items() if holder["pid"] not in dead},
        "read": {path: readers for path, readers in reads.items() if readers},
    }


def _is_ours(command: list[str]) -> bool:
    names = [Path(word).name for word in command[:3]]
    return bool(names) and (names[0] in PROGRAMS or (names[0].startswith("python") and not PROGRAMS.isdisjoint(names)))


def _lives(pid: int, written: float) -> bool:
    """Whether the process may be the one that stood here when the file was written; in doubt, it is."""
    try:
        process = psutil.Process(pid)
        if process.create_time() > written + CLOCK_SLACK:
            return False
        command = process.cmdline()
    except psutil.NoSuchProcess:  # or it is dead, and nobody has asked yet how it ended
        return False
    except psutil.AccessDenied:
        return True
    # DVC is a Python program, or the binary of that name.
    return not command or any("python" in word or "dvc" in word for word in command)


def _notes(folder: Path) -> list[Path]:
    """The `rwlock` of the workspace and of the experiments."""
    return [file for file in (folder / "rwlock", folder / "exps" / "rwlock") if os.path.lexists(file)]


def _note_problems(file: Path, hardlink: bool) -> Iterator[Problem]:
    try:
        with guarded(_guard_of(file), hardlink):
            locks, written = _read(file), file.stat().st_mtime
    except StorageError as error:
        yield Problem(str(error), "then run the command again")
        return
    if isinstance(locks, str):
        what = f"{near(file)} {locks}: a process died while it wrote the file, and every DVC command fails now"
        yield Problem(what, "", partial(_remove_broken, file, hardlink))
        return
    dead = dead_holders(locks, written)
    if dead:
        names = listing(f"process {pid} (`{command}`)" for pid, command in dead.items())
        what = (
            f"{near(file)} names locks of processes that have ended: {names}. A new process with the same number "
            f"would block DVC"
        )
        yield Problem(what, "", partial(_remove_dead, file, hardlink))


def _read(file: Path) -> Locks | str:
    """The locks, or what is wrong with the file."""
    if not file.is_file():
        return "is not a file"
    with refusals(file):
        content = file.read_bytes()
    if not content.strip(b"\0 \n"):
        return "is empty"
    try:
        locks: Locks = SCHEMA(json.loads(content.decode()))
    except (ValueError, RecursionError, Invalid):
        return "is damaged"
    return locks


def _remove_broken(file: Path, hardlink: bool) -> None:
    with guarded(_guard_of(file), hardlink):
        if isinstance(_read(file), str):
            remove(file)


def _remove_dead(file: Path, hardlink: bool) -> None:
    with guarded(_guard_of(file), hardlink):
        locks = _read(file)
        if isinstance(locks, str):
            raise StorageError(f"{file} was damaged just now: run the command again")
        rest = without(locks, dead_holders(locks, file.stat().st_mtime))
        if rest["read"] or rest["write"]:
            with replacing(file) as half, refusals(file):
                half.write_text(json.dumps(rest), encoding="utf-8")
        else:
            remove(file)


def _left_guards(folder: Path) -> Iterator[Problem]:
    """Guards that are files: whoever finds one waits for it, for a year."""
    for guard in (folder / "lock", folder / "rwlock.lock", folder / "exps" / "rwlock.lock", folder / "updater.lock"):
        if not os.path.lexists(guard):
            continue
        what = f"{near(guard)} is there, as `core.hardlink_lock` is on, and no DVC process works here: DVC waits for it"
        if guard.stat().st_nlink == 1:
            # Made before the setting was changed, or its other name was removed: nobody can hold it.
            yield Problem(f"{what}, although nobody can hold it", "", partial(remove, guard))
        else:
            then = f"The file does not say on which machine its holder runs. If DVC runs on no other: rm {near(guard)}"
            yield Problem(what, then)


def _guard_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")
