"""What DVC's files say of the workspace: its outs, their hashes, and who makes them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.store.artifacts import read_bytes
from pipeline.tools.doctor.findings import Problem

CONFLICT = re.compile(rb"^<{7}( |$)", re.MULTILINE)


@dataclass(frozen=True)
class Out:
    """A file or folder of the workspace that DVC keeps in its cache.

    md5: 32 hex digits, and `.dir` for a folder. owner: the stage, or the .dvc file, as DVC's commands
    name it. added: no stage makes it; it came by `dvc add` or `dvc import`.
    """

    path: Path
    md5: str
    owner: str
    added: bool

    @property
    def maker(self) -> str:
        """The command that makes it again."""
        return f"dvc pull --force {self.owner}" if self.added else f"dvc repro {self.owner}"

    @property
    def keeper(self) -> str:
        """The command that puts what the workspace has into the cache."""
        return f"dvc commit --force {self.owner}"


def records(repository: Any) -> tuple[list[Out], list[Problem]]:
    """The outs that dvc.lock and .dvc files name, relative to the current folder, and files that DVC cannot read."""
    unread: dict[str, Exception] = {}
    repository.stage_collection_error_handler = unread.setdefault
    outs = [
        Out(Path(os.path.relpath(out.fs_path)), out.hash_info.value, out.stage.addressing, out.stage.is_data_source)
        for out in repository.index.outs
        if out.use_cache and out.hash_info.name == "md5" and out.hash_info.value
    ]
    return outs, [_unread(Path(file), error) for file, error in unread.items()]


def _unread(file: Path, error: Exception) -> Problem:
    # An unreadable lock file counts as a fault of the dvc.yaml beside it.
    for place in (file, file.with_suffix(".lock")):
        if place.is_file() and CONFLICT.search(read_bytes(place)):
            then = f"`git checkout --theirs {place}` or `--ours`"
            then += ", then `dvc repro`, which corrects it" if place.suffix == ".lock" else ", or edit it"
            return Problem(f"{place} holds both sides of a merge conflict: DVC cannot read it", then)
    return Problem(f"DVC cannot read {file}: {error}", f"mend it, or take an earlier one: git checkout {file}")
