"""Ctrl-C and SIGTERM end a command in one way: workers end, one line says so, and the exit code is 128 + the signal.

Not by KeyboardInterrupt: libraries catch that, and end with a code or a traceback of their own.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
# Seconds after which one that a library swallowed is raised anew.
AGAIN = 0.05


class Stopped(BaseException):
    """Raised in the main thread, wherever it is, when a signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(NAMES[signal.Signals(number)])
        self.number = number


class _Signals:
    """What was asked so far."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.ending = False

    def answer(self, number: int, _: FrameType | None) -> None:
        if self.first is not None or self.ending:
            # It does not wait for what the first is still giving back, nor raises while Python itself ends.
            end(self.first or number)
        self.first = number
        raise Stopped(number)

    def ask_again(self, _: int, __: FrameType | None) -> None:
        if self.first is not None and not self.ending:
            raise Stopped(self.first)

    def swallowed(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Python gives up an exception inside a finaliser or a callback; this one must not be lost."""
        if isinstance(unraisable.exc_value, Stopped):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            sys.__unraisablehook__(unraisable)


def end(number: int) -> NoReturn:
    """Say so, and end at once; workers follow."""
    say(number)
    os._exit(128 + number)


def say(number: int) -> None:
    """The one line that people see."""
    os.write(2, f"stopped by {NAMES[signal.Signals(number)]}: what is finished is kept. Run it again\n".encode())


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, both signals raise Stopped; at its end the process ends with 128 + the signal if there was one.

    One that comes later, while Python ends, ends the process at once. A signal that the one who started this process
    has it ignore (nohup) stays ignored.
    """
    signals = _Signals()
    for number in NAMES:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signals.answer)
    signal.signal(signal.SIGALRM, signals.ask_again)
    sys.unraisablehook = signals.swallowed
    try:
        yield
    except Stopped:
        pass
    except BaseException:
        # What fails while all is given back is not what people are to read.
        if signals.first is None:
            raise
    finally:
        signals.ending = True
    if signals.first is not None:
        say(signals.first)
        sys.stderr.flush()
        sys.exit(128 + signals.first)
