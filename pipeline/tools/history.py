"""What earlier runs left: the workspace's results, those of DVC's experiments, and those of commits.

Reports are in Git, predictions in DVC's cache, under the hash that the run's dvc.lock names. Nothing is checked out.
"""

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import catalogue
from pipeline.errors import DataError, PipelineError
from pipeline.metrics.comparison import Result, is_report
from pipeline.store.artifacts import read_bytes

LOCK = "dvc.lock"
FETCH = "its predictions are not in DVC's cache: `dvc fetch --all-commits`, `dvc exp pull`, or run it again"


def results(commits: int) -> list[Result]:
    """The workspace, if it differs from the last commit; then commits, the newest first, and all experiments.

    Args:
        commits: how many of the current branch are looked at; those alone that brought other results are listed.

    Raises:
        DataError: this is no repository of Git and DVC, or DVC is at work.
    """
    try:
        with Repo() as repository:
            return list(_results(repository, commits))
    except LockError as error:
        raise DataError(f"DVC is at work here: wait for it, or run `pipeline doctor` ({error})") from error
    except DvcException as error:
        raise DataError(f"DVC cannot list experiments here: {error}") from error


def _results(repository: Any, commits: int) -> Iterator[Result]:
    history = [_Revision(repository, rev) for rev in _commits(repository, commits)]
    workspace = _workspace()
    if workspace is not None and not (workspace.report == history[0].report() and _locked_as(history[0])):
        yield workspace
    seen: list[tuple[Any, str | None]] = []
    for commit in history:
        found = (commit.report(), commit.predictions_md5())
        if found[0] is not None and found not in seen:
            seen.append(found)
            yield commit.result("commit", commit.rev[:7])
    for _, experiments in sorted(repository.experiments.ls(all_commits=True).items()):
        for name, rev in sorted(experiments):
            yield _Revision(repository, rev).result("experiment", name)


def _commits(repository: Any, count: int) -> list[str]:
    try:
        return list(islice(repository.scm.branch_revs("HEAD"), count))
    except Exception as error:  # scmrepo's backends raise many types where there is no commit
        raise DataError(f"Git has no commit here ({type(error).__name__}): commit once, then compare") from error


def _workspace() -> Result | None:
    path = Path(catalogue.EVALUATE_METRICS.path)
    if not path.exists():
        return None
    report = catalogue.EVALUATE_METRICS.read(path)
    if not is_report(report):
        raise DataError(f"{path} is no report of an evaluation: run `dvc repro evaluate`")
    try:
        predictions = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    except PipelineError as error:
        return Result("workspace", "workspace", None, report, None, str(error))
    return Result("workspace", "workspace", None, report, predictions)


def _locked_as(commit: "_Revision") -> bool:
    """Whether the workspace's predictions are the commit's."""
    return Path(LOCK).exists() and _predictions_md5(read_bytes(Path(LOCK)).decode()) == commit.predictions_md5()


def _predictions_md5(locked: str) -> str | None:
    """The hash of predictions in DVC's cache, by the text of a dvc.lock; None where it names none."""
    try:
        outs = YAML(typ="safe").load(locked)["stages"]["evaluate"]["outs"]
        return next((str(out["md5"]) for out in outs if out["path"] == catalogue.PREDICTIONS.path), None)
    except (YAMLError, KeyError, TypeError):
        return None


class _Revision:
    """Files of a commit, read once."""

    def __init__(self, repository: Any, rev: str) -> None:
        self.rev = rev
        self._repository = repository
        self._files = repository.scm.get_fs(rev)
        # A project may lie in a folder of a larger repository.
        self._folder = PurePosixPath(Path(os.path.relpath(repository.root_dir, repository.scm.root_dir)).as_posix())
        self._report: dict[str, Any] | None = None

    def report(self) -> dict[str, Any] | None:
        """The report of the commit's evaluation; None where there is none that can be read."""
        if self._report is None:
            try:
                value = json.loads(self._text(catalogue.EVALUATE_METRICS.path) or "null")
            except ValueError:
                value = None
            self._report = value if is_report(value) else None
        return self._report

    def predictions_md5(self) -> str | None:
        """The hash of the commit's predictions in DVC's cache; None where its dvc.lock names none."""
        return _predictions_md5(self._text(LOCK) or "")

    def result(self, kind: Any, name: str) -> Result:
        """The same as a result."""
        report = self.report()
        if report is None:
            return Result(name, kind, self.rev, {}, None, "it has no results: its run did not reach `evaluate`")
        predictions, missing = self._predictions()
        return Result(name, kind, self.rev, report, predictions, missing)

    def _predictions(self) -> tuple[pd.DataFrame | None, str]:
        md5 = self.predictions_md5()
        if md5 is None:
            return None, f"its {LOCK} names no predictions"
        place = Path(self._repository.cache.local.oid_to_path(md5))
        if not place.exists():
            return None, FETCH
        try:
            return catalogue.PREDICTIONS.read(place), ""
        except PipelineError:
            return None, "its predictions are damaged, or of another version: run it again"

    def _text(self, path: str) -> str | None:
        try:
            with self._files.open((self._folder / path).as_posix(), "rb") as file:
                data: bytes = file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return data.decode(errors="replace")
