"""Results of earlier runs: of the workspace, of DVC's experiments and of commits.

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
from scmrepo.exceptions import SCMError

from pipeline import catalogue
from pipeline.errors import DataError, PipelineError
from pipeline.metrics.comparison import Result, is_report
from pipeline.names import shown
from pipeline.project.params_file import PARAMS_FILE
from pipeline.store.dvc_lock import LOCK, Stages, locked_stages, stages_in
from pipeline.tools.lineage import of_workspace, other_run
from pipeline.yaml_values import yaml_values

FETCH = "its predictions are not in DVC's cache: run `dvc fetch --all-commits` or `dvc exp pull`, or run it again"


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
        raise DataError(f"DVC is running here: wait for it, or run `pipeline doctor` ({error})") from error
    except DvcException as error:
        raise DataError(f"DVC cannot list experiments here: {error}") from error


def workspace_result() -> Result | None:
    """The result that lies in the current folder, without DVC; None if there is none.

    Raises:
        DataError: its report is none that can be read.
    """
    return _workspace()


def revision_result(revision: str) -> Result:
    """The result of a commit, branch, tag or experiment.

    Args:
        revision: what Git knows by this name, or an experiment's name as `dvc exp show` lists it.

    Raises:
        DataError: neither Git nor DVC knows it; this is no repository of Git and DVC, or DVC is at work.
    """
    try:
        with Repo() as repository:
            return _Revision(repository, _resolved(repository, revision)).result("commit", revision)
    except LockError as error:
        raise DataError(f"DVC is running here: wait for it, or run `pipeline doctor` ({error})") from error
    except DvcException as error:
        raise DataError(f"DVC cannot read {shown(revision)} here: {error}") from error


def _resolved(repository: Any, revision: str) -> str:
    try:
        found: str = repository.scm.resolve_rev(revision)
    except SCMError as error:
        experiments = [one for listed in repository.experiments.ls(all_commits=True).values() for one in listed]
        named = [rev for name, rev in experiments if name == revision and rev]
        if not named:
            raise DataError(
                f"neither Git nor DVC knows a revision {shown(revision)}: name a commit, branch, tag or experiment "
                "(`git fetch` brings branches that a shallow clone lacks)"
            ) from error
        return str(named[0])
    return found


def _results(repository: Any, commits: int) -> Iterator[Result]:
    history = [_Revision(repository, rev) for rev in _commits(repository, commits)]
    workspace = _workspace()
    if workspace is not None and not (workspace.report == history[0].report() and _locked_as(history[0])):
        yield workspace
    seen: list[tuple[Any, str | None, str | None]] = []
    for commit in history:
        found = (commit.report(), *commit.made())
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
        raise DataError(f"{path} is not an evaluation report: run `dvc repro evaluate`")
    if other := of_workspace():
        return Result("workspace", "workspace", None, {}, None, other)
    try:
        predictions = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    except PipelineError as error:
        return Result("workspace", "workspace", None, report, None, str(error), _params_here())
    return Result("workspace", "workspace", None, report, predictions, "", _params_here())


def _params_here() -> dict[str, Any]:
    return _flat(yaml_values(PARAMS_FILE.read_text(encoding="utf-8"))) if PARAMS_FILE.is_file() else {}


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Params by their path, such as train.epochs."""
    if not isinstance(values, dict) or not values:
        return {prefix: values} if prefix else {}
    return {
        path: value
        for name, below in values.items()
        for path, value in _flat(below, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _locked_as(commit: "_Revision") -> bool:
    """Whether the workspace's lock names the commit's model and predictions."""
    return Path(LOCK).exists() and _made(locked_stages(Path(LOCK))) == commit.made()


def _made(stages: Stages) -> tuple[str | None, str | None]:
    """The hashes of model and predictions in DVC's cache; None where there is none."""
    found = {str(out.get("path")): str(out.get("md5")) for entry in stages.values() for out in entry["outs"]}
    return found.get(catalogue.MODEL.path), found.get(catalogue.PREDICTIONS.path)


class _Revision:
    """Files of a commit, read once."""

    def __init__(self, repository: Any, rev: str) -> None:
        self.rev = rev
        self._repository = repository
        self._files = repository.scm.get_fs(rev)
        # A project may lie in a folder of a larger repository.
        self._folder = PurePosixPath(Path(os.path.relpath(repository.root_dir, repository.scm.root_dir)).as_posix())
        self._report: dict[str, Any] | None = None
        self._stages: Stages | None = None

    def report(self) -> dict[str, Any] | None:
        """The report of the commit's evaluation; None where there is none that can be read."""
        if self._report is None:
            try:
                value = json.loads(self._text(catalogue.EVALUATE_METRICS.path) or "null")
            except ValueError:
                value = None
            self._report = value if is_report(value) else None
        return self._report

    def stages(self) -> Stages:
        """What the commit's dvc.lock says of each stage; nothing where it cannot be read."""
        if self._stages is None:
            try:
                self._stages = stages_in(self._text(LOCK) or "")
            except ValueError:
                self._stages = {}
        return self._stages

    def made(self) -> tuple[str | None, str | None]:
        """The hashes of the commit's model and predictions in DVC's cache; None where its dvc.lock names none."""
        return _made(self.stages())

    def other_run(self) -> str:
        """Why the commit's predictions are not of the model, split and params that it has; empty if they are."""
        try:
            return other_run(self.stages(), yaml_values(self._text(PARAMS_FILE.as_posix()) or ""))
        except ValueError:
            return f"its {PARAMS_FILE} cannot be read"

    def _params(self) -> dict[str, Any]:
        return _flat(yaml_values(self._text(PARAMS_FILE.as_posix()) or ""))

    def result(self, kind: Any, name: str) -> Result:
        """The same as a result."""
        report = self.report()
        if report is None:
            return Result(name, kind, self.rev, {}, None, "it has no results: its run did not reach `evaluate`")
        if other := self.other_run():
            # Not even its report: these numbers are another run's.
            return Result(name, kind, self.rev, {}, None, other)
        predictions, missing = self._predictions()
        return Result(name, kind, self.rev, report, predictions, missing, self._params())

    def _predictions(self) -> tuple[pd.DataFrame | None, str]:
        _, md5 = self.made()
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
