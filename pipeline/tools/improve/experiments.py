"""Moves as experiments of DVC, run in the workspace, which is restored after each of them.

Not in a temporary folder (`dvc exp run --temp`): sources that neither Git nor DVC knows are not there, and what stages
reuse, shards above all, would be made anew. So the workspace must be clean: what a run changes (params.yaml, dvc.lock,
reports, DVC's outs) is then what the last commit has. A mark on the disk says that a run is on; whoever comes after a
kill puts the workspace back first.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline import catalogue
from pipeline.diagnosis.param_changes import DROPPED, EXPERIMENT, changed, command_of
from pipeline.errors import DataError, MissingInputError, PipelineError, listing
from pipeline.project.code import check_version
from pipeline.project.params_file import PARAMS_FILE, Params
from pipeline.store.curves import Curves
from pipeline.store.dvc_lock import LOCK, locked_stages
from pipeline.store.reading import read_bytes
from pipeline.store.timing import of_stages
from pipeline.store.writing import remove, write_files
from pipeline.tools.git_head import branch_of_head
from pipeline.tools.history import result_of, workspace_result
from pipeline.tools.improve.bench import Search, State
from pipeline.tools.improve.cost import minutes_of, plain_stages
from pipeline.tools.improve.last_resorts import ensembles_of
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.moves import Move, as_key, differences
from pipeline.tools.improve.restoring import attach_head, git, git_code, put_back
from pipeline.tools.revisions import Revision, Workspace, repository, resolved
from pipeline.tools.tune.outcome import Outcome
from pipeline.tools.tune.tune import tune
from pipeline.workers.engine import Engine
from pipeline.workers.process_ids import is_alive, process_id
from pipeline.workers.stopping import stop_deferred
from pipeline.yaml_values import yaml_values

FOLDER = Path("improve")
MARK = FOLDER / "running.json"
# Trials of a search, and seconds that a stopped run gets to end.
TRIALS, PATIENCE = 20, 60


class Experiments:
    """Runs moves as experiments of DVC.

    Raises:
        DataError: this is no repository of Git and DVC, there is no commit, or changes of files are not committed.
        MissingInputError: there is no run to begin with.
    """

    def __init__(self, params: Params, show: Callable[[str], None]) -> None:
        self._params, self._show = params, show
        _head()
        with repository():
            pass
        _put_back_after_a_kill(show)
        self.head = _head()
        _check_clean()
        self.today = _today()
        _check_code(params)
        self._times = of_stages(Path(catalogue.TIMING), locked_stages(Path(LOCK)))
        curves: Curves = catalogue.CURVES.read(Path(catalogue.CURVES.path))
        self._epochs = len(curves.epochs) or None

    def run(self, name: str, values: Mapping[str, Any]) -> State:
        """Run params as an experiment, and leave the workspace as it was.

        Raises:
            DataError: the run failed.
        """
        words = shlex.split(self.command(values, name))
        with _Running(self.head, name, values):
            code = _wait([sys.executable, "-m", *words])
        found = self.load(name)
        if code or found is None:
            raise DataError(f"the run failed with exit code {code}; its messages are above")
        return found

    def command(self, values: Mapping[str, Any], name: str) -> str:
        """The command of an experiment."""
        changes = differences(self.today.values, values)
        return command_of(self.today.values, changes).replace(EXPERIMENT, f"{EXPERIMENT} --name {name}", 1)

    def minutes(self, values: Mapping[str, Any], after: Mapping[str, Any], diagnosed: State) -> float | None:
        """By the times of today's run. All that is changed runs again; DVC's cache may have some of it."""
        return minutes_of(self.today.values, after, self._times, self._epochs)

    def target(self, entry: Entry) -> dict[str, Any]:
        """The params of a try, by what the log says that it changed of today's."""
        return changed(self.today.values, {**entry.changes, **dict.fromkeys(entry.gone, DROPPED)})

    def load(self, name: str) -> State | None:
        """A finished experiment; None where DVC has none of this name that reached its end."""
        with repository() as found:
            try:
                run = Revision(found, name, resolved(found, name))
                diagnosis = json.loads(run.text(catalogue.DIAGNOSIS.path) or "null")
                result = result_of(run, "experiment")
                values = run.params()
            except (PipelineError, ValueError):
                return None
        return State(result, diagnosis, values) if diagnosis and result.report else None

    def search(self, state: State, name: str, minutes: float | None) -> Search | None:
        """`pipeline tune` around a run; None where params.yaml says of nothing that it may vary."""
        if not self._params.tune.space:
            return None
        self._show(f"no advice is left: searching for better params (section tune) with {TRIALS} trials")
        with _Running(self.head, name, state.values):
            if as_key(state.values) != as_key(self.today.values):
                _wait([sys.executable, "-m", "dvc", "exp", "apply", state.result.name])
            try:
                found = tune(TRIALS, minutes, Engine(1), self._show)
            except PipelineError as error:
                self._show(f"the search ended without a model: {error}")
                return None
        return search_of(found, self._show)

    def ensembles(self, state: State) -> Sequence[Move]:
        """The ensembles that a run's params allow, the cheapest first."""
        return ensembles_of(state.values)

    def apply(self, name: str) -> int:
        """Put a kept experiment into the workspace; DVC's exit code."""
        return _wait([sys.executable, "-m", "dvc", "exp", "apply", name])


def search_of(found: Outcome, show: Callable[[str], None]) -> Search:
    """What a search brings as a move; without a winner that is better beyond noise it has no changes, and says so."""
    if not found.better or not found.changes:
        show("the search found no params that are better beyond noise")
        return Search({}, "")
    one = found.selection
    return Search(found.changes, "what a search found", 0.0 if one is None else abs(one.value - one.corrected))


class _Running:
    """A run changes the workspace inside; at its end, in whatever way, the workspace is as it was."""

    def __init__(self, head: str, name: str, values: Mapping[str, Any]) -> None:
        self._branch = branch_of_head()
        self._mark = {"head": head, "branch": self._branch, "name": name, "params": as_key(values), "process": ""}

    def __enter__(self) -> None:
        write_files({MARK: json.dumps(self._mark).encode()})

    def __exit__(self, *_: object) -> None:
        with stop_deferred():
            put_back(self._branch)
            remove(MARK)


def _wait(words: Sequence[str]) -> int:
    """Run a command in a session of its own, so that it ends, with all that it began, before this one does."""
    # What it prints is not what a program reads of this command.
    with subprocess.Popen(words, stdout=sys.stderr, stdin=subprocess.DEVNULL, start_new_session=True) as process:  # noqa: S603
        if MARK.is_file():
            mark = json.loads(MARK.read_text(encoding="utf-8"))
            write_files({MARK: json.dumps({**mark, "process": process_id(process.pid)}).encode()})
        try:
            return process.wait()
        except BaseException:
            with stop_deferred():
                _end(process.pid, lambda: process.poll() is None)
            raise


def _end(number: int, runs: Callable[[], bool]) -> None:
    """End a session: as Ctrl-C does, and by force if that takes too long."""
    for sent, seconds in ((signal.SIGINT, PATIENCE), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with suppress(ProcessLookupError):
            os.killpg(number, sent)
        for _ in range(10 * seconds):
            # Git, which DVC began, may outlive it for a moment and still write.
            if not runs() and not _is_group(number):
                return
            time.sleep(0.1)


def _is_group(number: int) -> bool:
    """Whether any process of a session is left."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def _put_back_after_a_kill(show: Callable[[str], None]) -> None:
    """Raise DataError if somebody has gone on in the workspace that a killed run left."""
    if not MARK.exists():
        return
    try:
        mark = json.loads(read_bytes(MARK).decode())
        process, then, params = mark["process"], mark["head"], mark["params"]
        branch = mark.get("branch", "")
    except (ValueError, KeyError, TypeError):
        # Killed before anything was changed: marks are whole or not there.
        remove(MARK)
        return
    if is_alive(process):
        show(f"stopping the run {mark['name']}, which a killed `pipeline improve` left running")
        _end(int(process.partition(" ")[0]), lambda: is_alive(process))
    with suppress(DataError):
        # Where Git is locked for a moment, `put_back` tries again.
        attach_head(branch)
    if git("diff", "HEAD", "--name-only", "--", PARAMS_FILE.as_posix()):
        here = as_key(yaml_values(PARAMS_FILE.read_text(encoding="utf-8")))
        if then != _head() or here != params:
            raise DataError(
                f"a killed run left this workspace changed, and {PARAMS_FILE} was edited since: save what you need, "
                f"run `git restore {PARAMS_FILE} dvc.lock reports && dvc checkout`, and remove {MARK}"
            )
    show("restoring the workspace that a killed run changed")
    put_back(branch)
    remove(MARK)


def _head() -> str:
    """The last commit."""
    if git_code("rev-parse", "--git-dir"):
        raise DataError(
            "this folder is not in a Git repository, which the experiments of DVC need: run "
            "`git init`, `dvc init` and `dvc repro`, and commit"
        )
    if git_code("rev-parse", "--verify", "--quiet", "HEAD"):
        raise DataError(
            "this Git repository has no commit, and an experiment starts from one: run `dvc repro`, and commit"
        )
    return git("rev-parse", "HEAD").strip()


def _check_clean() -> None:
    changed = [line[3:] for line in git("status", "--porcelain", "--untracked-files=no", "--", ".").splitlines()]
    if changed:
        raise DataError(
            f"{len(changed)} files have changes that are not committed ({listing(changed, 5)}): commit them first, "
            "because each try restores the workspace to the last commit"
        )


def _check_code(params: Params) -> None:
    changed = [name for name in plain_stages() if check_version(name, params)]
    if changed:
        raise DataError(
            f"the code of {listing(changed, 5)} has changed since the last run, so a try would differ in more "
            "than its params: run `dvc repro`, and commit"
        )


def _today() -> State:
    result = workspace_result()
    if result is None or not Path(catalogue.DIAGNOSIS.path).exists():
        raise MissingInputError("there is no run to start from: run `dvc repro`, and commit")
    if result.predictions is None:
        raise DataError(f"the last run is incomplete: {result.missing}. Run `dvc repro`, and commit")
    return State(result, catalogue.DIAGNOSIS.read(Path(catalogue.DIAGNOSIS.path)), Workspace().params())
