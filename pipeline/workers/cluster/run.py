"""Run jobs on the workers of a cluster, even if some of the workers die.

A job is idempotent: what a lost worker was at is done again, and what a slow one is at may be done twice; the first
result counts.
"""

import pickle
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError

from pipeline.errors import StorageError, WorkerError
from pipeline.workers.cluster.node import Done, contents
from pipeline.workers.cluster.pool import ClusterPool, ClusterWorker
from pipeline.workers.scheduler import Jobs
from pipeline.workers.serving import Job, Work

# A job that ended so many workers is given up: it would end all of them.
MAX_DEATHS = 3
# What a worker has at a time: one in work, and one that waits, so that it need not wait for this process.
DEPTH = 2
# A job that takes so many times the median, and so many seconds, is also given to a worker that has nothing to do.
SLOW_FACTOR, SLOW_SECONDS = 3, 5.0
# Seconds between two looks at the cluster while no result comes.
PATIENCE = 1.0


class Run:
    """All jobs of one map.

    Args:
        done: called with each job and its result, in any order.
        files: of the workspace, that a job reads; for nodes that do not see it.
    """

    def __init__(
        self,
        pool: ClusterPool,
        work: Work,
        jobs: Jobs,
        done: Callable[[Job, Any], None],
        files: Callable[[Job], Sequence[Path]],
    ) -> None:
        self._pool = pool
        self._key = secrets.token_hex(8)
        self._work = ray.put(pickle.dumps(work))
        self._jobs = jobs
        self._done = done
        self._files = files
        self._waiting = deque(range(jobs.count))
        self._results: dict[int, Any] = {}
        self._deaths: Counter[int] = Counter()
        self._took: list[float] = []

    def results(self) -> list[Any]:
        """Of all jobs, in their order.

        Raises:
            WorkerError: a job ended several workers, or none is left.
            StorageError: the cluster's memory for results, and the disk behind it, are full.
        """
        while len(self._results) < self._jobs.count:
            self._pool.refresh()
            self._give()
            awaited = [*self._pool.awaited, *(one for worker in self._pool.ready for one in worker.given)]
            ready, _ = ray.wait(awaited, timeout=PATIENCE) if awaited else ([], [])
            for reference in ready:
                self._hear(reference)
        return [self._results[number] for number in range(self._jobs.count)]

    def _give(self) -> None:
        """Give each worker what it can take; what is left when nothing waits are jobs that are slow."""
        depth = DEPTH if len(self._waiting) > DEPTH * len(self._pool.ready) else 1
        for room in range(1, depth + 1):
            for worker in self._pool.ready:
                if len(worker.given) < room and (number := self._next(worker)) is not None:
                    self._give_to(worker, number)

    def _next(self, worker: ClusterWorker) -> int | None:
        while self._waiting:
            number = self._waiting.popleft()
            if number not in self._results:
                return number
        return None if worker.given else self._slowest()

    def _slowest(self) -> int | None:
        """The job that is longest overdue and that one worker alone has."""
        if not self._took:
            return None
        given = [entry for worker in self._pool.ready for entry in worker.given.values()]
        counts = Counter(number for number, _ in given)
        since = {number: begun for number, begun in given if counts[number] == 1 and number not in self._results}
        limit = max(SLOW_SECONDS, SLOW_FACTOR * median(self._took))
        number = min(since, key=since.__getitem__, default=None)
        return number if number is not None and time.monotonic() - since[number] > limit else None

    def _give_to(self, worker: ClusterWorker, number: int) -> None:
        job = self._jobs.make(number)
        assert worker.report is not None  # noqa: S101
        files = {} if worker.report.sees_workspace else contents(self._files(job))
        worker.given[worker.actor.do.remote(self._key, self._work, job, files)] = (number, time.monotonic())

    def _hear(self, reference: Any) -> None:
        worker = next((one for one in self._pool.ready if reference in one.given), None)
        if worker is None:
            self._pool.started(reference)
            return
        try:
            answer: Done = ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error  # its result could not be sent
        except (ObjectStoreFullError, OutOfDiskError) as error:
            raise StorageError(
                f"node {worker.host}: Ray's object store and the disk behind it are full: free space in /dev/shm and "
                "Ray's temporary folder there; finished work is kept"
            ) from error
        except RayError as error:
            self._lose(worker, error)
            return
        number, begun = worker.given.pop(reference)
        if isinstance(answer.error, WorkerError):
            self._count_death(number, worker, answer.error)
            self._waiting.appendleft(number)
        elif answer.error is not None:
            raise answer.error
        elif number not in self._results:
            self._took.append(time.monotonic() - begun)
            for place, content in (answer.files or {}).items():
                _write(Path(place), content)
            job = self._jobs.make(number)
            self._results[number] = answer.result
            self._done(job, answer.result)

    def _lose(self, worker: ClusterWorker, error: RayError) -> None:
        """What a dead worker had waits for others."""
        numbers = [number for number, _ in worker.given.values()]
        if numbers:
            self._count_death(numbers[0], worker, error)
        self._waiting.extendleft(reversed(numbers))
        worker.given.clear()
        self._pool.lost(worker)

    def _count_death(self, number: int, worker: ClusterWorker, error: Exception) -> None:
        self._deaths[number] += 1
        if self._deaths[number] >= MAX_DEATHS:
            raise WorkerError(
                f"{MAX_DEATHS} workers of the cluster died at the same task, the last one on {worker.host}, most often "
                "because memory ran out: start its nodes with fewer processors (`ray start --num-cpus`); finished work "
                "is kept"
            ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
