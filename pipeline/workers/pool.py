"""Worker processes: each does one task at a time, and may end over a single item of it.

Processes are spawned, not forked: a fork of a process with threads (Arrow, OpenCV, torch) can hang.
They stay for later work of this process, because one takes as long to start as hundreds of photos to decode.
"""

import math
import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError
from pipeline.workers.serving import NOBODY, Guard, Job, serve

# An item that is made alone, in a new process, is measured by CPU time: a busy machine does no harm
# to it. One that neither works nor ends is given up after so many times its seconds.
PATIENCE = 10


@dataclass(frozen=True)
class End:
    """How a worker ended, and over which item."""

    item: int | None
    reason: str
    words: str
    outside: bool
    """It was killed, and not by this process."""
    late: bool

    @property
    def blames_item(self) -> bool:
        """Whether an item is to blame; or none, because it was ready in the moment in which its worker was ended."""
        return self.item is not None or self.late


class Worker:
    """A process, seen from the one that it works for."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        # The item that it is at, and since when: in memory that both share, because the dead do not answer.
        try:
            self._desk = context.RawArray("d", [NOBODY, 0.0])
        except OSError as error:
            raise StorageError(f"no room for 4 kB that two processes share, in /dev/shm or TMPDIR: {error}") from error
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._desk), daemon=True)
        with ignore_interrupts():
            self._process.start()
        theirs.close()
        self.job: Job | None = None
        self._guard: Guard | None = None
        self._overdue = False
        self._killed = False

    def begin(self, work: bytes, guard: Guard | None) -> None:
        """Learn what to do with the jobs to come: pickled Work, whose guard is this."""
        self._guard = guard
        self._tell(("begin", str(Path.cwd()), work))

    def give(self, job: Job) -> None:
        self.job = job
        self._tell(("job", job))

    def left(self) -> float:
        """Seconds until its current item must be done; 0 or less if it is overdue."""
        if self.job is None or self._guard is None:
            return math.inf
        item, since = self._desk
        allowed = self._guard.seconds * (PATIENCE if self.job.suspect is not None else 1)
        return allowed if item == NOBODY else since + allowed - time.monotonic()

    def stop_overdue(self) -> None:
        self._overdue = True
        self.kill()

    def kill(self) -> None:
        """End it at once; its connection then tells."""
        self._killed = True
        self._process.kill()

    def end(self) -> End:
        """To be called once it is dead."""
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        item = int(self._desk[0])
        late = self._overdue or code == -signal.SIGXCPU
        seconds = self._guard.seconds if self._guard else 0
        return End(
            None if item == NOBODY else item,
            *Guard.refusal(code, late, seconds),
            outside=code == -signal.SIGKILL and not late,
            late=late,
        )

    def stop(self) -> None:
        """End the process: at once if it is working, else when it reads the message."""
        if self.job is not None:
            self.kill()
        if not self.connection.closed:
            self._tell(None)
        self._process.join()
        self.connection.close()

    @property
    def alive(self) -> bool:
        # The system takes a moment to end a process: until then it would be kept for later work.
        return not self._killed and self._process.is_alive()

    def _tell(self, order: Any) -> None:
        with suppress(BrokenPipeError):  # it is dead, which shows when its answer is asked for
            self.connection.send(order)


_IDLE: list[Worker] = []


@contextmanager
def worker_pool(count: int) -> Iterator[list[Worker]]:
    """A list of idle workers, to be changed as they die; at the end busy ones are killed, others kept."""
    workers: list[Worker] = []
    try:
        while len(workers) < count:
            idle = _IDLE.pop() if _IDLE else None
            workers.append(idle if idle is not None and idle.alive else Worker())
        yield workers
    finally:
        for worker in workers:
            if worker.job is None and worker.alive:
                _IDLE.append(worker)
            else:
                worker.stop()


def stop_all() -> None:
    """End all idle workers; new ones can be started afterwards."""
    while _IDLE:
        _IDLE.pop().stop()


# Before multiprocessing would end them by a signal.
Finalize(None, stop_all, exitpriority=100)


@contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Processes that start inside never get Ctrl-C, not even while they still read in libraries."""
    # When it starts, it lets Ctrl-C through again: so it must be there already.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
