"""Zip and tar archives as sources: members are files, read where they lie; nothing is unpacked to the disk.

Whatever a member is called or claims to be, it is a file to be read, ignored (hidden and system files) or
refused. An archive that is damaged as a whole, or would give more bytes than a bomb's worth, is one error.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import posixpath
import stat
import tarfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.core.reasons import Rejection
from pipeline.engine import Engine
from pipeline.errors import DataError
from pipeline.scan import Scan, is_system_file
from pipeline.sources.stream import Stream
from pipeline.storage import refusals

# Beyond so many times its own size, and this floor, an archive is a bomb: images hardly shrink.
MOST_EXPANSION, LEAST_BYTES = 200, 1_000_000_000
LEAVES = "path_leaves_source"
# Members that a worker hashes in one go.
CHUNK = 256
# What reaching a member of a compressed tar may take, as a multiple of the time of the first pass.
PATIENCE = 10

_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A file of an archive: where it is (an offset, or its number from the front), and its bytes as declared."""

    name: str
    where: int
    size: int
    reason: str = ""


@dataclass
class Archive:
    """What all archives share; see files.Files."""

    place: Path
    inside: str = ""
    stamp: tuple[int, ...] = ()
    """Of the file on disk, so that no worker reads on in one that was replaced."""
    members: dict[str, Member] = field(default_factory=dict)

    def scan(self) -> Scan:
        """The members, nothing unpacked.

        Raises:
            DataError: the archive is damaged, or a bomb.
        """
        with refusals(self.place):
            found = self.place.stat()
        self.stamp = (found.st_size, found.st_mtime_ns, found.st_ino)
        try:
            listed = [_placed(member, self.inside) for member in self._list()]
        except _DAMAGE as error:
            raise DataError(
                f"{self.place} is damaged or cut short ({type(error).__name__}: {error}): make or fetch it again"
            ) from error
        self._check_size(sum(member.size for member in listed if member is not None))
        return self._sorted_out(listed)

    def in_order(self, paths: Sequence[str]) -> list[str]:
        """As they are."""
        return [*paths]

    def engine(self, engine: Engine) -> Engine:
        """All workers."""
        return engine

    @property
    def patience(self) -> float:
        """Seconds that reaching a file may take."""
        return 0

    def read(self, path: str, most: int) -> bytes | Rejection:
        """The content of a member, never more than it declares or than `most`."""
        member = self.members[path]
        if member.size > most:
            return Rejection("too_many_bytes", f"{member.size} bytes, the limit is {most}")
        try:
            data = self._content(member)
        except _DAMAGE as error:
            return Rejection("damaged_member", f"{type(error).__name__}: {error}")
        if len(data) != member.size:
            return Rejection("damaged_member", f"{member.size} bytes are declared, there are others")
        return data

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> list[str | Rejection]:
        """By all workers."""
        chunks = [paths[begin : begin + CHUNK] for begin in range(0, len(paths), CHUNK)]
        found = engine.map(partial(_hashes, files=self, most=most), chunks, title, size=len)
        return [one for chunk in found for one in chunk]

    def _list(self) -> Iterable[Member]:
        raise NotImplementedError

    def _content(self, member: Member) -> bytes:
        raise NotImplementedError

    def _check_size(self, claimed: int) -> None:
        limit = most_bytes(self.stamp[0])
        if claimed > limit:
            raise DataError(
                f"{self.place} claims to hold {claimed:,} bytes in {self.stamp[0]:,}, the limit is {limit:,}: a "
                "decompression bomb; take the images out of it, or make it again"
            )

    def _sorted_out(self, listed: Sequence[Member | None]) -> Scan:
        times = Counter(member.name for member in listed if member is not None)
        refused, ignored = [], 0
        for member in listed:
            if member is not None and member.reason == LEAVES:
                refused.append((_shown(member.name), LEAVES))
            elif member is None or any(map(is_system_file, member.name.split("/"))):
                ignored += 1
            elif times[member.name] > 1:
                # Which of them a person means, nobody knows: tools that unpack disagree.
                refused.append((_shown(member.name), "several_members"))
            elif member.reason:
                refused.append((_shown(member.name), member.reason))
            else:
                self.members[member.name] = member
        return Scan(tuple(sorted(self.members)), tuple(sorted(refused)), ignored)


@dataclass
class Zip(Archive):
    """Any member is reached at once, by each worker."""

    def _list(self) -> Iterator[Member]:
        for number, info in enumerate(_zip(self.place, self.stamp).infolist()):
            if not info.is_dir():
                yield Member(info.filename, number, info.file_size, _zip_reason(info))

    def _content(self, member: Member) -> bytes:
        archive = _zip(self.place, self.stamp)
        with archive.open(archive.infolist()[member.where]) as file:
            # The checksum is held against the content when its end is seen.
            return file.read(member.size) + file.read(1)


@dataclass
class Tar(Archive):
    """Without compression, any member is reached at once, by each worker."""

    def _list(self) -> Iterator[Member]:
        with self.place.open("rb") as file:
            for info in _tar_members(Stream(file, self.stamp[0])):
                yield Member(info.name, info.offset_data, info.size, _tar_reason(info))

    def _content(self, member: Member) -> bytes:
        return os.pread(_descriptor(self.place, self.stamp), member.size, member.where)


@dataclass
class PackedTar(Archive):
    """A compressed tar can only be read from its front: one process goes through it, in the order of the members.

    A first pass lists and hashes all, a second one reads those that no shard has yet.
    """

    opener: Any = None
    sha256: dict[int, str] = field(default_factory=dict)
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

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> list[str | Rejection]:
        """As the scan found them."""
        return [self.sha256[self.members[path].where] for path in paths]

    def _list(self) -> Iterator[Member]:
        begun = time.perf_counter()
        with self.opener(self.place, "rb") as file:
            stream = Stream(file, None, most_bytes(self.stamp[0]))
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

    def __init__(self, place: Path, opener: Any) -> None:
        self._open = partial(opener, place, "rb")
        self._file: BinaryIO | None = None
        self._next = 0

    def content(self, member: Member) -> bytes:
        """Onwards to the member; from the front again if it lies behind."""
        if self._file is None or member.where < self._next:
            if self._file is not None:
                self._file.close()
            self._file = self._open()
            self._stream = Stream(self._file, None)
            self._members, self._next = _tar_members(self._stream), 0
        for info in self._members:
            self._next += 1
            if self._next > member.where:
                self._stream.seek(info.offset_data)
                return self._stream.take(info.size)
        raise EOFError("it has fewer members than before")


def open_archive(place: Path, inside: str) -> Archive:
    """The archive in a file, by its content.

    Raises:
        DataError: it is none of the kinds that are read.
    """
    with refusals(place), place.open("rb") as file:
        head = file.read(512)
    for mark, opener in _PACKED.items():
        if head.startswith(mark):
            return PackedTar(place, inside, opener=opener)
    if head[257:262] == b"ustar":
        return Tar(place, inside)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Zip(place, inside)
    raise DataError(
        f"{place} is neither a folder nor an archive that can be read (zip, tar, tar.gz, tar.bz2, tar.xz): "
        "correct its path under `sources` in params.yaml"
    )


def most_bytes(size: int) -> int:
    """What an archive of so many bytes may hold."""
    return max(LEAST_BYTES, MOST_EXPANSION * size)


def _placed(member: Member, inside: str) -> Member | None:
    """The member by its path inside the source, None if it lies elsewhere in the archive."""
    name = member.name.removeprefix("./")
    path = posixpath.normpath(name)
    if name.startswith("/") or path == ".." or path.startswith("../"):
        return Member(name, member.where, member.size, LEAVES)
    if inside and not path.startswith(f"{inside}/"):
        return None
    return Member(path.removeprefix(f"{inside}/") if inside else path, member.where, member.size, member.reason)


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _zip_reason(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link_in_archive"
    if kind not in {0, stat.S_IFREG}:
        return "not_a_regular_file"
    if info.flag_bits & 1:
        return "encrypted"
    # Others may unpack a few bytes to gigabytes in one go.
    return "" if info.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} else "unknown_compression"


def _tar_members(stream: Stream) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            archive.members.clear()  # it would keep all
            if not info.isdir():
                yield info
    # tarfile takes a damaged header for the end.
    if stream.last.count(0) != tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it has no end marker")


def _tar_reason(info: tarfile.TarInfo) -> str:
    try:
        info.name.encode()
    except UnicodeEncodeError:
        return "name_not_utf8"
    if info.issym() or info.islnk():
        return "link_in_archive"
    return "" if info.isreg() and not info.issparse() else "not_a_regular_file"


def _hashes(paths: Sequence[str], files: Archive, most: int) -> list[str | Rejection]:
    contents = (files.read(path, most) for path in paths)
    return [data if isinstance(data, Rejection) else hashlib.sha256(data).hexdigest() for data in contents]


# A process opens an archive once.
@lru_cache(maxsize=2)
def _zip(place: Path, stamp: tuple[int, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(place)


@lru_cache(maxsize=2)
def _descriptor(place: Path, stamp: tuple[int, ...]) -> int:
    return os.open(place, os.O_RDONLY)


@lru_cache(maxsize=2)
def _way(place: Path, stamp: tuple[int, ...], opener: Any) -> _Way:
    return _Way(place, opener)
