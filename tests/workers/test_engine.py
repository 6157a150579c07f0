"""Work over processes: order, errors, dead workers, and the bar that only a terminal gets."""

import multiprocessing
import operator
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ParamsError, StorageError, WorkerError
from pipeline.store.reading import sha256_of
from pipeline.workers.engine import Engine, choose_workers
from pipeline.workers.pool import stop_all
from pipeline.workers.scheduler import WORKERS_VARIABLE
from tests import costly
from tests.examples import REPOSITORY

# Most functions that workers run come from the standard library: a process is up sooner without this file's imports.


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_tasks_not_of_their_ends(workers: int) -> None:
    tasks = [range(10_000_000), *(range(number) for number in range(20))]
    assert Engine(workers).map(len, tasks, "count") == [10_000_000, *range(20)]
    assert Engine(workers).map(sum, tasks[:4], "sum") == [49_999_995_000_000, 0, 0, 1]


@pytest.mark.parametrize("chunk_size", [1, 3, 4, 100])
def test_tasks_that_go_to_a_worker_together_give_the_same(chunk_size: int) -> None:
    assert Engine(2).map(str, range(4), "numbers", chunk_size=chunk_size) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_share_what_a_function_has_at_hand(workers: int) -> None:
    squares = [0] * 20

    def fill(number: int) -> int:
        squares[number] = number**2
        return number

    assert Engine(workers).map_threads(fill, range(20), "squares") == [*range(20)]
    assert squares == [number**2 for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_in_a_thread_comes_through_and_ends_the_work(workers: int) -> None:
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.002)
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 0"):
        Engine(workers).map_threads(fail, range(1000), "failures")
    assert len(begun) < 1000


def test_what_a_function_has_opened_stays_open_for_a_workers_next_task() -> None:
    """Ten tasks, two workers: one of them has pulled the iterator at least five times."""
    assert max(Engine(2).map(partial(_next, iter(range(1, 11))), range(10), "count")) >= 5


def _next(numbers: Iterator[int], _: int) -> int:
    return next(numbers)


@pytest.mark.parametrize("tasks", [[], [-3]])
def test_work_for_no_second_process_stays_in_this_one(tasks: Sequence[int]) -> None:
    here: list[int] = []  # its method cannot reach another process's list
    Engine(4).map(here.append, tasks, "append")
    assert here == tasks


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_the_function_comes_through_as_itself(workers: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^invalid literal for int\(\) with base 10: 'two'$"):
        Engine(workers).map(int, ["1", "two", "3"], "read")
    with pytest.raises(StorageError, match="/gone: No such file or directory"):
        Engine(workers).map(sha256_of, [tmp_path / "gone", tmp_path / "gone"], "hash")


def test_a_killed_worker_is_an_error_with_advice() -> None:
    with pytest.raises(
        WorkerError, match=r"memory ran out: run the command again with fewer workers \(--workers or PIPELINE_WORKERS"
    ):
        Engine(2).map(costly.die_elsewhere, [os.getpid()] * 2, "die")
    assert Engine(2).map(len, ["a", "bc"], "count") == [1, 2]


def test_this_process_is_one_of_the_workers() -> None:
    """The other one is still starting when the first task of this process is long done."""
    stop_all()
    found = Engine(2).map(costly.process, range(4), "pids")
    assert os.getpid() in found
    assert len(set(found)) == 2


def test_an_exception_in_this_process_ends_the_others_work(tmp_path: Path) -> None:
    """The first task, which a process of its own does, would take an hour."""
    stop_all()
    with pytest.raises(ZeroDivisionError):
        Engine(2).map(costly.sleep_elsewhere_fail_here, [os.getpid()] * 2, "fail")
    assert multiprocessing.active_children() == []


def report_and_wait(folder: Path) -> None:
    """Say through one pipe that this process is up, then wait for a byte of another."""
    up = os.open(folder / "up", os.O_WRONLY)
    os.write(up, b"x")
    os.read(os.open(folder / "gate", os.O_RDONLY), 1)


TWO_WORKERS = """
import os, pathlib, sys
from pipeline.workers.engine import Engine
from tests.workers.test_engine import report_and_wait
folder = pathlib.Path(sys.argv[1])
up = os.open(folder / "up", os.O_WRONLY)
# The size of a task is asked for before all work and after each result.
Engine(2).map(report_and_wait, [folder, folder], "wait", size=lambda _: os.write(up, b"s"))
"""


def next_of(pipe: int) -> bytes:
    """A byte, or nothing when the last writer ended; an error instead of a test that hangs."""
    assert select.select([pipe], [], [], 60)[0], "neither a byte nor an end came"
    return os.read(pipe, 1)


@contextmanager
def parent_of_two(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that is at work, and so is another for it, and a pipe that ends with the last of them."""
    for name in ("up", "gate"):
        os.mkfifo(folder / name)
    command = [sys.executable, "-c", TWO_WORKERS, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True) as parent:
        up = os.open(folder / "up", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert b"".join(next_of(up) for _ in range(4)) == b"ssxx"
            yield parent, up
        finally:
            os.close(up)
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


def test_a_killed_parent_takes_its_workers_along(tmp_path: Path) -> None:
    with parent_of_two(tmp_path) as (parent, up):
        parent.kill()
        assert next_of(up) == b""


def test_ctrl_c_is_answered_by_the_parent_alone(tmp_path: Path) -> None:
    with parent_of_two(tmp_path) as (parent, up):
        gate = os.open(tmp_path / "gate", os.O_RDWR)
        os.write(gate, b"x")
        assert next_of(up) == b"s"  # one worker is idle from now on, the other at work
        os.killpg(parent.pid, signal.SIGINT)
        os.write(gate, b"x")
        shown = parent.communicate()[1]
        os.close(gate)
    assert parent.returncode == -signal.SIGINT
    assert re.findall(r"^\w.*", shown, re.MULTILINE) == ["Traceback (most recent call last):", "KeyboardInterrupt"]


@pytest.mark.parametrize(
    ("asked", "variable", "workers"), [(3, None, 3), (3, "5", 3), (None, "5", 5), (None, "1", 1), (None, "007", 7)]
)
def test_an_argument_goes_before_the_variable(
    asked: int | None, variable: str | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv(WORKERS_VARIABLE, variable)
    assert choose_workers(asked) == workers


@pytest.mark.parametrize("variable", ["0", "-1", "2.0", "two", "", " 2", "²", "1e3", "+4"])
def test_a_variable_that_is_no_count_is_an_error(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, variable)
    with pytest.raises(
        ParamsError, match=f"^PIPELINE_WORKERS must be a whole number of at least 1, got '{re.escape(variable)}'$"
    ):
        choose_workers(None)


def test_without_a_wish_each_usable_core_gets_a_worker() -> None:
    cores = os.sched_getaffinity(0)
    assert choose_workers(None) == len(cores)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert choose_workers(None) == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_nothing_is_shown_where_no_terminal_is(capfd: pytest.CaptureFixture[str]) -> None:
    Engine(1).map(operator.neg, [1, 2], "counting")
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_counts_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        Engine(1).map(operator.neg, [1, 5], "counting", size=abs)
        print("end", file=stderr, flush=True)  # so that there is something to read without a bar, too
        shown = b""
        while b"end" not in shown:  # it comes in pieces
            shown += os.read(screen, 100_000)
    os.close(screen)
    assert b"counting" in shown
    assert b"6/6" in shown
