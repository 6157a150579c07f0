"""Ctrl-C and SIGTERM end a command alike: workers end, a message says so, and the exit code is 128 + the signal.

Not by KeyboardInterrupt: libraries catch that, and end with a code or a traceback of their own.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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
    """Print the message and end at once; workers follow."""
    say(number)
    os._exit(128 + number)


def say(number: int) -> None:
    """The one line that the user sees."""
    os.write(2, f"stopped by {NAMES[signal.Signals(number)]}: finished work is kept. Run the command again\n".encode())


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


@contextmanager
def stop_deferred() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM and Ctrl-C do nothing but make the function that it gives return True: the work is to end soon.

    When the block ends, in whatever way, such a signal does what it did before the block: so the process ends as it
    would have, only later. A second one does so at once. Signals that were ignored stay so. Elsewhere than in the main
    thread, which alone gets signals, nothing changes.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    # None: not set from Python, and so nothing to put back.
    before = {number: signal.getsignal(number) for number in NAMES}
    before = {number: handler for number, handler in before.items() if handler not in {signal.SIG_IGN, None}}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            put_back()
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        put_back()
        if came:
            signal.raise_signal(came[0])
