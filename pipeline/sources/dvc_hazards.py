"""Entries of a folder of images that DVC must not meet, because it opens and follows everything.

`dvc add` and `dvc status` hash a folder that `dvc add` tracks; stages depend on lists of files instead. DVC
waits for ever on a pipe, reads a device without end, stops at what it cannot open, and takes the content
behind a link for the folder's own. Nothing is opened here: kinds are read from the folders' entries.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import names

# Of any system; a path that is cut is no path.
MAX_PATH = 5000
PIPE = "a pipe (FIFO): DVC waits for ever to read it"
DEVICE = "a device: DVC reads it without end"
SOCKET = "a socket: DVC cannot read it"
BLOCKING = {stat.S_IFIFO: PIPE, stat.S_IFCHR: DEVICE, stat.S_IFBLK: DEVICE, stat.S_IFSOCK: SOCKET}


@dataclass(frozen=True)
class Hazard:
    """An entry of a folder, and why DVC must not meet it; `leaves`: its one fault is that it links to outside."""

    path: Path
    reason: str
    leaves: bool = False

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.reason}"


def hazards(root: Path) -> list[Hazard]:
    """All hazards under a folder, hidden files included, sorted by path; links to folders are not followed.

    DVC follows no link to a folder either: what lies behind one is neither tracked nor read. A source
    may also be one file, and is then looked at itself; what is not there is no hazard.
    """
    if not root.is_dir():
        kind = stat.S_IFMT(root.stat().st_mode) if root.exists() else 0
        return [Hazard(root, BLOCKING[kind])] if kind in BLOCKING else []
    return sorted(_hazards(root, root.resolve()), key=lambda hazard: str(hazard.path))


def added_root(path: Path) -> Path | None:
    """The folder around a path, or the path itself, that `dvc add` tracks; None if there is none.

    Its content goes into DVC's cache, that of a mere dependency does not.
    """
    return next((place for place in (path, *path.parents) if place.name and _is_added(place)), None)


def shown(path: Path) -> str:
    """A path as one line of text, whatever bytes it is made of."""
    return names.shown(str(path), most=MAX_PATH)


def _is_added(place: Path) -> bool:
    record = place.with_name(f"{place.name}.dvc")
    return record.is_file()


def _hazards(root: Path, inside: Path) -> Iterator[Hazard]:
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as error:
            yield Hazard(
                folder, f"a folder that cannot be listed ({error.strerror}): DVC leaves it out without a message"
            )
            continue
        for entry in listed:
            reason = _reason(entry, inside)
            if reason:
                yield Hazard(Path(entry.path), reason, leaves=reason.startswith(LEAVES))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))


LEAVES = "a link that leaves the folder"


def _reason(entry: "os.DirEntry[str]", inside: Path) -> str | None:
    if not names.is_utf8(entry.name):
        return "its name is not UTF-8: DVC fails on it"
    if entry.is_symlink():
        return _link_reason(Path(entry.path), inside)
    if entry.is_dir(follow_symlinks=False):
        return None
    if not entry.is_file(follow_symlinks=False):
        return BLOCKING.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "not a file: DVC fails on it")
    return None if os.access(entry.path, os.R_OK) else "not readable: DVC fails on it"


def _link_reason(link: Path, inside: Path) -> str | None:
    try:
        kind = stat.S_IFMT(link.stat().st_mode)
    except OSError as error:
        return f"a broken link ({error.strerror}): DVC fails on it"
    if kind == stat.S_IFDIR:
        return None
    if kind in BLOCKING:
        return f"a link to {BLOCKING[kind]}"
    if not os.access(link, os.R_OK):
        return "a link to what is not readable: DVC fails on it"
    return None if link.resolve().is_relative_to(inside) else f"{LEAVES}: DVC takes what lies behind it for its content"
