"""Tar archives as sources, plain and compressed."""

import io
import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.names import is_utf8
from pipeline.sources.digests import Digests
from pipeline.sources.members import Archive, Member
from pipeline.sources.places import Place, openable
from pipeline.sources.stream import Stream
from pipeline.workers.engine import Engine

# What reaching a member of a compressed tar may take, as a multiple of the time of the first pass.
PATIENCE = 10


@dataclass
class Tar(Archive):
    """Without compression, any member is reached at once, by each worker."""

    def _list(self) -> Iterator[Member]:
        with self.place.open("rb") as file:
            for info in _tar_members(Stream(file, self.stamp[0])):
                yield Member(info.name, info.offset_data, info.size, _tar_reason(info))

    def _content(self, member: Member) -> bytes:
        file = _file(self.place, self.stamp)
        file.seek(member.where)
        return file.read(member.size)


@dataclass
class PackedTar(Archive):
    """A compressed tar can only be read from its front: one process goes through it, in the order of the members.

    A first pass lists and hashes all, a second one reads those that no shard has yet.
    """

    opener: Any = None
    hashes_content = True
    sha256: dict[int, bytes] = field(default_factory=dict)
    seconds: float = 0

    def in_order(self, paths: Sequence[str]) -> list[str]:
        """As they lie in the archive."""
        return sorted(paths, key=lambda path: self.members[path].where)

    def engine(self, engine: Engine) -> Engine:
        """One process: each other one would unpack all of the archive again."""
        return Engine(1)

    @property
    def patience(self) -> float:
        """So that the way to a file never makes it time out."""
        return PATIENCE * self.seconds

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> Digests:
        """As the scan found them."""
        return Digests(b"".join(self.sha256[self.members[path].where] for path in paths))

    def _list(self) -> Iterator[Member]:
        begun = time.perf_counter()
        with self.opener(openable(self.place), "rb") as file:
            stream = Stream(file, None, self.most_bytes)
            for number, info in enumerate(_tar_members(stream)):
                reason = _tar_reason(info)
                if not reason:
                    stream.seek(info.offset_data)
                    self.sha256[number] = stream.sha256(info.size)
                yield Member(info.name, number, info.size, reason)
        self.seconds = time.perf_counter() - begun

    def _content(self, member: Member) -> bytes:
        way = _way(self.place, self.stamp, self.opener)
        return way.content(member)


class _Way:
    """How far a process has come in a compressed tar."""

    def __init__(self, place: Place, opener: Any) -> None:
        self._place, self._opener = place, opener
        self._file: BinaryIO | None = None
        self._next = 0

    def content(self, member: Member) -> bytes:
        """Onwards to the member; from the front again if it lies behind."""
        if self._file is None or member.where < self._next:
            if self._file is not None:
                self._file.close()
            self._file = self._opener(openable(self._place), "rb")
            self._stream = Stream(self._file, None)
            self._members, self._next = _tar_members(self._stream), 0
        for info in self._members:
            self._next += 1
            if self._next > member.where:
                self._stream.seek(info.offset_data)
                return self._stream.take(info.size)
        raise EOFError("it has fewer members than before")


def _tar_members(stream: Stream) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            archive.members.clear()  # it would keep all
            if not info.isdir():
                yield info
    # tarfile takes a damaged header for the end.
    if stream.last.count(0) != tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it has no end marker")
    stream.finish()


def _tar_reason(info: tarfile.TarInfo) -> str:
    if not is_utf8(info.name):
        return "name_not_utf8"
    if info.issym() or info.islnk():
        return "link_in_archive"
    return "" if info.isreg() and not info.issparse() else "not_a_regular_file"


# A process opens an archive once.
@lru_cache(maxsize=2)
def _file(place: Place, stamp: tuple[int, ...]) -> io.FileIO | BinaryIO:
    # One of this machine stays open to the end of the process, as it is.
    return io.FileIO(os.open(place, os.O_RDONLY), closefd=False) if isinstance(place, Path) else place.open("rb")


@lru_cache(maxsize=2)
def _way(place: Place, stamp: tuple[int, ...], opener: Any) -> _Way:
    return _Way(place, opener)
