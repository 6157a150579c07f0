"""Folders of images, one a class: what lies under them, and how the sample's are written."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MissingInputError
from pipeline.store.artifacts import Artifact, folder, refusals

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


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
        StorageError: a folder in it cannot be listed.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "is missing"
        raise MissingInputError(f"the source folder {root} {state}: correct its path under `sources` in params.yaml")
    files: list[str] = []
    refused: list[tuple[str, str]] = []
    ignored = 0
    inside = root.resolve()
    folders = [""]
    while folders:
        folder_path = folders.pop()
        # No Path and no lstat for each file: they take ten times as long as the rest.
        with refusals(root / folder_path), os.scandir(f"{root}/{folder_path}") as entries:
            for entry in entries:
                path = f"{folder_path}{entry.name}"
                if is_system_file(entry.name):
                    ignored += 1
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                elif reason := _refusal(entry, inside):
                    refused.append((path.encode(errors="backslashreplace").decode(), reason))
                else:
                    files.append(path)
    return Scan(tuple(sorted(files)), tuple(sorted(refused)), ignored)


def images_in_class_folders(path: str) -> Artifact:
    """An artifact: encoded images by their path (`class/name.png`) inside a folder."""

    def write(images: Mapping[str, bytes], place: Path) -> None:
        for name, data in images.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)

    return folder(path, scan, write)


def _refusal(entry: os.DirEntry[str], inside: Path) -> str | None:
    try:
        entry.path.encode()
    except UnicodeEncodeError:
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


def is_system_file(name: str) -> bool:
    """Whether a file or folder of this name is none of a person's: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES
