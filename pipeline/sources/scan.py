"""Scan the folders of a source, and write the sample's class folders."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MissingInputError
from pipeline.names import as_utf8, is_utf8
from pipeline.store.artifacts import Artifact, folder
from pipeline.store.refusals import refusals

# What systems leave in folders of people, in small letters: previews, trash, snapshots, lost files. The names are
# those of Windows, macOS and AFP, of servers by Synology and QNAP, and of ext file systems.
SYSTEM_FILES = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler"),
        *("system volume information", "__macosx", "network trash folder", "temporary items"),
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "lost+found"),
    }
)
HIDDEN, OF_A_SYSTEM = "hidden", "system_file"


@dataclass(frozen=True)
class Scan:
    """The files under a folder: those to read, and those rejected or ignored unread, each with path and reason."""

    files: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    ignored: tuple[tuple[str, str], ...] = ()


def scan(root: Path) -> Scan:
    """List all files under a folder as sorted relative paths with `/`, without opening them.

    Hidden and system files are ignored, as is each file in a folder of that kind. Links that leave the folder or lead
    nowhere, sockets, pipes, devices and names that are not UTF-8 are refused.

    Raises:
        MissingInputError: the folder does not exist.
        StorageError: a folder in it cannot be listed.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "is missing"
        raise MissingInputError(f"the source folder {root} {state}: correct its path under `sources` in params.yaml")
    files: list[str] = []
    refused: list[tuple[str, str]] = []
    ignored: list[tuple[str, str]] = []
    inside = root.resolve()
    folders = [""]
    while folders:
        folder_path = folders.pop()
        # No Path and no lstat for each file: they take ten times as long as the rest.
        with refusals(root / folder_path), os.scandir(f"{root}/{folder_path}") as entries:
            for entry in entries:
                path = f"{folder_path}{entry.name}"
                if why := ignored_for(entry.name):
                    ignored += [(as_utf8(file), why) for file in _below(entry, path)]
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                elif reason := _refusal(entry, inside):
                    refused.append((as_utf8(path), reason))
                else:
                    files.append(path)
    return Scan(tuple(sorted(files)), tuple(sorted(refused)), tuple(sorted(ignored)))


def images_in_class_folders(path: str) -> Artifact:
    """An artifact: encoded images by their path (`class/name.png`) inside a folder."""

    def write(images: Mapping[str, bytes], place: Path) -> None:
        for name, data in images.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)

    return folder(path, scan, write)


def _refusal(entry: os.DirEntry[str], inside: Path) -> str | None:
    if not is_utf8(entry.path):
        return "name_not_utf8"
    if not entry.is_symlink():
        return None if entry.is_file(follow_symlinks=False) else "not_a_regular_file"
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):
        return "dangling_link"
    if not target.is_relative_to(inside):
        return "link_leaves_source"
    if target.is_dir():
        return "linked_folder"
    return None if target.is_file() else "not_a_regular_file"


def ignored_for(name: str) -> str:
    """Why a file or folder of this name is ignored: HIDDEN or OF_A_SYSTEM; "" if it is not."""
    if name.startswith("."):
        return HIDDEN
    return OF_A_SYSTEM if name.lower() in SYSTEM_FILES else ""


def _below(entry: os.DirEntry[str], path: str) -> Iterator[str]:
    """The file itself, or all files in a folder that is ignored; a folder that cannot be listed as one."""
    if not entry.is_dir(follow_symlinks=False):
        yield path
        return
    closed: list[str] = []
    for folder_path, folders, names in os.walk(entry.path, onerror=lambda error: closed.append(str(error.filename))):
        below = f"{path}{folder_path[len(entry.path) :]}"
        links = [name for name in folders if os.path.islink(f"{folder_path}/{name}")]  # noqa: PTH114
        yield from (f"{below}/{name}" for name in [*names, *links])
    yield from (f"{path}{folder_path[len(entry.path) :]}/" for folder_path in closed)
