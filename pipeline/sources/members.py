"""Common parts of zip and tar archives as sources: members are read in place; nothing is unpacked to disk.

Whatever a member is called or claims to be, it is a file to be read, ignored (hidden and system files) or
refused. An archive that is damaged as a whole, or would give more bytes than a bomb's worth, is one error.
"""

import hashlib
import json
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.errors import DataError
from pipeline.images.rejection import Rejection, too_many_bytes
from pipeline.names import as_utf8
from pipeline.sources.digests import Digests, Slices, digests_of
from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.places import Place
from pipeline.sources.scan import Scan, ignored_for
from pipeline.sources.stream import BombError
from pipeline.store.refusals import refusals
from pipeline.workers.engine import Engine

# What an archive may hold at any rate: a small one of tables may shrink further than images do.
MIN_BYTES = 1_000_000_000
LEAVES = "path_leaves_source"
ELSEWHERE = "not_inside"
# Members that a worker hashes in one go.
CHUNK = 256
# What the libraries raise for damage.
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

    place: Place
    inside: str
    max_expansion: float
    """Beyond so many times its own size, and MIN_BYTES, an archive is a bomb."""
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
        except BombError as error:
            raise self._bomb("gives") from error
        except _DAMAGE as error:
            raise DataError(
                f"{self.place} is damaged or cut short ({type(error).__name__}: {error}): create or download it again"
            ) from error
        if sum(member.size for member in listed if member.reason != ELSEWHERE) > self.most_bytes:
            raise self._bomb("claims to hold")
        return self._sorted_out(listed)

    def in_order(self, paths: Sequence[str]) -> Sequence[str]:
        """As they are."""
        return paths

    def engine(self, engine: Engine) -> Engine:
        """All workers that see the archive."""
        return engine.reading([] if isinstance(self.place, ObjectPlace) else [Path(str(self.place))])

    @property
    def patience(self) -> float:
        """Seconds that reaching a file may take."""
        return 0

    @property
    def hashes_content(self) -> bool:
        """Not in an object store: there a member is known by its name, and by what the store says of the archive."""
        return not isinstance(self.place, ObjectPlace)

    def expect(self, coming: Sequence[tuple[str, str]]) -> None:
        """The archive itself is read ahead."""

    def read(self, path: str, most: int, listed: str = "") -> bytes | Rejection:
        """The content of a member, never more than it declares or than `most`."""
        member = self.members[path]
        if (large := too_many_bytes(member.size, most)) is not None:
            return large
        try:
            data = self._content(member)
        except _DAMAGE as error:
            return Rejection("damaged_member", f"{type(error).__name__}: {error}")
        if len(data) != member.size:
            return Rejection("damaged_member", f"{member.size} bytes are declared, there are others")
        return data

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> Digests:
        """SHA-256 of each member, computed by all workers; in an object store, nothing is read."""
        if self.hashes_content:
            return digests_of(partial(_hashes, files=self, most=most), Slices(paths, CHUNK), self.engine(engine), title)
        members = [self.members[path] for path in paths]
        large = ((number, too_many_bytes(member.size, most)) for number, member in enumerate(members))
        known = (hashlib.sha256(json.dumps([*self.stamp, one.name, one.size]).encode()).digest() for one in members)
        return Digests(b"".join(known), {number: why for number, why in large if why is not None})

    @property
    def most_bytes(self) -> int:
        """The most bytes that this archive may unpack to."""
        return max(MIN_BYTES, int(self.max_expansion * self.stamp[0]))

    def _list(self) -> Iterable[Member]:
        raise NotImplementedError

    def _content(self, member: Member) -> bytes:
        raise NotImplementedError

    def _bomb(self, does: str) -> DataError:
        return DataError(
            f"{self.place} {does} more than {self.most_bytes:,} bytes, and is {self.stamp[0]:,} bytes itself: it may "
            f"be a decompression bomb (ingest.max_expansion is {self.max_expansion:g}; {MIN_BYTES:,} bytes are always "
            "allowed). If you trust it, raise the limit, or unpack it"
        )

    def _sorted_out(self, listed: Sequence[Member]) -> Scan:
        times = Counter(member.name for member in listed if member.reason != ELSEWHERE)
        refused, ignored = [], []
        for member in listed:
            if member.reason == LEAVES:
                refused.append((as_utf8(member.name), LEAVES))
            elif member.reason == ELSEWHERE:
                ignored.append((as_utf8(member.name), ELSEWHERE))
            elif why := next(filter(None, map(ignored_for, member.name.split("/"))), ""):
                ignored.append((as_utf8(member.name), why))
            elif times[member.name] > 1:
                # Which of them a person means, nobody knows: tools that unpack disagree.
                refused.append((as_utf8(member.name), "several_members"))
            elif member.reason:
                refused.append((as_utf8(member.name), member.reason))
            else:
                self.members[member.name] = member
        return Scan(tuple(sorted(self.members)), tuple(sorted(refused)), tuple(sorted(ignored)))


def _placed(member: Member, inside: str) -> Member:
    """The member by its path inside the source; by its own, with ELSEWHERE, if it lies elsewhere in the archive."""
    name = member.name.removeprefix("./")
    path = posixpath.normpath(name)
    if name.startswith("/") or path == ".." or path.startswith("../"):
        return Member(name, member.where, member.size, LEAVES)
    if inside and not path.startswith(f"{inside}/"):
        return Member(name, member.where, member.size, ELSEWHERE)
    return Member(path.removeprefix(f"{inside}/") if inside else path, member.where, member.size, member.reason)


def _hashes(paths: Sequence[str], files: Archive, most: int) -> list[bytes | Rejection]:
    contents = (files.read(path, most) for path in paths)
    return [data if isinstance(data, Rejection) else hashlib.sha256(data).digest() for data in contents]
