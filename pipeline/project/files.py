"""The files of a project that the package writes, and the record by which an upgrade knows who changed them."""

import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, MissingInputError
from pipeline.project.dvc_files import render
from pipeline.project.params_template import TEMPLATE, template_text
from pipeline.store.refusals import refusals

PACKAGE = "image-data-pipeline"
PARAMS = "params.yaml"
RECORD = ".pipeline.json"
# Path in a project -> file of the package.
COPIED = {
    ".dvc/.gitignore": "dvc_gitignore",
    ".dvc/config": "dvc_config",
    ".dvc/plots/matching.json": "matching.json",
    ".dvcignore": "dvcignore",
    ".gitattributes": "gitattributes",
    ".gitignore": "gitignore",
    "README.md": "README.md",
    # An out of nobody, on which diagnose depends: DVC fails where it is missing.
    "feedback/README.md": "feedback.md",
    # The same of curate.
    "feedback/labels.csv": "labels.csv",
    "feedback/pairs.csv": "pairs.csv",
    "own/__init__.py": "own_code",
}
# A person's from the first day on; an upgrade leaves them alone.
OWN = {PARAMS, "README.md", "own/__init__.py", ".dvc/config", "feedback/labels.csv", "feedback/pairs.csv"}


def project_files(title: str, demonstration: bool) -> dict[str, str]:
    """Path -> text of every file but params.yaml.

    Args:
        title: the first line of the README.
    """
    copied = {path: (TEMPLATE / name).read_text(encoding="utf-8") for path, name in COPIED.items()}
    copied["README.md"] = copied["README.md"].replace("{name}", title, 1)
    return {**copied, **render(demonstration)}


def demonstration_params() -> str:
    """The params of the demonstration: those of the package's own template, as they are."""
    return template_text()


def package_version() -> str:
    """Of the package that is installed; "unknown" where it is a folder on the path."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def record_of(files: Mapping[str, str]) -> str:
    """What an upgrade needs to know of files, as text."""
    digests = {path: digest(text.encode()) for path, text in sorted(files.items()) if path not in OWN}
    return json.dumps({"version": package_version(), "files": digests}, indent=2, ensure_ascii=False) + "\n"


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a project.

    Raises:
        MissingInputError: the folder is no project that `pipeline init` made.
        DataError: the record is damaged.
    """
    path = folder / RECORD
    if not (folder / PARAMS).is_file() or not path.is_file():
        lacking = PARAMS if path.is_file() else RECORD
        raise MissingInputError(
            f"{folder} has no {lacking}: `pipeline upgrade` runs in the folder of a project that `pipeline init` made"
        )
    with refusals(path):
        text = path.read_text(encoding="utf-8")
    try:
        record = json.loads(text)
        if not all(isinstance(record[name], kind) for name, kind in (("version", str), ("files", dict))):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: `git checkout {RECORD}` brings it back") from error
    return dict(record)


def digest(data: bytes) -> str:
    """The SHA-256 of a file's text; line ends of Windows are no change."""
    return sha256(data.replace(b"\r\n", b"\n")).hexdigest()
