"""Read objects ahead in threads, so that decoding does not wait for the network; bounded in memory."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from pipeline.sources.object_errors import too_slow
from pipeline.sources.object_store import CONNECTIONS
from pipeline.workers.libraries import few_arenas

Result = TypeVar("Result")

# Of a process: bytes that are read or wait, but for one object that is larger.
MAX_BYTES = 64_000_000
# For an object to arrive, tries and waits between them included.
SECONDS = 240


class Listed(NamedTuple):
    """An object as the store listed it."""

    path: str
    size: int
    modified: int
    """ns since 1970."""


class Loaders:
    """Threads that do what they are given; the process does not wait for them at its end."""

    def __init__(self, count: int) -> None:
        few_arenas()
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        for _ in range(count):
            Thread(target=self._work, daemon=True).start()

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run the function as soon as a thread is free."""
        future: Future[Result] = Future()
        self._waiting.put((future, function))
        return future

    def _work(self) -> None:
        while True:
            future, function = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(result)
            # Or the last content stays in memory.
            del future, function


@cache
def loaders() -> Loaders:
    """Those of this process; all are started at once, before a file's memory is limited."""
    return Loaders(CONNECTIONS)


class ReadAhead:
    """The contents of objects, read in the order in which they will be asked for.

    Args:
        load: the content of an object.
        name: its URL, for messages.
    """

    def __init__(self, load: Callable[[Listed], bytes], name: Callable[[str], str]) -> None:
        self._load, self._name = load, name
        self._coming: deque[Listed] = deque()
        self._begun: dict[Listed, Future[bytes]] = {}
        self._bytes = 0

    def expect(self, coming: Sequence[Listed]) -> None:
        """Begin to read objects, in place of those that were expected before."""
        for future in self._begun.values():
            future.cancel()
        self._begun, self._bytes, self._coming = {}, 0, deque(coming)
        self._begin()

    def take(self, one: Listed) -> bytes:
        """The content of an object, which may be one that was not expected.

        Raises:
            PipelineError: it cannot be read.
            StorageError: it does not arrive.
        """
        future = self._begun.pop(one, None)
        if future is None:
            future = loaders().submit(lambda: self._load(one))
        else:
            self._bytes -= one.size
        try:
            content = future.result(SECONDS)
        except FutureTimeoutError:
            raise too_slow(self._name(one.path), SECONDS, one.size) from None
        except CancelledError:
            content = self._load(one)
        self._begin()
        return content

    def _begin(self) -> None:
        with suppress(IndexError):
            while len(self._begun) < CONNECTIONS:
                one = self._coming[0]
                if self._begun and self._bytes + one.size > MAX_BYTES:
                    return
                self._coming.popleft()
                self._bytes += one.size
                self._begun[one] = loaders().submit(lambda one=one: self._load(one))  # type: ignore[misc]
