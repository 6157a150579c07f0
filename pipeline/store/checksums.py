"""A checksum that a file carries in itself: eight hex digits behind a marker.

It is the CRC-32 of all bytes of the file, with zeros in place of these digits. Any single flipped bit shows for sure,
and of other damage all but one in 4,000,000,000. It is no signature: whoever wants to can forge it. Of what Python
brings, CRC-32 is the fastest by far (7 GB/s; SHA-256 2, BLAKE2 1.4, MD5 0.9).
"""

import zlib
from collections.abc import Iterable

MARKER = b"crc32:"
ZEROS = b"0" * 8
BLANK = MARKER + ZEROS
"""What stands in a file until `checksum` is known."""


def find(content: bytes | memoryview, start: int, stop: int) -> int | None:
    """The position of the digits behind the first marker in this part of a file; None if there is none."""
    found = bytes(content[start:stop]).find(MARKER)
    place = start + found + len(MARKER)
    return None if found < 0 or place + len(ZEROS) > stop else place


def checksum(content: bytes | memoryview, place: int) -> bytes:
    """The eight hex digits of a file's checksum, which stand at this position."""
    crc = zlib.crc32(content[:place])
    crc = zlib.crc32(ZEROS, crc)
    return b"%08x" % zlib.crc32(content[place + len(ZEROS) :], crc)


def checksum_of_parts(parts: Iterable[bytes]) -> bytes:
    """The same of content that comes in parts, with ZEROS in place of its digits."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return b"%08x" % crc


def with_checksum(content: bytes, place: int) -> bytes:
    """The content with its digits at this place."""
    return content[:place] + checksum(content, place) + content[place + len(ZEROS) :]


def is_right(content: bytes | memoryview, place: int) -> bool:
    """Whether the digits at this place are those of the content."""
    return bytes(content[place : place + len(ZEROS)]) == checksum(content, place)
