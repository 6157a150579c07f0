"""The objects of a source under a prefix of an object store.

An object is known by its size and the time of its last change, which the list of the bucket gives: what did not change
is never read again. Arrow's lists have no ETag, and to ask for each one's would take a request per object.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import sleep, time_ns
from typing import Any

import numpy as np
from pyarrow import fs

from pipeline.errors import MissingInputError
from pipeline.images.rejection import Rejection, too_many_bytes
from pipeline.sources import object_store
from pipeline.sources.digests import Digests, as_array
from pipeline.sources.object_errors import changed
from pipeline.sources.object_store import ObjectPlace, ObjectStat, list_objects, stat_of
from pipeline.sources.read_ahead import SECONDS, Listed, ReadAhead
from pipeline.sources.scan import Scan, ignored_for
from pipeline.workers.engine import Engine

# Stores tell times of changes in seconds: an object that changed so lately may change again and keep its time.
YOUNG = 2_000_000_000
# Arrow's words where an answer such as "slow down" is longer than the object: it then does not try again itself.
SMALLER_THAN_ANSWER = "Failed to flush response stream"
SHORTEST_WAIT = 0.5
EMPTY_NAME, LEAVES = "empty_name", "path_leaves_source"
# Size and time of change, as the 32 bytes that stand for a file's content elsewhere.
_IDENTITY = struct.Struct(">Qq16x")


@dataclass
class Objects:
    """See files.Files."""

    place: ObjectPlace
    hashes_content = False
    patience: float = SECONDS + 60
    _found: dict[str, ObjectStat] = field(default_factory=dict, repr=False, compare=False)
    _ahead: ReadAhead | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """The place alone: a row's digest tells a worker what was listed of its object."""
        return {"place": self.place, "patience": self.patience}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.place, self.patience = state["place"], state["patience"]
        self._found, self._ahead = {}, None

    def scan(self) -> Scan:
        """List the objects; those whose names no path can have are refused.

        Raises:
            MissingInputError: there is no such bucket, or no object under the prefix.
            StorageError: the store refuses, or cannot be reached.
        """
        now = time_ns()
        found, odd = self._listed()
        if any(stat.st_mtime_ns > now - YOUNG for stat in found.values()):
            sleep(YOUNG / 1e9)
            found, odd = self._listed()
        if not found and not odd:
            raise MissingInputError(
                f"there are no objects under {self.place}: correct the path under `sources` in params.yaml"
            )
        ignored = {path: why for path in found if (why := _ignored(path))}
        self._found = {path: stat for path, stat in found.items() if path not in ignored}
        return Scan(tuple(sorted(self._found)), tuple(sorted(odd.items())), tuple(sorted(ignored.items())))

    def read(self, path: str, most: int, listed: str = "") -> bytes | Rejection:
        """The content of an object, if it is the one that was listed."""
        one = self._one(path, listed)
        return too_many_bytes(one.size, most) or self._reading().take(one)

    def expect(self, coming: Sequence[tuple[str, str]]) -> None:
        """Read objects, by path and digest, ahead of their turn; "" in place of the digest: as the scan found them."""
        self._reading().expect([self._one(path, listed) for path, listed in coming])

    def hashes(self, paths: Sequence[str], most: int, engine: Engine, title: str) -> Digests:
        """Size and time of change of each object, as 32 bytes; nothing is read."""
        stats = [self._found[path] for path in as_array(paths).to_pylist()]
        sizes = np.fromiter((stat.st_size for stat in stats), np.int64, len(stats))
        refused = {number: too_many_bytes(int(sizes[number]), most) for number in np.flatnonzero(sizes > most).tolist()}
        together = b"".join(_IDENTITY.pack(stat.st_size, stat.st_mtime_ns) for stat in stats)
        return Digests(together, {number: why for number, why in refused.items() if why is not None})

    def in_order(self, paths: Sequence[str]) -> Sequence[str]:
        """As they are."""
        return paths

    def engine(self, engine: Engine) -> Engine:
        """All workers: each machine reaches the store."""
        return engine.reading([])

    def said_of(self, path: str) -> str:
        """Size and time of change of an object that the scan found, as text."""
        return words_of(self._found[path])

    def _one(self, path: str, listed: str) -> Listed:
        return Listed(path, *(_IDENTITY.unpack(bytes.fromhex(listed)) if listed else self._found[path][:2]))

    def _reading(self) -> ReadAhead:
        if self._ahead is None:
            self._ahead = ReadAhead(self._load, lambda path: f"{self.place}/{path}")
        return self._ahead

    def _load(self, one: Listed) -> bytes:
        """The content; tried again where Arrow takes a store's answer for an object's, which has less room for it."""
        for number in range(object_store.TRIES - 1):
            try:
                return self._content(one)
            except OSError:
                sleep(SHORTEST_WAIT * 2**number)
        with self.place.refusals(one.path):
            return self._content(one)

    def _content(self, one: Listed) -> bytes:
        """In two requests: Arrow asks for an object's size, and then for its content.

        Raises:
            OSError: the object is smaller than the store's words on why it does not give it now.
        """
        store = self.place.store()
        with (
            self.place.refusals(one.path, but=SMALLER_THAN_ANSWER),
            store.open_input_file(f"{self.place.path}/{one.path}") as file,
        ):
            if file.size() != one.size or _modified(file.metadata(), one.modified) != one.modified // 1_000_000_000:
                raise changed(f"{self.place}/{one.path}")
            content: bytes = file.read(one.size)
        if len(content) != one.size:
            raise changed(f"{self.place}/{one.path}")
        return content

    def _listed(self) -> tuple[dict[str, ObjectStat], dict[str, str]]:
        """The objects by their path inside the source, and the names that are none, with the reason."""
        found: dict[str, ObjectStat] = {}
        odd: dict[str, str] = {}
        start = len(self.place.path) + 1
        for infos in list_objects(self.place):
            for info in infos:
                path = info.path[start:]
                if reason := _odd(path, info.type == fs.FileType.Directory):
                    odd[path] = reason
                else:
                    found[path] = stat_of(info)
        return found, odd


def words_of(stat: ObjectStat) -> str:
    """What a store says of an object, in words: its bytes, and when it changed last."""
    seconds, rest = divmod(stat.st_mtime_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stat.st_size} bytes of {moment}{f'.{rest:09d}' if rest else ''}Z"


def _odd(path: str, is_folder: bool) -> str:
    """Why no path can be the object's: Arrow could not ask for it, or it would lead elsewhere."""
    parts = path.split("/")
    if is_folder or "" in parts:
        return EMPTY_NAME
    return LEAVES if not {".", ".."}.isdisjoint(parts) else ""


def _ignored(path: str) -> str:
    return next(filter(None, map(ignored_for, path.split("/"))), "")


def _modified(metadata: Any, listed: int) -> int:
    """When the object changed last, in seconds since 1970, as a request for it says; as listed, if it does not."""
    said = dict(metadata or {}).get(b"Last-Modified")
    if said is None:
        return listed // 1_000_000_000
    return int(datetime.fromisoformat(said.decode()).timestamp())
