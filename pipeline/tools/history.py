"""Results of earlier runs: of the workspace, of DVC's experiments and of commits.

Reports are in Git, predictions in DVC's cache, under the hash that the run's dvc.lock names. Nothing is checked out.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, PipelineError
from pipeline.metrics.comparison import Result, is_report
from pipeline.store.dvc_lock import LOCK, Stages, hash_in
from pipeline.store.timing import key_in, timings
from pipeline.tools.lineage import TRAIN
from pipeline.tools.revisions import Revision, Workspace, repository, resolved

FETCH = "its predictions are not in DVC's cache: run `dvc fetch --all-commits` or `dvc exp pull`, or run it again"


def results(commits: int) -> list[Result]:
    """The workspace, if it differs from the last commit; then commits, the newest first, and all experiments.

    Args:
        commits: how many of the current branch are looked at; those alone that brought other results are listed.

    Raises:
        DataError: this is no repository of Git and DVC, or DVC is at work.
    """
    times = timings(Path(catalogue.TIMING))
    with repository() as found:
        pairs = list(_results(found, commits))
    trained = [(result, times.get((TRAIN, key_in(stages.get(TRAIN, {}))))) for result, stages in pairs]
    return [replace(result, seconds=None if took is None else took.fit_seconds) for result, took in trained]


def workspace_result() -> Result | None:
    """The result that lies in the current folder; None if there is none.

    Raises:
        DataError: its report is none that can be read.
    """
    path = Path(catalogue.EVALUATE_METRICS.path)
    if not path.exists():
        return None
    report = catalogue.EVALUATE_METRICS.read(path)
    if not is_report(report):
        raise DataError(f"{path} is not an evaluation report: run `dvc repro evaluate`")
    here = Workspace()
    if other := here.other_run():
        return Result("workspace", "workspace", None, {}, None, other)
    try:
        predictions = here.read(catalogue.PREDICTIONS)
    except PipelineError as error:
        return Result("workspace", "workspace", None, report, None, str(error), _flat(here.params()))
    return Result("workspace", "workspace", None, report, predictions, "", _flat(here.params()))


def revision_result(name: str) -> Result:
    """The result of a commit, branch, tag or experiment.

    Raises:
        DataError: neither Git nor DVC knows it; this is no repository of Git and DVC, or DVC is at work.
    """
    with repository() as found:
        return result_of(Revision(found, name, resolved(found, name)))


def result_of(run: Revision, kind: Literal["commit", "experiment"] = "commit") -> Result:
    """What a revision's run left, or the reason why its numbers do not count."""
    report = _report(run)
    if report is None:
        return Result(run.name, kind, run.commit, {}, None, "it has no results: its run did not reach `evaluate`")
    if other := run.other_run():
        # Not even its report: these numbers are another run's.
        return Result(run.name, kind, run.commit, {}, None, other)
    params = _flat(run.params())
    if run.hash_of(catalogue.PREDICTIONS.path) is None:
        return Result(run.name, kind, run.commit, report, None, f"its {LOCK} names no predictions", params)
    try:
        return Result(run.name, kind, run.commit, report, run.read(catalogue.PREDICTIONS), "", params)
    except MissingInputError:
        missing = FETCH
    except PipelineError:
        missing = "its predictions are damaged, or of another version: run it again"
    return Result(run.name, kind, run.commit, report, None, missing, params)


def _results(found: Any, commits: int) -> Iterator[tuple[Result, Stages]]:
    """Each with what its dvc.lock says of the stages."""
    history = [Revision(found, commit[:7], commit) for commit in _commits(found, commits)]
    workspace = workspace_result()
    if workspace is not None and not (workspace.report == _report(history[0]) and _locked_as(history[0])):
        yield workspace, Workspace().stages()
    seen: list[tuple[Any, str | None, str | None]] = []
    for commit in history:
        left = (_report(commit), *_made(commit.stages()))
        if left[0] is not None and left not in seen:
            seen.append(left)
            yield result_of(commit), commit.stages()
    for _, experiments in sorted(found.experiments.ls(all_commits=True).items()):
        for name, commit in sorted(experiments):
            run = Revision(found, name, commit)
            yield result_of(run, "experiment"), run.stages()


def _commits(found: Any, count: int) -> list[str]:
    try:
        return list(islice(found.scm.branch_revs("HEAD"), count))
    except Exception as error:  # scmrepo's backends raise many types where there is no commit
        raise DataError(f"Git has no commit here ({type(error).__name__}): commit once, then compare") from error


def _report(run: Revision) -> dict[str, Any] | None:
    """The report of a commit's evaluation; None where there is none that can be read."""
    try:
        value = json.loads(run.text(catalogue.EVALUATE_METRICS.path) or "null")
    except ValueError:
        return None
    return value if is_report(value) else None


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Params by their path, such as train.epochs."""
    if not isinstance(values, dict) or not values:
        return {prefix: values} if prefix else {}
    return {
        path: value
        for name, below in values.items()
        for path, value in _flat(below, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _locked_as(commit: Revision) -> bool:
    """Whether the workspace's lock names the commit's model and predictions."""
    return Path(LOCK).exists() and _made(Workspace().stages()) == _made(commit.stages())


def _made(stages: Stages) -> tuple[str | None, str | None]:
    """The hashes of model and predictions in DVC's cache; None where there is none."""
    return hash_in(stages, catalogue.MODEL.path), hash_in(stages, catalogue.PREDICTIONS.path)
