"""Jobs done by worker processes: who gets which, what is done when one dies, and results in order."""

import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, TypeVar

from pipeline.errors import WorkerError
from pipeline.workers.pool import Worker, worker_pool
from pipeline.workers.serving import Job, Work

WORKERS_VARIABLE = "PIPELINE_WORKERS"

Task = TypeVar("Task")


Result = TypeVar("Result")


@dataclass(frozen=True)
class Jobs:
    """A number of jobs, each made when a worker takes it, because those of a million files do not fit into memory."""

    count: int
    make: Callable[[int], Job]


def run(work: Work, jobs: Jobs, workers: int, done: Callable[[Job, Any], None]) -> list[Any]:
    """The results of all jobs, in their order."""
    with worker_pool(min(workers, jobs.count)) as pool:
        scheduler = _Scheduler(work, jobs, pool, done)
        scheduler.run()
        return scheduler.results()


def run_here_too(work: Work, jobs: Jobs, workers: int, done: Callable[[Job, Any], None]) -> list[Any]:
    """The same with this process as one of the workers: it need not be started, which takes a second or two."""
    errors: deque[BaseException] = deque()
    with worker_pool(min(workers, jobs.count) - 1) as pool:
        scheduler = _Scheduler(work, jobs, pool, done)

        def lead() -> None:
            try:
                scheduler.run()
            except BaseException as error:  # noqa: BLE001 - raised where this process works
                errors.append(error)

        # To tell a process that still starts of its work can take as long as its start. No Future, whose lock stays
        # locked when Ctrl-C comes in the moment in which it is taken.
        others = Thread(target=lead, daemon=True)
        others.start()
        try:
            while (job := scheduler.next()) is not None and not errors:
                scheduler.enter(job, work.function(job.task))
            others.join()
            if errors:
                raise errors[0]
        except BaseException:
            # Without them the thread ends, too.
            for worker in pool:
                worker.kill()
            others.join()
            raise
        return scheduler.results()


class _Scheduler:
    """Jobs, done by workers.

    A worker that dies over an item is followed by a new one, which makes that item first, alone; if it
    dies, too, the item is refused. From the first death on, a job's workers tell each item as soon as
    it is made, so that many bad items cost no more than themselves.
    """

    def __init__(self, work: Work, jobs: Jobs, pool: list[Worker], done: Callable[[Job, Any], None]) -> None:
        self._work = work
        # Once for all jobs of a worker, which so keeps what the function has opened or built.
        self._pickled = pickle.dumps(work)
        self._jobs = jobs
        self._waiting = deque(range(jobs.count))
        self._pool = pool
        # Each worker has a job for sure, however fast others are.
        self._first = {worker: jobs.make(self._waiting.popleft()) for worker in pool}
        self._done = done
        self._results: dict[int, Any] = {}

    def run(self) -> None:
        """Tell the workers what to do, hear what they have done and give them more, until there is no more."""
        for worker, job in self._first.items():
            worker.begin(self._pickled, self._work.guard)
            worker.give(job)
        while busy := [worker for worker in self._pool if worker.job is not None]:
            patience = min(worker.left() for worker in busy)
            ready = wait([worker.connection for worker in busy], None if patience == inf else max(patience, 0.01))
            for worker in busy:
                if worker.connection in ready:
                    self._hear(worker)
                elif worker.left() <= 0:
                    worker.stop_overdue()

    def next(self) -> Job | None:
        """A job that nobody has taken; two threads may ask for one."""
        try:
            number = self._waiting.popleft()
        except IndexError:
            return None
        return self._jobs.make(number)

    def enter(self, job: Job, result: Any) -> None:
        """Note what came of a job."""
        self._results[job.number] = result
        self._done(job, result)

    def results(self) -> list[Any]:
        """Of all jobs, in their order."""
        return [self._results[number] for number in range(self._jobs.count)]

    def _give_next(self, worker: Worker) -> None:
        worker.job = None
        if (job := self.next()) is not None:
            worker.give(job)

    def _hear(self, worker: Worker) -> None:
        job = worker.job
        assert job is not None  # noqa: S101
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker, job)
            return
        match kind:
            case "item":
                number, job.known[content[0]] = content
                job.suspect = None if job.suspect == number else job.suspect
            case "done":
                self.enter(job, content)
                self._give_next(worker)
            case "failed":
                worker.job = None
                raise content

    def _replace(self, worker: Worker, job: Job) -> None:
        end = worker.end()
        if self._work.guard is None or not end.blames_item or (end.outside and job.suspect == end.item):
            raise WorkerError(
                "a worker process died, most often because memory ran out: "
                f"run the command again with fewer workers (--workers or {WORKERS_VARIABLE}); finished work is kept"
            )
        if end.item is not None and job.suspect == end.item:
            job.known[end.item] = self._work.guard.refuse(job.items[end.item], end.reason, end.words)
            job.suspect = None
        elif end.item is not None:
            job.suspect = end.item
        successor = self._pool[self._pool.index(worker)] = Worker()
        successor.begin(self._pickled, self._work.guard)
        successor.give(job)
