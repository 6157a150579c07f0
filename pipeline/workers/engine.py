"""Work spread over processes, in order, with a progress bar.

How many workers there are is an engine setting, never a param: it must not change any output.
"""

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any, Generic, TypeVar

from pipeline.errors import ParamsError, WorkerError
from pipeline.workers.cluster.settings import configure
from pipeline.workers.libraries import keep_freed_memory
from pipeline.workers.pool import Worker, worker_pool
from pipeline.workers.progress import progress
from pipeline.workers.serving import Guard, Job, Work

WORKERS_VARIABLE = "PIPELINE_WORKERS"
ENGINE_VARIABLE = "PIPELINE_ENGINE"
# What it may name: processes of this machine, or of a cluster of Ray; `ray://HOST:PORT` names a cluster, too.
PROCESSES, RAY = "processes", "ray"

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Jobs:
    """So many jobs, each made when a worker takes it: what all of a million files need does not fit into memory."""

    count: int
    make: Callable[[int], Job]


@dataclass(frozen=True)
class Files(Generic[Task, Result]):
    """How tasks read and write files of the workspace.

    reads: what a task reads there, relative; for machines that do not see the workspace.
    finish: called in this process with each task that is done and its result, in any order; other results wait for it.
    """

    reads: Callable[[Task], Sequence[Path]]
    finish: Callable[[Task, Result], object]


@dataclass(frozen=True)
class Engine:
    """Runs work in `workers` processes of this machine, at least 1."""

    workers: int

    @property
    def slots(self) -> int:
        """How many tasks are done at the same time."""
        return self.workers

    @property
    def distributed(self) -> bool:
        """Whether other machines may take part."""
        return False

    def reading(self, paths: Sequence[Path]) -> "Engine":
        """The same for tasks that read these files and folders, and nothing else: all machines must see them."""
        del paths
        return self

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        title: str,
        size: Callable[[Task], int] = lambda _: 1,
        chunk_size: int = 1,
        total: int | None = None,
        files: "Files[Task, Result] | None" = None,
    ) -> list[Result]:
        """The results of a picklable function, in the order of the tasks; one of the workers is this process.

        Args:
            tasks: of a sequence that makes them when asked, those at work alone are in memory.
            size: how far a task moves the progress bar.
            chunk_size: so many tasks go to a worker at once, which pays for tasks of less than a millisecond.
            total: what the sizes add up to, if it is known.
            files: of tasks that write files.

        Raises:
            WorkerError: a process died (killed, out of memory). Errors of `function` come through.
        """
        keep_freed_memory()
        with progress(title, sum(map(size, tasks)) if total is None else total) as advance:

            def done(task: Task, result: Result) -> None:
                if files is not None:
                    files.finish(task, result)
                advance(size(task))

            def done_together(job: Job, results: list[Result]) -> None:
                for task, result in zip(job.task, results, strict=True):
                    done(task, result)

            if self.workers == 1 or len(tasks) < 2:
                return list(_in_process(function, tasks, done))
            starts = range(0, len(tasks), chunk_size)
            jobs = Jobs(len(starts), lambda number: Job(number, tasks[starts[number] : starts[number] + chunk_size]))
            work = Work(partial(each, function))
            results = _run_here_too(work, jobs, self.workers, done_together)
            return [result for part in results for result in part]

    def map_threads(self, function: Callable[[Task], Result], tasks: Sequence[Task], title: str) -> list[Result]:
        """The same by threads of this process, for work on large arrays that mostly runs without the interpreter lock.

        Nothing is pickled: threads share what the function has at hand, which none of them may change under others.
        """
        keep_freed_memory()
        with progress(title, len(tasks)) as advance:
            if self.workers == 1 or len(tasks) < 2:
                return list(_in_process(function, tasks, lambda _, __: advance(1)))
            with ThreadPoolExecutor(min(self.workers, len(tasks))) as pool:
                results = []
                try:
                    for result in pool.map(function, tasks):
                        results.append(result)
                        advance(1)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                return results

    def map_guarded(
        self,
        function: Callable[[Task, Iterator[Any]], Result],
        tasks: Sequence[Task],
        items: Callable[[Task], Sequence[Any]],
        guard: Guard,
        title: str,
        size: Callable[[Task], int] = lambda _: 1,
        total: int | None = None,
        files: "Files[Task, Result] | None" = None,
    ) -> list[Result]:
        """The same where making one of a task's items may crash, hang or take all memory: that costs the item.

        One worker is a process of its own, too, because a crash would take this one along.

        Args:
            function: takes a task, and what `guard.make` made of each of its items, in order.
            items: the items of a task.
        """
        with progress(title, sum(map(size, tasks)) if total is None else total) as advance:

            def done(job: Job, result: Result) -> None:
                if files is not None:
                    files.finish(job.task, result)
                advance(size(job.task))

            jobs = Jobs(len(tasks), lambda number: job_of_items(number, tasks[number], items))
            return _run(Work(function, guard), jobs, self.workers, done)


def choose_workers(asked: int | None) -> int:
    """The number of workers: the one asked for, else the environment variable's, else one per usable core.

    Raises:
        ParamsError: the variable is not a whole number of at least 1.
    """
    if asked is not None:
        return asked
    named = os.environ.get(WORKERS_VARIABLE)
    if named is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not named.isascii() or not named.isdigit() or int(named) < 1:
        raise ParamsError(f"{WORKERS_VARIABLE} must be a whole number of at least 1, got {named!r}")
    return int(named)


def choose_engine(workers: int | None, engine: str | None = None) -> Engine:
    """The engine that an option names, else the environment variable, else processes of this machine.

    Args:
        workers: how many; None: see `choose_workers`, and all of a cluster.
        engine: `processes`, `ray` or `ray://HOST:PORT`.

    Raises:
        ParamsError: the name is none of these, or the package of the cluster's software is missing.
    """
    named = engine or os.environ.get(ENGINE_VARIABLE) or PROCESSES
    if named == PROCESSES:
        return Engine(choose_workers(workers))
    if named != RAY and not named.startswith(f"{RAY}://"):
        raise ParamsError(
            f"--engine and {ENGINE_VARIABLE} name an engine: {PROCESSES}, {RAY} or {RAY}://HOST:PORT; got {named!r}"
        )
    address = None if named == RAY else named
    configure(address)
    try:
        # An extra, and half a second of every command.
        from pipeline.workers.cluster.engine import RayEngine  # noqa: PLC0415
    except ImportError as error:
        raise ParamsError(
            f"the engine {RAY} needs the package ray ({error}): run `pip install 'image-data-pipeline[ray]'`, or use "
            f"--engine {PROCESSES}"
        ) from error
    return RayEngine(choose_workers(workers), address, workers or named_workers())


def named_workers() -> int | None:
    """The number of workers that the environment names."""
    return choose_workers(None) if os.environ.get(WORKERS_VARIABLE) else None


def run_in_own_process(work: Work, job: Job) -> Any:
    """The result of one job with a guard, by a worker process of this one, which stays for the next job."""
    return _run(work, Jobs(1, lambda _: replace(job, number=0)), 1, lambda _, __: None)[0]


def job_of_items(number: int, task: Task, items: Callable[[Task], Sequence[Any]]) -> Job:
    """A job whose items are made under a guard."""
    return Job(number, task, items(task))


def _in_process(
    function: Callable[[Task], Result], tasks: Sequence[Task], done: Callable[[Task, Result], None]
) -> Iterator[Result]:
    for task in tasks:
        result = function(task)
        yield result
        done(task, result)


def each(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """The results of tasks that a worker does together."""
    return [function(task) for task in tasks]


def _run(work: Work, jobs: Jobs, workers: int, done: Callable[[Job, Any], None]) -> list[Any]:
    """The results of all jobs, in their order."""
    with worker_pool(min(workers, jobs.count)) as crew:
        shift = _Scheduler(work, jobs, crew, done)
        shift.run()
        return shift.results()


def _run_here_too(work: Work, jobs: Jobs, workers: int, done: Callable[[Job, Any], None]) -> list[Any]:
    """The same with this process as one of the workers: it need not be started, which takes a second or two."""
    errors: deque[BaseException] = deque()
    with worker_pool(min(workers, jobs.count) - 1) as crew:
        shift = _Scheduler(work, jobs, crew, done)

        def lead() -> None:
            try:
                shift.run()
            except BaseException as error:  # noqa: BLE001 - raised where this process works
                errors.append(error)

        # To tell a process that still starts of its work can take as long as its start. No Future, whose lock stays
        # locked when Ctrl-C comes in the moment in which it is taken.
        others = Thread(target=lead, daemon=True)
        others.start()
        try:
            while (job := shift.next()) is not None and not errors:
                shift.enter(job, work.function(job.task))
            others.join()
            if errors:
                raise errors[0]
        except BaseException:
            # Without them the thread ends, too.
            for worker in crew:
                worker.kill()
            others.join()
            raise
        return shift.results()


class _Scheduler:
    """Jobs, done by a crew of workers.

    A worker that dies over an item is followed by a new one, which makes that item first, alone; if it
    dies, too, the item is refused. From the first death on, a job's workers tell each item as soon as
    it is made, so that many bad items cost no more than themselves.
    """

    def __init__(self, work: Work, jobs: Jobs, crew: list[Worker], done: Callable[[Job, Any], None]) -> None:
        self._work = work
        # Once for all jobs of a worker, which so keeps what the function has opened or built.
        self._pickled = pickle.dumps(work)
        self._jobs = jobs
        self._waiting = deque(range(jobs.count))
        self._crew = crew
        # Each of the crew has a job for sure, however fast others are.
        self._first = {worker: jobs.make(self._waiting.popleft()) for worker in crew}
        self._done = done
        self._results: dict[int, Any] = {}

    def run(self) -> None:
        """Tell the crew what to do, hear what it has done and give it more, until there is no more."""
        for worker, job in self._first.items():
            worker.begin(self._pickled, self._work.guard)
            worker.give(job)
        while busy := [worker for worker in self._crew if worker.job is not None]:
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
        successor = self._crew[self._crew.index(worker)] = Worker()
        successor.begin(self._pickled, self._work.guard)
        successor.give(job)
