"""The path and SHA-256 of each of a source's files, in few bytes per file."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.images.rejection import Rejection
from pipeline.store.shard_plan import Row, digest
from pipeline.workers.engine import Engine

BYTES = 32
NONE = bytes(BYTES)
# Rows that are made at a time where all are gone through.
TOGETHER = 1024


@dataclass(frozen=True)
class Digests:
    """The SHA-256 of each of some files, 32 bytes one after the other, and why some have none, by position."""

    together: bytes
    refused: Mapping[int, Rejection] = field(default_factory=dict)
    recalled: npt.NDArray[np.bool_] | None = None
    """Of each file, whether nobody has read it for its digest in this run; None: all were read."""

    def __len__(self) -> int:
        return len(self.together) // BYTES

    def sha256(self, number: int) -> str:
        """64 hex digits; zeros for a file that has none."""
        return self.together[BYTES * number : BYTES * (number + 1)].hex()

    def with_recalled(self, own: npt.NDArray[np.intp], others: npt.NDArray[np.intp], digests: bytes) -> "Digests":
        """These, at positions of their own, among others that were recalled."""
        together = np.empty((len(own) + len(others), BYTES), np.uint8)
        recalled = np.zeros(len(together), bool)
        for positions, part in ((own, self.together), (others, digests)):
            together[positions] = np.frombuffer(part, np.uint8).reshape(-1, BYTES)
        recalled[others] = True
        return Digests(together.tobytes(), {int(own[number]): why for number, why in self.refused.items()}, recalled)

    def is_recalled(self, number: int) -> bool:
        """Whether nobody has read the file for its digest in this run."""
        return self.recalled is not None and bool(self.recalled[number])

    @property
    def known(self) -> npt.NDArray[np.intp]:
        """The positions of the files that have a digest."""
        known = np.ones(len(self), bool)
        known[[*self.refused]] = False
        return np.flatnonzero(known)


def digests_of(
    hashed: Callable[[Sequence[str]], list[bytes | Rejection]], paths: "Slices", engine: Engine, title: str
) -> Digests:
    """The digests of files, computed by all workers.

    Args:
        hashed: picklable; the digest of each of several paths, or why there is none.
    """
    found = engine.map(_Joined(hashed), paths, title, size=len, total=len(paths.texts))
    refused: dict[int, Rejection] = {}
    for number, (_, there) in enumerate(found):
        refused |= {number * paths.together + position: why for position, why in there.items()}
    return Digests(b"".join(digests for digests, _ in found), refused)


@dataclass(frozen=True)
class _Joined:
    hashed: Callable[[Sequence[str]], list[bytes | Rejection]]

    def __call__(self, paths: Sequence[str]) -> tuple[bytes, dict[int, Rejection]]:
        found = self.hashed(paths)
        refused = {number: one for number, one in enumerate(found) if isinstance(one, Rejection)}
        return b"".join(NONE if isinstance(one, Rejection) else one for one in found), refused


class Texts(Sequence[str]):
    """Texts that lie in Arrow."""

    def __init__(self, texts: pa.Array) -> None:
        self.array = texts

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, which: int) -> str: ...

    @overload
    def __getitem__(self, which: slice) -> list[str]: ...

    def __getitem__(self, which: int | slice) -> str | list[str]:
        found: str | list[str] = (
            self.array[which].to_pylist() if isinstance(which, slice) else self.array[which].as_py()
        )
        return found


def as_array(texts: Sequence[str]) -> pa.StringArray:
    """The same texts in Arrow."""
    return texts.array if isinstance(texts, Texts) else pa.array(texts, pa.string())


@dataclass(frozen=True)
class Slices(Sequence[Sequence[str]]):
    """Texts, a number of them at a time."""

    texts: Sequence[str]
    together: int

    def __len__(self) -> int:
        return math.ceil(len(self.texts) / self.together)

    @overload
    def __getitem__(self, which: int) -> Sequence[str]: ...

    @overload
    def __getitem__(self, which: slice) -> list[Sequence[str]]: ...

    def __getitem__(self, which: int | slice) -> Sequence[str] | list[Sequence[str]]:
        if isinstance(which, slice):
            return [self[number] for number in range(len(self))[which]]
        if which >= len(self):
            raise IndexError(which)
        return self.texts[which * self.together : (which + 1) * self.together]


class FileRows(Sequence[Row]):
    """What the shards are to hold of a source's files: a row for each that has a digest, made when it is asked for.

    Args:
        shape: a digest of all that shapes a row beside its file.
        source: its name.
        paths, digests: of all files, in the order of the rows.
    """

    def __init__(self, shape: str, source: str, paths: Texts, digests: Digests) -> None:
        self._shape, self._source, self._paths, self._digests = shape, source, paths, digests
        self.files = digests.known
        """The positions of the rows' files."""
        # Asked for twice, and dear.
        self._keys = b"".join(
            bytes.fromhex(digest(shape, source, path, sha256)) for path, sha256, _ in self._between(0, len(self))
        )

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, which: int) -> Row: ...

    @overload
    def __getitem__(self, which: slice) -> list[Row]: ...

    def __getitem__(self, which: int | slice) -> Row | list[Row]:
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return [*self._rows(start, stop)]
        return next(self._rows(which, which + 1))

    def __iter__(self) -> Iterator[Row]:
        return self._rows(0, len(self))

    def _rows(self, start: int, stop: int) -> Iterator[Row]:
        for number, (path, sha256, recalled) in enumerate(self._between(start, stop), start):
            key = self._keys[16 * number : 16 * (number + 1)].hex()
            yield Row(path, key, (f"{self._source}/{path}", path, sha256, recalled))

    def _between(self, start: int, stop: int) -> Iterator[tuple[str, str, bool]]:
        """Path, SHA-256 and whether that was recalled, of the rows from one position to another."""
        for begin in range(start, stop, TOGETHER):
            files = self.files[begin : min(begin + TOGETHER, stop)]
            paths = self._paths.array.take(pa.array(files)).to_pylist()
            of_files = ((self._digests.sha256(number), self._digests.is_recalled(number)) for number in files.tolist())
            yield from ((path, *of_file) for path, of_file in zip(paths, of_files, strict=True))
