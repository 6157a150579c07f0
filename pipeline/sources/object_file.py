"""An object as a seekable file, for archives: read ahead in large parts."""

import io
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, BinaryIO

from pipeline.sources.object_errors import changed, too_slow
from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.read_ahead import SECONDS, loaders

# Bytes a request; the parts that are kept: what an archive's index and members in a row take.
PART = 8_000_000
KEPT = 4
# Archives' headers are read in few bytes.
BUFFER = 1 << 16


def open_object(place: ObjectPlace) -> BinaryIO:
    """An object, opened for reading.

    Raises:
        MissingInputError: it is not there.
        StorageError: the store refuses, or cannot be reached; reads raise it as well.
    """
    return io.BufferedReader(_Parts(place), BUFFER)


class _Parts(io.RawIOBase):
    def __init__(self, place: ObjectPlace) -> None:
        self._place, self._at = place, 0
        store = place.store()
        with place.refusals():
            self._file = store.open_input_file(place.path)
            self._size = self._file.size()
        self._parts: OrderedDict[int, Future[bytes]] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size:
            return 0
        number, start = divmod(self._at, PART)
        part = self._part(number)
        if (number + 1) * PART < self._size:
            self._begin(number + 1)
        data = part[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _part(self, number: int) -> bytes:
        self._begin(number)
        self._parts.move_to_end(number)
        try:
            return self._parts[number].result(SECONDS)
        except FutureTimeoutError:
            raise too_slow(self._place, SECONDS, PART) from None

    def _begin(self, number: int) -> None:
        """Have a part read; the ones that were asked for least lately are forgotten."""
        if number not in self._parts:
            self._parts[number] = loaders().submit(lambda: self._read(number))
            if len(self._parts) > KEPT:
                self._parts.popitem(last=False)

    def _read(self, number: int) -> bytes:
        count = min(PART, self._size - number * PART)
        with self._place.refusals():
            content: bytes = self._file.read_at(count, number * PART)
        if len(content) != count:
            raise changed(self._place)
        return content
