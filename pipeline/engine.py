"""Work spread over processes, in order, with a progress bar.

How many workers there are is an engine setting, never a param: it must not change any output.
Processes are spawned, not forked: a fork of a process with threads (Arrow, OpenCV, torch) can hang.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.errors import ParamsError, WorkerError

WORKERS_VARIABLE = "PIPELINE_WORKERS"

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Engine:
    """How work is run; `workers` processes, at least 1 (1: in this process)."""

    workers: int

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        title: str,
        size: Callable[[Task], int] = lambda _: 1,
    ) -> list[Result]:
        """The results of a picklable function, in the order of the tasks.

        Args:
            size: how far a task moves the progress bar.

        Raises:
            WorkerError: a process died (killed, out of memory). Errors of `function` come through.
        """
        with progress(title, sum(map(size, tasks))) as advance:
            if self.workers == 1 or len(tasks) < 2:
                return list(_in_process(function, tasks, size, advance))
            return self._in_processes(function, tasks, size, advance)

    def _in_processes(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        size: Callable[[Task], int],
        advance: Callable[[int], None],
    ) -> list[Result]:
        results: dict[int, Result] = {}
        context = multiprocessing.get_context("spawn")
        workers = min(self.workers, len(tasks))
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(function,)) as pool:
            with deaf_to_ctrl_c():
                futures = {pool.submit(_work, task): number for number, task in enumerate(tasks)}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    advance(size(tasks[futures[future]]))
            except BrokenProcessPool as error:
                raise WorkerError(
                    "a worker process died, most often because memory ran out: "
                    f"run again with fewer workers (--workers or {WORKERS_VARIABLE}); finished work is kept"
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [results[number] for number in range(len(tasks))]


def choose_workers(asked: int | None) -> int:
    """Workers asked for, else those of the environment variable, else one a usable core.

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


def follow_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent was killed.

    A terminal sends Ctrl-C to every process, and each worker would print a traceback. Without the
    watch, workers of a killed parent would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start inside never get Ctrl-C, not even while they still read in libraries."""
    # When it starts, it lets Ctrl-C through again: so it must be there already.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, and the function that moves it on; silent when stderr is no terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)


# In a worker: what it does with each task. It travels once, so that what it has opened or built stays.
_FUNCTION: list[Callable[[Any], Any]] = []


def _begin(function: Callable[[Any], Any]) -> None:
    follow_parent()
    _FUNCTION[:] = [function]


def _work(task: Any) -> Any:
    return _FUNCTION[0](task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_process(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    size: Callable[[Task], int],
    advance: Callable[[int], None],
) -> Iterator[Result]:
    for task in tasks:
        yield function(task)
        advance(size(task))
