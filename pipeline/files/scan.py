"""Folders of images, one a class: what lies under them, and how the sample's are written."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MissingInputError
from pipeline.files.storage import Artifact, folder, refusals

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
            ignored += sum(is_system_file(name) for name in [*folders, *names])
            folders[:] = [name for name in folders if not is_system_file(name)]
            links = [name for name in folders if (Path(folder_name) / name).is_symlink()]
            for name in [*names, *links]:
                if is_system_file(name):
                    continue
                place = Path(folder_name) / name
                path = place.relative_to(root).as_posix()
                reason = _refusal(place, inside)
                if reason:
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


def _refusal(place: Path, inside: Path) -> str | None:
    try:
        str(place).encode()
    except UnicodeEncodeError:
        return "name_not_utf8"
    mode = place.lstat().st_mode
    if stat.S_ISLNK(mode):
        try:
            target = place.resolve(strict=True)
        except (OSError, RuntimeError):
            return "dangling_link"
        if not target.is_relative_to(inside):
            return "link_leaves_source"
        mode = target.stat().st_mode
    if stat.S_ISDIR(mode):
        return "linked_folder"
    return None if stat.S_ISREG(mode) else "not_a_regular_file"


def is_system_file(name: str) -> bool:
    """Whether a file or folder of this name is none of a person's: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def _raise(error: OSError) -> None:
    raise error
