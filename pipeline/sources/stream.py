"""A file that can only be read from front to back, for tarfile, which trusts what archives claim."""

import hashlib
import tarfile
from typing import BinaryIO

# tarfile reads headers alone through read(); a longer one would be kept whole.
MAX_HEADER = 1 << 20
_STEP = 1 << 20


class BombError(Exception):
    """An archive gives more bytes than it may."""


class Stream:
    """Reads of a header's size, and steps ahead; never back, so that no archive makes a loop.

    Args:
        size: of the file, if steps ahead are free; None if what lies between must be read.
        most: bytes in all; more are a BombError.
    """

    def __init__(self, file: BinaryIO, size: int | None, most: int | None = None) -> None:
        self._file = file
        self._size = size
        self._most = most
        self._place = 0
        self.last = b""
        """What the last read gave."""

    def tell(self) -> int:
        """The position, in bytes from the start."""
        return self._place

    def read(self, count: int) -> bytes:
        """Bytes of a header; fewer at the end.

        Raises:
            tarfile.ReadError: so many are none of a header.
        """
        if count > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {count} bytes")
        self.last = self._read(count)
        return self.last

    def take(self, count: int) -> bytes:
        """Bytes of a file; fewer at the end."""
        return self._read(count)

    def seek(self, place: int) -> None:
        """Skip ahead to a position.

        Raises:
            tarfile.ReadError: it lies behind, or beyond the end.
        """
        if place < self._place:
            raise tarfile.ReadError("a member lies before the one in front of it")
        if self._size is not None:
            if place > self._size:
                raise tarfile.ReadError("unexpected end of data")
            self._file.seek(place)
            self._place = place
        while self._place < place:
            if not self._read(min(_STEP, place - self._place)):
                raise tarfile.ReadError("unexpected end of data")

    def finish(self) -> None:
        """Go on to the end, where a compressed file has its checksum, through nothing but zeros.

        Raises:
            tarfile.ReadError: there is something else.
        """
        while data := self._read(_STEP):
            if data.count(0) != len(data):
                raise tarfile.ReadError("there is more behind its end, such as another archive")

    def sha256(self, count: int) -> bytes:
        """Of the next bytes, 32 bytes."""
        digest, end = hashlib.sha256(), self._place + count
        while self._place < end:
            data = self._read(min(_STEP, end - self._place))
            if not data:
                raise tarfile.ReadError("unexpected end of data")
            digest.update(data)
        return digest.digest()

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._place += len(data)
        if self._most is not None and self._place > self._most:
            raise BombError(f"more than {self._most:,} bytes")
        return data
