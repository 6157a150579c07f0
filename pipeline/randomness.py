"""Random numbers that depend on their purpose, never on the order in which they are drawn.

Each is a function of (seed of the params section, purpose, id, ...). So no worker count, file order
or other image can change what happens to an image.
"""

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.random.bit_generator import ISeedSequence

Ids = pd.Series | pd.Index | npt.NDArray[Any]

# Ids that are Python objects at one time: small enough that their memory is used again, not fetched anew.
CHUNK = 100_000


def keyed_seed(seed: int, purpose: str, *parts: object) -> int:
    """A seed in [0, 2**32) for one purpose and object."""
    return int.from_bytes(_digest(seed, purpose, parts)[:4], "big")


def keyed_generator(seed: int, purpose: str, *parts: object) -> np.random.Generator:
    """A separate NumPy generator for one purpose and object."""
    return np.random.default_rng(keyed_seed(seed, purpose, *parts))


def keyed_streams(seed: int, purpose: str, *parts: object) -> tuple[np.random.Generator, random.Random]:
    """NumPy's and Python's random numbers for one purpose and thing, where there are many things.

    All of PCG64's state comes from the SHA-256 of the key, which takes half the time of what NumPy makes of a seed.
    """
    digest = _digest(seed, purpose, parts)
    # NumPy's stubs do not know that its generators take any ISeedSequence.
    bits = np.random.PCG64(_Words(digest))  # type: ignore[arg-type]
    return np.random.Generator(bits), random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - no secret


def keyed_hash(seed: int, purpose: str, ids: Ids) -> npt.NDArray[np.uint64]:
    """64 bits for each id, a function of (seed, purpose, id) alone.

    Args:
        ids: shape (n,), strings.

    Returns:
        Shape (n,). SipHash under a key made of seed and purpose (pandas' `hash_array`), so that
        10,000,000 ids take seconds.
    """
    return keyed_hash_of_parts(seed, purpose, [ids], len(ids))


def keyed_hash_of_parts(seed: int, purpose: str, parts: Iterable[Ids], count: int) -> npt.NDArray[np.uint64]:
    """The same of `count` ids that come in parts, of which one is in memory at a time."""
    key = hashlib.sha256(f"{seed}\x1f{purpose}".encode()).hexdigest()[:16]
    found = np.empty(count, np.uint64)
    done = 0
    for ids in parts:
        for start in range(0, len(ids), CHUNK):
            some = np.asarray(ids[start : start + CHUNK], dtype=object)
            found[done : done + len(some)] = pd.util.hash_array(some, hash_key=key, categorize=False)
            done += len(some)
    return found


def keyed_uniform(seed: int, purpose: str, ids: Ids) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each id, shape (n,), from its `keyed_hash`."""
    return as_uniform(keyed_hash(seed, purpose, ids))


def as_uniform(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each hash; the array is used up."""
    # 53 bits are what a float64 holds, so that 1.0 cannot come out by rounding.
    hashes >>= np.uint64(11)
    uniform = hashes.astype(np.float64)
    uniform *= 2.0**-53
    return uniform


class _Words(ISeedSequence):
    """256 bits that are random already, as the four words that PCG64 asks for."""

    def __init__(self, digest: bytes) -> None:
        self._digest = digest

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:
        return np.frombuffer(self._digest, "<u8")


def _digest(seed: int, purpose: str, parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join([str(seed), purpose, *map(str, parts)]).encode()).digest()
