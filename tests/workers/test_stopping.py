"""SIGTERM and Ctrl-C wait for the end of a block, and then do what they always did."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pipeline.workers.stopping import SIGNALS, stop_deferred


class Ended(BaseException):
    """What the handler before the block raises."""


@pytest.fixture(autouse=True, params=SIGNALS, ids=lambda number: signal.Signals(number).name)
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal whose handler raises Ended."""

    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(request.param, end)
    yield request.param
    signal.signal(request.param, before)


def interrupted(number: int, steps: list[int], signals: int = 1) -> None:
    with stop_deferred() as stopping:
        for step in range(5):
            if step == 2:
                for _ in range(signals):
                    signal.raise_signal(number)
            steps.append(step)
            if stopping() and step == 3:
                return


def test_a_signal_waits_until_the_block_ends_and_then_takes_effect(number: int) -> None:
    steps: list[int] = []
    with pytest.raises(Ended):
        interrupted(number, steps)
    assert steps == [0, 1, 2, 3]


def test_a_second_signal_takes_effect_at_once(number: int) -> None:
    steps: list[int] = []
    with pytest.raises(Ended):
        interrupted(number, steps, signals=2)
    assert steps == [0, 1]


def test_a_signal_outweighs_an_error_that_ends_the_block(number: int) -> None:
    def fail() -> None:
        signal.raise_signal(number)
        raise ValueError("a worker was stopped as well")

    with pytest.raises(Ended):
        run_inside(fail)


def test_handlers_are_as_before_whatever_happened(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    for work in (lambda: None, lambda: signal.raise_signal(number), lambda: 1 / 0):
        with suppress(Ended, ZeroDivisionError):
            run_inside(work)
        assert [signal.getsignal(each) for each in SIGNALS] == before


def run_inside(work: Callable[[], object]) -> None:
    with stop_deferred() as stopping:
        assert not stopping()
        work()


def test_a_signal_that_was_ignored_stays_ignored(number: int) -> None:
    signal.signal(number, signal.SIG_IGN)
    with stop_deferred() as stopping:
        signal.raise_signal(number)
        assert not stopping()


def test_in_another_thread_nothing_changes() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: run_inside(lambda: None)).result(60) is None
