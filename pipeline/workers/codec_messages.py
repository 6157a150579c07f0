"""Messages of C codecs: lines on file descriptor 2, which Python never sees."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Of one picture; a codec that complains of every row says no more with more of it.
MAX_BYTES = 2000


@contextmanager
def codec_messages() -> Iterator[list[str]]:
    """Collect the lines that are written to file descriptor 2 inside the block, each once.

    The whole process is redirected: for workers, which show nothing else there.
    """
    lines: list[str] = []
    sink, kept = _sink(), os.dup(2)
    os.dup2(sink, 2)
    try:
        yield lines
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if os.lseek(sink, 0, os.SEEK_CUR):
            text = os.pread(sink, MAX_BYTES, 0).decode(errors="backslashreplace")
            os.lseek(sink, 0, os.SEEK_SET)
            os.truncate(sink, 0)
            lines.extend(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


@cache
def _sink() -> int:
    """A file without a name, for the life of this process: opening one takes longer than a small picture."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
