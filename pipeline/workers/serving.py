"""The worker process: it receives tasks, makes their items under limits, and sends back the results.

Above the limit of memory an item gets a MemoryError, which the work itself handles. The limit is added to what the
process has before the item, and some of that may be free: an item may take some ten megabytes more. The parent sees
what ends the process, such as a crash in a codec or the limit of time (workers/pool.py).
"""

import multiprocessing
import os
import pickle
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, islice
from multiprocessing.connection import Connection
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]  # typeshed forgot it
from typing import Any

from pipeline.workers.libraries import keep_freed_memory
from pipeline.workers.progress import silence

NOBODY = -1


def _forget(_: Sequence[Any]) -> None:
    """Nothing is to be prepared."""


def _as_they_are(made: Sequence[Any]) -> Sequence[Any]:
    return made


@dataclass(frozen=True)
class Guard:
    """How the items of a task are made under limits, and what the result is for one that breaks a limit.

    All functions are pickled and sent to the workers.
    """

    make: Callable[[Any], Any]
    refuse: Callable[[Any, str, str], Any]
    """(item, reason, words) -> what `make` would have given. Reasons: `decoder_crashed`, `timeout`."""
    seconds: int
    """Limit of time for one item. Past it the process is ended, and the item is tried once more, alone, with so many
    seconds of CPU time."""
    megabytes: int
    """Limit of memory (address space) for one item, beyond what the process has before: `make` gets a MemoryError."""
    finish: Callable[[Sequence[Any]], Sequence[Any]] = _as_they_are
    """Work on several items that `make` made, where one call takes less time than a call for each. It has no limits, so
    no item may be able to crash it. `refuse` gives what this would give."""
    chunk_size: int = 1
    """How many items `finish` gets at a time."""
    expect: Callable[[Sequence[Any]], object] = _forget
    """Told of all items of a task that are to be made, before the first one is."""

    @staticmethod
    def refusal(code: int, late: bool, seconds: int) -> tuple[str, str]:
        """Reason and detail for an item whose process ended with this code; they appear in results."""
        if late:
            return "timeout", f"not decoded in {seconds} seconds of CPU time"
        return (
            "decoder_crashed",
            f"the decoder ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}",
        )


@dataclass(frozen=True)
class Work:
    """What a worker does with each task; with a guard, `function` also takes an iterator of what was made."""

    function: Callable[..., Any]
    guard: Guard | None = None


@dataclass
class Job:
    """A task, and which of its items were made before an item ended a worker."""

    number: int
    task: Any
    items: Sequence[Any] = ()
    known: dict[int, Any] = field(default_factory=dict)
    """Position of an item -> its result."""
    suspect: int | None = None
    """Position of the item that ended the last worker: a new worker makes it first."""


def serve(connection: Connection, desk: Any) -> None:
    """Do what comes through the connection until None or its end.

    Args:
        desk: two numbers in shared memory: the item that is being made or NOBODY, and since when.
    """
    end_with_parent()
    keep_freed_memory()
    silence()
    work: Any = None
    with suppress(EOFError, BrokenPipeError):
        while (order := connection.recv()) is not None:
            match order:
                case ("begin", folder, pickled):
                    os.chdir(folder)
                    work = pickled
                case ("job", job):
                    if isinstance(work, bytes):
                        work = _loaded(work)
                    _send(connection, _answer(work, job, connection, desk))


def end_with_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent was killed.

    A terminal sends Ctrl-C to every process, and each worker would print a traceback. Without the
    watch, workers of a killed parent would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, daemon=True).start()


def _send(connection: Connection, answer: tuple[str, Any]) -> None:
    try:
        connection.send(answer)
    except BrokenPipeError:
        raise
    except Exception as error:  # it cannot be pickled
        connection.send(("failed", ExceptionWithTraceback(error, error.__traceback__)))


def _loaded(pickled: bytes) -> Work | Exception:
    try:
        work: Work = pickle.loads(pickled)  # noqa: S301  # from the parent
    except Exception as error:
        return error
    return work


def _answer(work: Work | Exception, job: Job, connection: Connection, desk: Any) -> tuple[str, Any]:
    try:
        if isinstance(work, Exception):
            raise work
        if work.guard is None:
            return "done", work.function(job.task)
        return "done", work.function(job.task, _made(work.guard, job, connection, desk))
    except Exception as error:
        return "failed", ExceptionWithTraceback(error, error.__traceback__)


def _made(guard: Guard, job: Job, connection: Connection, desk: Any) -> Iterator[Any]:
    """What is made of each item, in order; said at once where one has already cost a worker."""
    told = bool(job.known) or job.suspect is not None
    known = dict(job.known)
    guard.expect([item for number, item in enumerate(job.items) if number not in known])
    if job.suspect is not None:
        with _cpu_limit(guard.seconds):
            [known[job.suspect]] = guard.finish([_attempt(guard, job.items[job.suspect], job.suspect, desk)])
        connection.send(("item", (job.suspect, known[job.suspect])))
    for is_known, numbered in groupby(enumerate(job.items), key=lambda item: item[0] in known):
        if is_known:
            yield from (known.pop(number) for number, _ in numbered)
            continue
        while batch := list(islice(numbered, 1 if told else guard.chunk_size)):
            made = guard.finish([_attempt(guard, item, number, desk) for number, item in batch])
            if told:
                connection.send(("item", (batch[0][0], made[0])))
            yield from made


def _attempt(guard: Guard, item: Any, number: int, desk: Any) -> Any:
    desk[1] = time.monotonic()  # first: the parent must never see an old time beside a new item
    desk[0] = number
    try:
        with _memory_limit(guard.megabytes):
            return guard.make(item)
    finally:
        desk[0] = NOBODY


@contextmanager
def _cpu_limit(seconds: int) -> Iterator[None]:
    """The system ends this process when it has worked so many seconds more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


@contextmanager
def _memory_limit(megabytes: int) -> Iterator[None]:
    """No more address space than now and so many megabytes; no limit where the system tells no numbers (macOS)."""
    now = _address_space()
    if now is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [now + megabytes * 1_000_000, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    """Bytes of address space of this process."""
    statm = _statm()
    return None if statm is None else int(os.pread(statm, 32, 0).split()[0]) * resource.getpagesize()


@cache
def _statm() -> int | None:
    """An open file, because opening it takes longer than reading it."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return None


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
