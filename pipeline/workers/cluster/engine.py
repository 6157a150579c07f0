"""The engine `ray`: maps over tasks as `workers/engine.py` has them, done by the workers of a cluster."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.workers.cluster.connection import connect
from pipeline.workers.cluster.crew import Crew, WorkspaceUnseenError, processors
from pipeline.workers.cluster.node import Workspace
from pipeline.workers.cluster.run import Run
from pipeline.workers.engine import Engine, Files, each, job_of_items
from pipeline.workers.progress import progress, say
from pipeline.workers.scheduler import Jobs, Result, Task
from pipeline.workers.serving import Guard, Job, Work


@dataclass(frozen=True)
class RayEngine(Engine):
    """Runs work on a cluster.

    workers: processes of this machine, for work that does not travel. address: see `connect`.
    limit: on the workers of the cluster; None: one for each of its processors.
    reads: absolute paths that tasks read; None: files of the workspace.
    """

    address: str | None = None
    limit: int | None = None
    reads: tuple[str, ...] | None = None

    @property
    def slots(self) -> int:
        connect(self.address, self.workers)
        there = sum(processors().values())
        return max(1, there if self.limit is None else min(there, self.limit))

    @property
    def distributed(self) -> bool:
        return True

    def reading(self, paths: Sequence[Path]) -> "RayEngine":
        # A relative path leads somewhere from the workspace alone.
        return replace(self, reads=tuple(map(str, paths)) if all(path.is_absolute() for path in paths) else None)

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        title: str,
        size: Callable[[Task], int] = lambda _: 1,
        chunk_size: int = 1,
        total: int | None = None,
        files: Files[Task, Result] | None = None,
    ) -> list[Result]:
        if len(tasks) < 2:
            return Engine(1).map(function, tasks, title, size, chunk_size, total, files)
        with progress(title, sum(map(size, tasks)) if total is None else total) as advance:

            def done(job: Job, results: list[Result]) -> None:
                for task, result in zip(job.task, results, strict=True):
                    if files is not None:
                        files.finish(task, result)
                    advance(size(task))

            def read(job: Job) -> list[Path]:
                return [path for task in job.task for path in files.reads(task)] if files is not None else []

            starts = range(0, len(tasks), chunk_size)
            jobs = Jobs(len(starts), lambda number: Job(number, tasks[starts[number] : starts[number] + chunk_size]))
            try:
                parts = self._run(Work(partial(each, function)), jobs, done, read)
            except WorkspaceUnseenError:
                return self._here(title).map(function, tasks, title, size, chunk_size, total, files)
            return [result for part in parts for result in part]

    def map_guarded(
        self,
        function: Callable[[Task, Iterator[Any]], Result],
        tasks: Sequence[Task],
        items: Callable[[Task], Sequence[Any]],
        guard: Guard,
        title: str,
        size: Callable[[Task], int] = lambda _: 1,
        total: int | None = None,
        files: Files[Task, Result] | None = None,
    ) -> list[Result]:
        if len(tasks) < 2:
            return Engine(1).map_guarded(function, tasks, items, guard, title, size, total, files)
        with progress(title, sum(map(size, tasks)) if total is None else total) as advance:

            def done(job: Job, result: Result) -> None:
                if files is not None:
                    files.finish(job.task, result)
                advance(size(job.task))

            jobs = Jobs(len(tasks), lambda number: job_of_items(number, tasks[number], items))
            try:
                return self._run(Work(function, guard), jobs, done, lambda job: files.reads(job.task) if files else [])
            except WorkspaceUnseenError:
                return self._here(title).map_guarded(function, tasks, items, guard, title, size, total, files)

    def _here(self, title: str) -> Engine:
        """Processes of this machine, because no node sees the files; none of the tasks has begun."""
        say(f"{title}: no node of the cluster sees the workspace, so processes of this machine do this")
        return Engine(self.workers)

    def _run(
        self, work: Work, jobs: Jobs, done: Callable[[Job, Any], None], files: Callable[[Job], Sequence[Path]]
    ) -> list[Any]:
        name = connect(self.address, self.workers)
        with _marked_workspace(self.reads) as workspace:
            place = (name, workspace.folder, workspace.reads, self.limit)
            crew = _CREWS.pop(place, None) or Crew(name, self.slots)
            crew.begin(workspace)
            try:
                results = Run(crew, work, jobs, done, files).results()
            except BaseException:
                crew.dismiss()
                raise
            # A worker takes a second or two to start: it stays for the next work of this process.
            _CREWS[place] = crew
            return results


_CREWS: dict[tuple[Any, ...], Crew] = {}


@contextmanager
def _marked_workspace(reads: tuple[str, ...] | None) -> Iterator[Workspace]:
    """The current folder, with a file in it by which nodes tell that they see it."""
    folder, token = Path.cwd(), secrets.token_hex(16)
    marker = Path(f".pipeline-{token[:8]}.partial")
    marker.write_text(token)
    try:
        yield Workspace(str(folder), marker.name, token, (str(folder),) if reads is None else reads)
    finally:
        marker.unlink(missing_ok=True)
