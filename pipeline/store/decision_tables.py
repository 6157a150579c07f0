"""Tables of people's decisions: a row is what one person decided on one thing. Sorted, so that Git merges them by line.

Where several rows of a person are on one thing, as after a merge, the latest counts.
"""

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline.errors import DataError, listing
from pipeline.names import key, shown
from pipeline.store.artifacts import Artifact, read_only
from pipeline.store.reading import read_bytes
from pipeline.store.spreadsheets import Spreadsheet, read_spreadsheet, safe

SHA256 = re.compile("[0-9a-f]{64}")
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


class Decided(Protocol):
    """A decision of one person: what it is on, who decided, and when (ISO 8601 with the time zone)."""

    @property
    def subject(self) -> str: ...
    @property
    def who(self) -> str: ...
    @property
    def when(self) -> str: ...
    @property
    def time(self) -> datetime: ...


Row = TypeVar("Row", bound=Decided)


@dataclass(frozen=True)
class Check(Generic[Row]):
    """A rule of a table: whether a row breaks it, the cell to show, and the rule in words."""

    breaks: Callable[[Row], bool]
    cell: Callable[[Row], str]
    rule: str


@dataclass(frozen=True)
class DecisionTable(Generic[Row]):
    """How one kind of decision is read, checked and written.

    columns: in the order of the file. optional: those that may be missing. make: a row from its cells, in the order of
    columns. values: the cells of a row, in the same order.
    """

    columns: Sequence[str]
    optional: Sequence[str]
    make: Callable[[Sequence[str]], Row]
    values: Callable[[Row], tuple[str, ...]]
    checks: Sequence[Check[Row]]

    def artifact(self, path: str) -> Artifact:
        """An artifact, read only: the decisions of a file; none where there is no file."""

        def read(place: Path) -> tuple[Row, ...]:
            return self.parse(read_bytes(place), str(place)) if place.exists() else ()

        return read_only(path, read)

    def parse(self, data: bytes, name: str) -> tuple[Row, ...]:
        """The decisions of a CSV file, sorted; equal rows once.

        Raises:
            DataError: columns that are missing or unknown, and all rows that break a rule, with their numbers.
        """
        if not data.strip():
            return ()
        table = read_spreadsheet(data, name, self.columns[0])
        self._check_columns(table, name)
        empty = [""] * len(table.rows)
        cells = [[cell.strip() for cell in table.columns.get(column, empty)] for column in self.columns]
        found = [self.make(row) for row in zip(*cells, strict=True)]
        numbered = list(zip(table.rows, found, strict=True))
        if problems := [problem for check in self.checks for problem in _broken(check, numbered)]:
            raise DataError("\n".join(f"{name}: {problem}" for problem in problems))
        return self.in_order(found)

    def render(self, found: Iterable[Row]) -> bytes:
        """A CSV file of the decisions: sorted, a line each; the same bytes for the same decisions."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([safe(" ".join(cell.split())) for cell in self.values(one)] for one in self.in_order(found))
        return buffer.getvalue().encode()

    def in_order(self, found: Iterable[Row]) -> tuple[Row, ...]:
        """By subject, person and time; equal ones once."""
        return tuple(sorted(set(found), key=lambda one: (one.subject, one.who, one.when, self.values(one))))

    def by_subject(self, found: Iterable[Row]) -> dict[str, list[Row]]:
        """Subject -> the latest decision of each person; several of a person if they are of one time.

        Names that may mean the same person are one person: two votes of one would pass for agreement, or for a
        conflict.
        """
        of_person: dict[tuple[str, str], list[Row]] = {}
        for one in self.in_order(found):
            known = of_person.setdefault((one.subject, key(one.who)), [])
            if known and one.time > known[0].time:
                known.clear()
            if not known or one.time == known[0].time:
                known.append(one)
        subjects: dict[str, list[Row]] = {}
        for (subject, _), latest in of_person.items():
            subjects.setdefault(subject, []).extend(latest)
        return subjects

    def _check_columns(self, table: Spreadsheet, name: str) -> None:
        missing = [column for column in self.columns if column not in table.columns and column not in self.optional]
        unknown = [column for column in table.columns if column not in self.columns]
        problems = [f"lacks the columns {listing(missing)}"] if missing else []
        problems += [f"has the unknown columns {listing(unknown)}"] if unknown else []
        if problems:
            raise DataError(f"{name} {' and '.join(problems)}: its first line must be {','.join(self.columns)}")


def person_checks() -> tuple[Check[Any], ...]:
    """The rules for who and when, of any kind of decision."""
    return (
        Check(lambda one: not one.who, lambda one: one.who, "who must name the person"),
        Check(
            lambda one: not _is_time(one.when),
            lambda one: one.when,
            "when must be a time with its zone, such as 2026-01-31T09:30:00Z",
        ),
    )


def hinted(kind: str, kinds: Sequence[str]) -> str:
    """A kind that is none of kinds, with the one that may be meant."""
    near = difflib.get_close_matches(kind, kinds, n=1)
    return f"{kind}, did you mean {near[0]}?" if near else kind


def _broken(check: Check[Row], numbered: Iterable[tuple[int, Row]]) -> Iterator[str]:
    rows = [f"row {row} ({shown(check.cell(one), 80)!r})" for row, one in numbered if check.breaks(one)]
    if rows:
        yield f"{check.rule}; {len(rows)} {'rows break' if len(rows) > 1 else 'row breaks'} this rule: {listing(rows)}"


def _is_time(text: str) -> bool:
    if not _WHEN.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
