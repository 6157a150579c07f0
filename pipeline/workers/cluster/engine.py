"""The engine `ray`: maps over tasks as `workers/engine.py` has them, done by the workers of a cluster."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.workers.cluster.connection import connect
from pipeline.workers.cluster.node import Workspace
from pipeline.workers.cluster.pool import ClusterPool, WorkspaceUnseenError, processors
from pipeline.workers.cluster.run import Run
from pipeline.workers.engine import Engine
from pipeline.workers.progress import say
from pipeline.workers.scheduler import Jobs
from pipeline.workers.serving import Job, Work


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

    def _spread(
        self,
        work: Work,
        jobs: Jobs,
        done: Callable[[Job, Any], None],
        reads: Callable[[Job], Sequence[Path]],
        title: str,
    ) -> list[Any]:
        if jobs.count < 2:
            return super()._spread(work, jobs, done, reads, title)
        try:
            return self._on_cluster(work, jobs, done, reads)
        except WorkspaceUnseenError:  # none of the jobs has begun
            say(f"{title}: no node of the cluster can read the workspace, so this machine does the work")
            return super()._spread(work, jobs, done, reads, title)

    def _on_cluster(
        self, work: Work, jobs: Jobs, done: Callable[[Job, Any], None], files: Callable[[Job], Sequence[Path]]
    ) -> list[Any]:
        name = connect(self.address, self.workers)
        with _marked_workspace(self.reads) as workspace:
            place = (name, workspace.folder, workspace.reads, self.limit)
            pool = _POOLS.pop(place, None) or ClusterPool(name, self.slots)
            pool.begin(workspace)
            try:
                results = Run(pool, work, jobs, done, files).results()
            except BaseException:
                pool.stop()
                raise
            # A worker takes a second or two to start: it stays for the next work of this process.
            _POOLS[place] = pool
            return results


_POOLS: dict[tuple[Any, ...], ClusterPool] = {}


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
