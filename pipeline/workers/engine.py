"""Work spread over processes, in order, with a progress bar.

How many workers there are is an engine setting, never a param: it must not change any output.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic

from pipeline.errors import ParamsError
from pipeline.workers.cluster.settings import configure
from pipeline.workers.libraries import keep_freed_memory
from pipeline.workers.progress import progress
from pipeline.workers.scheduler import WORKERS_VARIABLE, Jobs, Result, Task, run, run_here_too
from pipeline.workers.serving import Guard, Job, Work

ENGINE_VARIABLE = "PIPELINE_ENGINE"
# What it may name: processes of this machine, or of a cluster of Ray; `ray://HOST:PORT` names a cluster, too.
PROCESSES, RAY = "processes", "ray"


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
        """The number of tasks that run at the same time."""
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

            if len(tasks) < 2 or self.slots == 1:
                return list(_in_process(function, tasks, done))
            starts = range(0, len(tasks), chunk_size)
            jobs = Jobs(len(starts), lambda number: Job(number, tasks[starts[number] : starts[number] + chunk_size]))
            work = Work(partial(each, function))
            read = _nothing if files is None else lambda job: [path for task in job.task for path in files.reads(task)]
            results = self._spread(work, jobs, done_together, read, title)
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
            read = _nothing if files is None else lambda job: files.reads(job.task)
            return self._spread(Work(function, guard), jobs, done, read, title)

    def _spread(
        self,
        work: Work,
        jobs: Jobs,
        done: Callable[[Job, Any], None],
        reads: Callable[[Job], Sequence[Path]],
        title: str,
    ) -> list[Any]:
        """The results of all jobs, in their order.

        Args:
            reads: files of the workspace that a job reads.
            title: of the work, for messages.
        """
        del reads, title  # all processes see the workspace
        # Without a guard this process is one of the workers; with one, an item may end the process that makes it.
        return (run_here_too if work.guard is None else run)(work, jobs, self.workers, done)


def _nothing(_: Job) -> Sequence[Path]:
    return ()


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
    return run(work, Jobs(1, lambda _: replace(job, number=0)), 1, lambda _, __: None)[0]


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
    """The results of a chunk of tasks."""
    return [function(task) for task in tasks]
