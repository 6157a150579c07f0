"""The ledger of looks at test on disk, checked against what Git has of it."""

import subprocess
from pathlib import Path

from pipeline.core.test.ledger import Look, check_continues, ledger_text, read_ledger
from pipeline.errors import VaultError
from pipeline.files.storage import Artifact, read_bytes, text


def ledger(path: str) -> Artifact:
    """An artifact: the looks at test, the first one first; none before the first."""

    def read(place: Path) -> list[Look]:
        written = _decoded(read_bytes(place), place) if place.exists() else ""
        check_continues(written, committed(place), str(place))
        return read_ledger(written, str(place))

    def write(looks: list[Look], place: Path) -> None:
        text(path).write(ledger_text(looks), place)

    return Artifact(path, read, write)


def committed(path: Path) -> str:
    """A file as the last commit has it; empty if it has none, or there is no Git."""
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "show", f"HEAD:./{path.as_posix()}"],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return _decoded(found.stdout, path) if found.returncode == 0 else ""


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise VaultError(f"{path} was edited: it is no text; restore it from Git") from error
