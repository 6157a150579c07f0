"""Read DVC's files: the outs of the workspace, their hashes, and the stages that make them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from pipeline.errors import listing
from pipeline.store.dvc_lock import LOCK, Stages, locked_stages, stages_in
from pipeline.store.reading import read_bytes
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
    problems = [_unread(Path(file), error) for file, error in unread.items()]
    return outs, [*problems, *_cut_locks(repository, {Path(file) for file in unread})]


def _cut_locks(repository: Any, unread: set[Path]) -> Iterator[Problem]:
    """Lock files that can be read and have lost their end: DVC would take stages that ran for ones that never did."""
    names: dict[Path, set[str]] = {}
    for stage in repository.index.stages:
        if getattr(stage, "name", None):
            names.setdefault(Path(os.path.relpath(stage.path)), set()).add(stage.name)
    for file, stages in names.items():
        lock = file.with_name(LOCK)
        if file in unread or not lock.is_file():
            continue
        text = read_bytes(lock)
        lost = sorted((stages & set(_committed(repository, lock))) - set(locked_stages(lock)))
        if lost:
            yield Problem(f"{lock} has lost the stages {listing(lost)}, which the last commit has", _restore(lock))
        elif not text.endswith(b"\n"):
            yield Problem(f"{lock} ends in the middle of a line: it was cut short", _restore(lock))


def _committed(repository: Any, lock: Path) -> Stages:
    """The stages of a lock file as the last commit has it; none where there is no such commit."""
    try:
        place = Path(os.path.relpath(lock.resolve(), repository.scm.root_dir)).as_posix()
        with repository.scm.get_fs("HEAD").open(place, "rb") as file:
            return stages_in(file.read().decode())
    # DVC's own error where a project has no Git (`dvc init --no-scm`).
    except (OSError, ValueError, KeyError, SCMError, DvcException):
        return {}


def _restore(lock: Path) -> str:
    return (
        f"`git restore {lock}`, or without Git `rm {lock}`; then `dvc repro`, which finds in the cache what ran before"
    )


def _unread(file: Path, error: Exception) -> Problem:
    # An unreadable lock file counts as a fault of the dvc.yaml beside it, which is whole.
    for place in (file, file.with_suffix(".lock")):
        if place.is_file() and CONFLICT.search(read_bytes(place)):
            then = f"`git checkout --theirs {place}` or `--ours`"
            then += ", then `dvc repro`, which corrects it" if place.suffix == ".lock" else ", or edit it"
            return Problem(f"{place} holds both sides of a merge conflict: DVC cannot read it", then)
    lock = file.with_name(LOCK)
    if file.suffix == ".yaml" and lock.name in str(error) and lock.is_file():
        state = "is damaged, or cut short" if read_bytes(lock).strip(b"\0 \n") else "is empty"
        return Problem(f"{lock} {state}: DVC cannot read it", _restore(lock))
    return Problem(f"DVC cannot read {file}: {error}", f"fix it, or restore an earlier version: git checkout {file}")
