"""How long a fit will take is said before anybody waits for it."""

from collections.abc import Callable

import pytest

from pipeline.training.forecast import Length, announced, minutes_of


def ticking(seconds: float) -> Callable[[], float]:
    times = iter(seconds * number for number in range(1000))
    return lambda: next(times)


def test_rows_are_told_at_once_and_minutes_after_a_few_batches() -> None:
    told: list[str] = []
    steps: list[int] = []
    count = announced(Length(3200, 100, 0, 12, None), told.append, steps.append, ticking(0.5))
    assert told == ["train: 3,200 rows per epoch, 100 batches; at most 12 epochs"]
    for _ in range(20):
        count(1)
    assert len(told) == 2
    assert told[1].startswith("train: about 10 minutes in all")  # 1,200 batches of half a second
    assert steps == [1] * 20  # and each batch moves the bar


def test_a_slow_batch_is_enough() -> None:
    told: list[str] = []
    count = announced(Length(64, 50, 0, 100, 5), told.append, lambda _: None, ticking(6.0))
    count(1)
    count(1)
    assert "about 8.3 hours in all; less if dev is no better for 5 epochs" in told[1]


def test_a_resumed_fit_tells_what_is_left() -> None:
    told: list[str] = []
    announced(Length(64, 10, 0, 10, None, done=60), told.append, lambda _: None)
    assert told[0].endswith("at most 10 epochs, 60 batches of them done before")
    assert minutes_of(Length(64, 10, 0, 10, None, done=60), 3.0).startswith("about 2 minutes")


@pytest.mark.parametrize(("batches", "epochs"), [(1, 1), (1, 2), (2, 1), (3, 1)])
def test_a_tiny_fit_tells_no_nonsense(batches: int, epochs: int) -> None:
    told: list[str] = []
    count = announced(Length(8, batches, 1, epochs, 4), told.append, lambda _: None, ticking(0.1))
    for _ in range(batches * epochs):
        count(1)
    assert told[1:] in ([], ["train: less than a minute in all"])


def test_dev_counts_too() -> None:
    alone, with_dev = Length(10, 10, 0, 60, None), Length(10, 10, 30, 60, None)
    assert minutes_of(alone, 1.0).startswith("about 10 minutes")
    assert minutes_of(with_dev, 1.0).startswith("about 20 minutes")
