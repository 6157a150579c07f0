"""An item that crashes, hangs or takes all memory costs itself alone, for any number of workers."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WorkerError
from pipeline.workers import pool as workers
from pipeline.workers.engine import Engine
from pipeline.workers.serving import Guard
from tests import costly

GUARD = Guard(costly.make, costly.refuse, seconds=1, megabytes=costly.MEGABYTES)
REFUSED = {
    "segfault": "segfault: decoder_crashed, the decoder ended with SIGSEGV",
    "exit": "exit: decoder_crashed, the decoder ended with exit code 3",
    "loop": "loop: timeout, not decoded in 1 seconds of CPU time",
    "greedy": "no memory",
}


def run(tasks: Sequence[str], count: int = 1) -> list[str]:
    """The tasks' results; a task's items are its words."""
    return Engine(count).map_guarded(costly.join, tasks, str.split, GUARD, "make")


def expected(task: str) -> str:
    return " | ".join([task, *(REFUSED.get(item, item.upper()) for item in task.split())])


@pytest.mark.parametrize("item", REFUSED)
@pytest.mark.parametrize("count", [1, 2])
def test_a_costly_item_is_refused_with_its_reason_and_all_others_are_made(item: str, count: int) -> None:
    tasks = ["a b c", f"d {item} e", "f"]
    assert run(tasks, count) == [expected(task) for task in tasks]


@given(tasks=st.lists(st.lists(st.sampled_from("abc") | st.sampled_from(["segfault", "exit"]), max_size=6), max_size=3))
@settings(max_examples=6)
def test_many_costly_items_change_nothing_for_the_others(tasks: list[list[str]]) -> None:
    named = [" ".join(items) for items in tasks]
    assert run(named, 2) == [expected(task) for task in named]


def test_an_item_that_neither_works_nor_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 2)
    assert run(["a sleep b"]) == ["a sleep b | A | sleep: timeout, not decoded in 1 seconds of CPU time | B"]


@pytest.mark.parametrize("way", ["segfault", "killed", "sleep", "loop"])
def test_the_judgement_of_a_new_process_counts(way: str, tmp_path: Path) -> None:
    """The item before may be to blame, or another program that took the memory or the time."""
    item = f"{tmp_path}/mark!{way}"
    assert run([f"a {item} b"]) == [f"a {item} b | A | {way.upper()} | B"]


def test_items_are_finished_several_at_a_time_and_one_by_one_after_a_death() -> None:
    guard = replace(GUARD, finish=costly.count, chunk_size=2)
    tasks = ["a b c", "", "d e", "f segfault g h"]
    assert Engine(1).map_guarded(costly.join, tasks, str.split, guard, "make") == [
        "a b c | A of 2 | B of 2 | C of 1",
        "",
        "d e | D of 2 | E of 2",
        f"f segfault g h | F of 1 | {REFUSED['segfault']} | G of 1 | H of 1",
    ]


def test_after_the_first_death_nothing_is_made_twice(tmp_path: Path) -> None:
    task = f"segfault {tmp_path}/notes+ exit segfault b"
    assert run([task]) == [expected(task).replace(f"{tmp_path}/notes+".upper(), "MADE")]
    assert (tmp_path / "notes").read_text() == "made "


def test_a_process_that_was_killed_twice_is_an_error_with_advice() -> None:
    with pytest.raises(WorkerError, match="memory ran out: run the command again with fewer workers"):
        run(["a", "killed"])


def test_a_death_outside_of_all_items_is_an_error() -> None:
    with pytest.raises(WorkerError, match="a worker process died"):
        Engine(1).map_guarded(costly.join_and_die, ["a"], str.split, GUARD, "make")


def test_an_exception_comes_through_as_itself_and_the_next_run_works() -> None:
    with pytest.raises(ValueError, match=r"^a broken item$"):
        run(["a", "b broken", "c"], 2)
    assert run(["a b"]) == ["a b | A | B"]


def test_no_task_needs_a_process() -> None:
    assert run([]) == []


def pids(count: int) -> set[int]:
    return set(Engine(count).map_guarded(costly.process_of, ["a"] * 4, str.split, GUARD, "pids"))


def test_processes_stay_for_the_next_run_and_end_when_dismissed() -> None:
    first = pids(1)
    assert os.getpid() not in first
    assert pids(1) == first
    workers.stop_all()
    assert pids(1).isdisjoint(first)
    for pid in first:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_that_died_idle_is_replaced() -> None:
    [pid] = pids(1)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert run(["a"]) == ["a | A"]


def test_a_killed_process_is_not_kept_while_it_ends() -> None:
    worker = workers.Worker()
    with workers.worker_pool(0) as pool:
        pool.append(worker)
        worker.kill()
        assert not worker.alive
    assert worker not in workers._IDLE


def here(_: str, made: Iterator[str]) -> str:
    return f"{Path.cwd()} {''.join(made)}"


def test_workers_are_where_their_parent_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(["a"])
    monkeypatch.chdir(tmp_path)
    assert Engine(1).map_guarded(here, ["a"], str.split, GUARD, "previews") == [f"{tmp_path} A"]


def test_what_cannot_be_pickled_is_an_error_of_its_own() -> None:
    with pytest.raises((AttributeError, TypeError), match=r"local|lambda|pickle"):
        Engine(1).map_guarded(lambda task, made: task, ["a"], str.split, GUARD, "make")
    with pytest.raises((AttributeError, TypeError), match="generator"):
        Engine(2).map(iter_of, ["a", "b"], "make")


def iter_of(task: str) -> Iterator[str]:
    return (letter for letter in task)
