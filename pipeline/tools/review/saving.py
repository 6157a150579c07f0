"""Save decisions one at a time: each is on the disk when `save` returns, and no other process's row is lost."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.store.decisions import Decision, parse, render
from pipeline.store.reading import read_bytes
from pipeline.store.refusals import refusals
from pipeline.store.writing import partial_path, put_in_place, write_bytes


class DecisionFile:
    """One person's rows of feedback/labels.csv.

    Each change reads the file, replaces one row and puts the whole file in place, under a lock of its folder. So a kill
    leaves the file as it was before or after the change, and several windows and processes lose nothing.
    """

    def __init__(self, path: Path, who: str) -> None:
        self.path, self.who = path, who
        self._threads = threading.Lock()

    def all(self) -> tuple[Decision, ...]:
        return parse(read_bytes(self.path), str(self.path)) if self.path.exists() else ()

    def own(self) -> dict[str, Decision]:
        """SHA-256 -> this person's decision, the latest if there are several."""
        return {one.sha256: one for one in sorted(self.all(), key=lambda one: one.time) if one.who == self.who}

    def put(self, sha256: str, decision: Decision | None) -> Decision | None:
        """Replace this person's rows on a content, or remove them; the decision that was there.

        Raises:
            DataError: the file was edited meanwhile and cannot be read; it stays as it is.
            StorageError: the disk refused.
        """
        with self._locked():
            found = self.all()
            own = [one for one in found if (one.sha256, one.who) == (sha256, self.who)]
            rest = [one for one in found if one not in own]
            half = partial_path(self.path)
            write_bytes(render([*rest, *([decision] if decision else [])]), half)
            put_in_place(half, self.path)
            with refusals(self.path):
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        return max(own, key=lambda one: one.time, default=None)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with refusals(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            with self._threads:
                with suppress(OSError):  # some network drives have no locks
                    fcntl.flock(folder, fcntl.LOCK_EX)
                yield
        finally:
            os.close(folder)
