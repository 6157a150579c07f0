"""SIGTERM and Ctrl-C, for work that ends well only between two steps."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
    before = {number: signal.getsignal(number) for number in SIGNALS}
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
