"""How libraries find the process that they work in: environment variables, which workers inherit, and malloc."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

SETTINGS = {
    # It would ask the network for newer releases.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    # Arrow's own pool keeps what is freed: on millions of rows, a fifth more memory.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # Threads split sums, and so round them: one gives the same on any number of cores. The matrices are small: on a
    # busy machine its threads, which wait for each other at full speed, took four times the work itself.
    "OPENBLAS_NUM_THREADS": "1",
    # On a GPU its sums are the same twice only with buffers of a fixed size; torch refuses to be deterministic without.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Pages of 2 MB for torch's tensors, where the system gives them when asked: each page costs a stop.
    "THP_MEM_ALLOC_ENABLE": "1",
}


def configure() -> None:
    """Set what the user has not; to be called before numpy, pyarrow or albumentations is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


# As malloc.h has them.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8


@cache
def keep_freed_memory() -> None:
    """What C libraries free, up to 64 MB, stays with this process; for those that handle picture after picture.

    glibc would give a picture's pixels back to the system each time, and ask for them anew, page by page.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 32_000_000)
        library.mallopt(_M_TRIM_THRESHOLD, 64_000_000)


@cache
def few_arenas() -> None:
    """Threads share memory that is free; for those that wait for a network.

    glibc would reserve 64 MB of address space for each, which counts as memory of the file that is being decoded.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


@cache
def keep_freed_tensors() -> None:
    """The same up to 2 GB, for processes that fit networks or ask them.

    What a network makes of a batch of photos is hundreds of megabytes, given back and asked for anew at each step; of
    96 pixels per side that took more than half of the time (docs/train.md).
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option, value in (
            (_M_MMAP_MAX, 0),
            (_M_ARENA_MAX, 1),
            (_M_TOP_PAD, 256_000_000),
            (_M_TRIM_THRESHOLD, 2_000_000_000),
        ):
            library.mallopt(option, value)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Inside, gloo does not look for this machine's name in the network: all processes are here."""
    name, loopback = "GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo"
    missing = name not in os.environ
    os.environ.setdefault(name, loopback)
    try:
        yield
    finally:
        if missing:
            del os.environ[name]
