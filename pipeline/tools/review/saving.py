"""Save decisions one at a time: each is on the disk when `put` returns, and no other process's row is lost.

A decision is a row at the end of the file: milliseconds, however many rows stand before it. The latest row of a person
counts, so that nothing before it need be changed. Undoing the last one cuts it off. At the start and at the end of a
review the file is put in order (`tidy`): sorted, so that Git merges it line by line, without rows that count no more.
"""

import fcntl
import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic

from pipeline.store.decision_tables import DecisionTable, Row
from pipeline.store.reading import read_bytes
from pipeline.store.refusals import refusals
from pipeline.store.writing import partial_path, put_in_place, write_bytes

Stamp = tuple[int, int, int]


class DecisionFile(Generic[Row]):
    """One person's rows of a file of decisions, such as feedback/labels.csv.

    What the file holds is remembered while nobody else has changed it. Each change is made under a lock of its folder,
    after a look at what others wrote. A kill leaves the file as it was before or after the change.
    """

    def __init__(self, path: Path, who: str, table: DecisionTable[Row]) -> None:
        self.path, self.who = path, who
        self._table, self._header = table, table.render([])
        self._threads = threading.Lock()
        self._stamp: Stamp | None = None
        self._rows: list[Row] = []
        self._own: dict[str, list[Row]] = {}
        self._sum, self._ours = 0, False
        # Of rows that were added and may be cut off again: subject, where its row begins and ends, and the sum before.
        self._added: list[tuple[str, int, int, int]] = []

    def own(self) -> dict[str, Row]:
        """Subject -> this person's decision, the latest if there are several.

        Raises:
            DataError: the file cannot be read.
        """
        with self._locked():
            self._look()
            return {subject: _latest(rows) for subject, rows in self._own.items() if rows}

    def put(self, subject: str, decision: Row | None) -> Row | None:
        """Replace this person's decision on a subject, or remove it; the decision that was there.

        Raises:
            DataError: the file was edited meanwhile and cannot be read; it stays as it is.
            StorageError: the disk refused.
        """
        with self._locked():
            self._look()
            before = self._own.get(subject, [])
            earlier = _latest(before) if before else None
            if self._undoes(subject, decision):
                self._cut()
            elif decision is None or (earlier is not None and decision.time <= earlier.time):
                # The later row would count: it has to go.
                rest = [one for one in self._rows if (one.subject, one.who) != (subject, self.who)]
                self._write([*rest, *([decision] if decision else [])])
            else:
                self._append(decision)
        return earlier

    def tidy(self) -> None:
        """Put the rows in order, and leave out those of this person that count no more; nothing if that is so already.

        Raises:
            DataError: the file cannot be read; it stays as it is.
        """
        with self._locked():
            self._look()
            if self._stamp is None:
                return
            last = {subject: _latest(rows).time for subject, rows in self._own.items() if rows}
            # Rows of one time that differ, as after a merge, are a conflict that people are told.
            rows = [one for one in self._rows if one.who != self.who or one.time == last[one.subject]]
            if self._table.render(rows) != read_bytes(self.path):
                self._write(rows)

    def _look(self) -> None:
        """Read what is new in the file: nothing, rows at its end, or all of it."""
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return
        self._added = []
        data = read_bytes(self.path) if stamp is not None else b""
        known = 0 if self._stamp is None else self._stamp[2]
        grown = self._ours and 0 < known < len(data) and zlib.crc32(data[:known]) == self._sum
        if grown and data[:known].endswith(b"\n"):
            new = self._table.parse(self._header + data[known:], str(self.path))
        else:
            new = self._table.parse(data, str(self.path)) if data else ()
            self._rows, self._own = [], {}
        self._remember(new)
        self._stamp, self._sum = stamp, zlib.crc32(data)
        # A spreadsheet program may have saved it with semicolons, or in another encoding.
        self._ours = data.startswith(self._header)

    def _remember(self, rows: Iterable[Row]) -> None:
        for one in rows:
            self._rows.append(one)
            if one.who == self.who:
                self._own.setdefault(one.subject, []).append(one)

    def _append(self, decision: Row) -> None:
        if self._stamp is None or not self._ours:
            self._write([*self._rows, decision])
            return
        start, row = self._stamp[2], self._table.render([decision]).removeprefix(self._header)
        parsed = self._table.parse(self._header + row, str(self.path))
        with refusals(self.path), self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            if start and not _ends_a_line(self.path, start):
                row = b"\n" + row
            try:
                file.write(row)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # Half a row would make the file unreadable.
                with suppress(OSError):
                    os.ftruncate(file.fileno(), start)
                self._stamp = None
                raise
        self._remember(parsed)
        self._added.append((decision.subject, start, start + len(row), self._sum))
        self._stamp, self._sum = _stamp(self.path), zlib.crc32(row, self._sum)

    def _undoes(self, subject: str, decision: Row | None) -> bool:
        """Whether what is asked for is the file as it was before the last row."""
        if not self._added or self._stamp is None:
            return False
        of, _, end, _ = self._added[-1]
        rows = self._own.get(subject, [])[:-1]
        return of == subject and end == self._stamp[2] and (_latest(rows) if rows else None) == decision

    def _cut(self) -> None:
        subject, start, _, self._sum = self._added.pop()
        with refusals(self.path), self.path.open("r+b") as file:
            file.truncate(start)
            file.flush()
            os.fsync(file.fileno())
        self._rows.pop()
        self._own[subject].pop()
        self._stamp = _stamp(self.path)

    def _write(self, rows: Iterable[Row]) -> None:
        """Put a whole file in place."""
        data = self._table.render(rows)
        half = partial_path(self.path)
        write_bytes(data, half)
        put_in_place(half, self.path)
        with refusals(self.path):
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._rows, self._own, self._added = [], {}, []
        self._remember(self._table.parse(data, str(self.path)))
        self._stamp, self._sum, self._ours = _stamp(self.path), zlib.crc32(data), True

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


def _latest(rows: Iterable[Row]) -> Row:
    """Of one person's rows on one content; of rows of one time the last one."""
    found, *rest = rows
    for one in rest:
        found = one if one.time >= found.time else found
    return found


def _stamp(path: Path) -> Stamp | None:
    """By which a file is known to be unchanged; None where there is none."""
    with refusals(path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _ends_a_line(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"
