"""The files of a source by their path inside it, in a folder or an archive."""

import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.images.rejection import Rejection, failure, too_many_bytes
from pipeline.sources.digests import Digests, Slices, Texts, as_array, digests_of
from pipeline.sources.hash_cache import recall
from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.objects import Objects
from pipeline.sources.params import SourceParams
from pipeline.sources.places import Place, place_of
from pipeline.sources.scan import Scan, scan
from pipeline.sources.tars import PackedTar, Tar
from pipeline.sources.zips import Zip
from pipeline.store.refusals import refusals
from pipeline.workers.engine import Engine

# Bytes; a read that gives fewer has come to the end of the file.
SMALL = 1 << 17
# Files that a worker hashes in one go, at most.
TOGETHER = 64
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Files(Protocol):
    """A source's files. It is sent to worker processes, each of which opens what it needs."""

    @property
    def place(self) -> Place:
        """The folder or archive, for messages."""
        ...

    @property
    def hashes_content(self) -> bool:
        """Whether `hashes` are of contents. If not, they stand for what is known of files that are not read yet."""
        ...

    def scan(self) -> Scan:
        """List the files without reading them."""
        ...

    def read(self, path: str, most: int, listed: str = "") -> bytes | Rejection:
        """The content of a file that the scan found, or a rejection if it is too large or unreadable.

        Args:
            listed: its digest in hex digits, for a worker, which knows nothing else of the scan.
        """
        ...

    def expect(self, coming: Sequence[tuple[str, str]]) -> None:
        """Files, by path and digest in hex digits, that will be read in this order: those far away are so now."""
        ...

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> Digests:
        """The SHA-256 of each file's content, or the reason why there is none."""
        ...

    @property
    def patience(self) -> float:
        """Extra seconds allowed for reaching a file, on top of the time limit for the file itself."""
        ...

    def in_order(self, paths: Sequence[str]) -> Sequence[str]:
        """The same files in the order in which reading them is fastest."""
        ...

    def engine(self, engine: Engine) -> Engine:
        """What may read them: the engine, or one process where there is but one way through them."""
        ...


@dataclass(frozen=True)
class Folder:
    """Files in a folder."""

    place: Path
    patience: float = 0
    hashes_content = True
    inside: str = ""
    """Where it lies in the source."""
    memory: Path | None = None
    """What inventory remembers of the source's files: those that nobody has touched since need not be read for their
    SHA-256. It is held against the content when a file is read to be decoded."""

    def scan(self) -> Scan:
        """See scan.scan."""
        return scan(self.place)

    def expect(self, coming: Sequence[tuple[str, str]]) -> None:
        """They are here already."""

    def read(self, path: str, most: int, listed: str = "") -> bytes | Rejection:
        """The content of a file, or a rejection."""
        try:
            with open(f"{self.place}/{path}", "rb", buffering=0) as file:  # noqa: PTH123  # a Path takes as long as a read
                return too_many_bytes(_size(file), most) or file.readall()
        except OSError as error:
            return _unreadable(error)
        except MemoryError as error:
            return failure(error)

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> Digests:
        """SHA-256 of each file: from the cache, or computed by all workers."""
        known, digests = self._recalled(paths, most)
        new = np.delete(np.arange(len(paths)), known)
        rest = Texts(as_array(paths).take(pa.array(new))) if len(known) else paths
        chunk_size = max(1, min(TOGETHER, len(rest) // (4 * engine.workers)))
        found = digests_of(partial(_hashed, self.place, most), Slices(rest, chunk_size), self.engine(engine), title)
        return found.with_recalled(new, known, digests) if len(known) else found

    def _recalled(self, paths: Sequence[str], most: int) -> tuple[npt.NDArray[np.intp], bytes]:
        if self.memory is None:
            return np.array([], np.intp), b""
        return recall(self.place, as_array(paths), most, self.memory, f"{self.inside}/" if self.inside else "")

    def in_order(self, paths: Sequence[str]) -> Sequence[str]:
        """As they are."""
        return paths

    def engine(self, engine: Engine) -> Engine:
        """All workers that see the folder."""
        return engine.reading([self.place])


def open_files(source: SourceParams, max_expansion: float, memory: Path | None = None) -> Files:
    """The files of a source, in a folder or an archive, here or in an object store.

    Args:
        max_expansion: see members.Archive.
        memory: see Folder.

    Raises:
        DataError: it is a file, and no archive that can be read.
        StorageError: an object store refuses to say what it is, or cannot be reached.
    """
    place, inside = place_of(source.path), source.inside or ""
    if place.is_file():
        return _open_archive(place, inside, max_expansion)
    if isinstance(place, ObjectPlace):
        return Objects(place / inside)
    return Folder(place / inside, inside=inside, memory=memory)


def _open_archive(place: Place, inside: str, max_expansion: float) -> Files:
    """By its content, whatever its name says."""
    with refusals(place), place.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Zip(place, inside, max_expansion)
    for mark, opener in _PACKED.items():
        if head.startswith(mark):
            return PackedTar(place, inside, max_expansion, opener=opener)
    try:
        # Its first header, whose checksum no other kind of file gets right.
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        raise DataError(
            f"{place} is neither a folder nor a supported archive (zip, tar, tar.gz, tar.bz2, tar.xz): "
            "correct its path under `sources` in params.yaml"
        ) from None
    return Tar(place, inside, max_expansion)


def _hashed(root: Path, most: int, paths: Sequence[str]) -> list[bytes | Rejection]:
    return [_sha256(root, most, path) for path in paths]


def _sha256(root: Path, most: int, path: str) -> bytes | Rejection:
    try:
        with open(f"{root}/{path}", "rb", buffering=0) as file:  # noqa: PTH123  # a Path takes as long as a read
            # In one read, if it is small: file_digest takes longer to make room for its parts.
            head = file.read(SMALL)
            if len(head) < SMALL:
                return hashlib.sha256(head).digest()
            file.seek(0)
            return too_many_bytes(_size(file), most) or hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        return _unreadable(error)


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _unreadable(error: OSError) -> Rejection:
    return Rejection("unreadable", error.strerror or str(error))
