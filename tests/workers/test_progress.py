"""The bar: silent where nobody looks, or another is up; and how long the rest should take."""

import io
from contextlib import redirect_stderr

import pytest
from rich.console import Console
from rich.progress import Progress

from pipeline.workers import progress as bars
from pipeline.workers.engine import Engine
from pipeline.workers.progress import TimeLeft, progress


@pytest.fixture(autouse=True)
def _nothing_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of worker processes may have silenced this one."""
    monkeypatch.setattr(bars, "_up", 0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds, as a test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def left(clock: Clock, steps: list[tuple[float, int]], now: float, total: int = 100, before: int = 0) -> str:
    """What the bar says at a time, after steps at others."""
    with Progress(console=Console(file=io.StringIO()), get_time=clock, auto_refresh=False) as bar:
        task = bar.add_task("fits", total=total, completed=before, before=before, stepped=0.0)
        for clock.now, step in steps:
            bar.update(task, advance=step, stepped=bar.tasks[0].elapsed)
        clock.now = now
        return TimeLeft().render(bar.tasks[0]).plain


def test_time_left_goes_by_the_steps_so_far_however_slow_they_are() -> None:
    assert left(Clock(), [], 600) == "-:--:--"
    assert left(Clock(), [(600, 10)], 600) == "1:30:00"
    assert left(Clock(), [(600, 10)], 700) == "1:28:20"
    # Two workers that end at the same time are no sign of speed.
    assert left(Clock(), [(600, 10), (600, 10)], 600) == "0:40:00"
    assert left(Clock(), [(600, 99)], 700) == "0:00:00"


def test_what_was_done_before_says_nothing_of_the_pace() -> None:
    assert left(Clock(), [], 60, before=50) == "-:--:--"
    assert left(Clock(), [(60, 25)], 60, before=50) == "0:01:00"


def test_a_bar_inside_another_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stderr(Terminal()) as seen:
        with progress("outer", 2) as advance, progress("inner", 3) as inner:
            inner(3)
            advance(2)
        assert "outer" in seen.getvalue()
        assert "inner" not in seen.getvalue()
        with progress("after", 1) as advance:
            advance(1)
        assert "after" in seen.getvalue()


def bar_in_a_worker(number: int) -> bool:
    """Whether a worker would show a bar, had it a terminal."""
    with redirect_stderr(Terminal()) as seen, progress("worker's", 1) as advance:
        advance(1)
    return "worker's" in seen.getvalue()


def test_workers_show_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert Engine(2).map(bar_in_a_worker, [0, 1, 2, 3], "all") == [False] * 4


def test_no_terminal_sees_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("quiet", 1) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
