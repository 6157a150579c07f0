"""Items that cost the process that makes them, each in its own way; light to import, because workers do."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MEGABYTES = 300


def make(item: str) -> str:
    """The item in capitals, unless it costs the process; `FILE!way`: only if the file is not there yet.

    `FILE+`: notes in the file that it was made.
    """
    if item.endswith("+"):
        with Path(item[:-1]).open("a") as file:
            file.write("made ")
        return "MADE"
    if "!" in item:
        mark, item = item.split("!")
        if Path(mark).exists():
            return item.upper()
        Path(mark).touch()
    match item:
        case "segfault":
            signal.raise_signal(signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "killed":
            signal.raise_signal(signal.SIGKILL)
        case "loop":
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "greedy":
            try:
                bytearray(2 * MEGABYTES * 1_000_000)
            except MemoryError:
                return "no memory"
        case "broken":
            raise ValueError("a broken item")
    return item.upper()


def refuse(item: str, reason: str, words: str) -> str:
    return f"{item}: {reason}, {words}"


def count(made: Sequence[str]) -> list[str]:
    """Each item with how many are finished at a time."""
    return [f"{item} of {len(made)}" for item in made]


def join(task: str, made: Iterator[str]) -> str:
    """A task's name and what became of its items."""
    return " | ".join([task, *made])


def join_and_die(task: str, made: Iterator[str]) -> str:
    signal.raise_signal(signal.SIGSEGV)
    return join(task, made)


def process_of(task: str, made: Iterator[str]) -> int:
    return next(os.getpid() for _ in made)


def process(_: object) -> int:
    return os.getpid()


def die_elsewhere(here: int) -> None:
    if os.getpid() != here:
        signal.raise_signal(signal.SIGKILL)


def sleep_elsewhere_fail_here(here: int) -> None:
    if os.getpid() == here:
        raise ZeroDivisionError
    time.sleep(3600)
