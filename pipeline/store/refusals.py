"""What the file system refuses (full, read-only, no permission), as errors that say how to fix it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import StorageError

# How to fix an error of the file system; without an entry, no cause is claimed.
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Fix the permissions"),
    errno.EROFS: "Make the file system writable, or work in a folder on another one",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "Allow more open files (`ulimit -n`), or use fewer workers (--workers)"
    ),
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV), "Check the disk and its cables, or the network's drive"),
    **dict.fromkeys((errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT), "Connect the drive again"),
    errno.ENAMETOOLONG: "Use a shorter name, or a folder nearer to the root",
    errno.EFBIG: "Allow larger files (`ulimit -f`), or use another file system",
    errno.ELOOP: "Remove the links that lead in a circle",
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY, errno.EAGAIN), "Wait for the program that uses it"),
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTEMPTY),
        "Another program, such as a second run of this command, changed it at the same time: let one of them end",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        "A file is in the place of a folder, or a folder in the place of a file: move it away",
    ),
}
UNKNOWN_REMEDY = "Fix the cause"


@contextmanager
def refusals(path: object) -> Iterator[None]:
    """Turn errors of the file system (full, read-only, no permission) into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {refusal_words(error)}, then run the command again") from error


def refusal_words(error: OSError) -> str:
    """The system's error message, and how to fix it."""
    # By the number, because Arrow puts a sentence of its own around the system's words.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{reason}. {REMEDIES.get(error.errno or 0, UNKNOWN_REMEDY)}"
