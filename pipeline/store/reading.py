"""Read whole files, compare them with their hashes, and name the command that makes them."""

import hashlib
from functools import partial
from pathlib import Path, PurePath

from pipeline.errors import DataError, MissingInputError
from pipeline.store.refusals import refusals

# Folders of what stages make; other files are people's own.
MADE = ("data", "reports")
# Folders of the stages that do not stand in the top level's dvc.yaml.
OTHER_FOLDERS = {
    "code": "data",
    "sample": "data",
    "inventory": "data",
    "final_evaluation": "final",
    "final_diagnosis": "final",
}


def check_regular(path: Path) -> None:
    """Raise DataError unless a path is safe to open: a file, a folder, a link to one, or missing.

    Raises:
        DataError: it is a pipe, on which a read would wait, a socket, or a device, which may have no end.
    """
    with refusals(path):
        if not (path.is_file() or path.is_dir()) and path.exists():
            own = path.parts[0] not in MADE
            next_step = "put a file in its place" if own else f"remove it, then run `{maker(path)}`"
            raise DataError(f"{path} is a pipe, a socket or a device, not a file: {next_step}")


def read_bytes(path: Path) -> bytes:
    """The whole content of a file."""
    check_regular(path)
    with refusals(path):
        return path.read_bytes()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    check_regular(path)
    with refusals(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """MD5 of a file's content, 32 hex digits: what DVC knows a file by."""
    check_regular(path)
    with refusals(path), path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


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


def maker(path: PurePath) -> str:
    """The command that makes a file: the stage's name is the folder under data/ or reports/."""
    stage = path.parts[1] if len(path.parts) > 1 and path.parts[0] in MADE else ""
    address = f"{OTHER_FOLDERS[stage]}/dvc.yaml:{stage}" if stage in OTHER_FOLDERS else stage
    return f"dvc repro {address}".strip()
