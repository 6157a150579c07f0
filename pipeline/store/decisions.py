"""People's decisions on labels, feedback/labels.csv: read, checked, and written so that Git merges them line by line.

A row is what one person decided on one content. Where several rows of a person are on one content, as after a merge,
the latest counts.
"""

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from pipeline.errors import DataError, listing
from pipeline.names import clean, fault, key, shown
from pipeline.store.artifacts import Artifact, read_only
from pipeline.store.reading import read_bytes
from pipeline.store.spreadsheets import Spreadsheet, read_spreadsheet, safe

KEEP, RELABEL, DROP, NOT_SURE = "keep", "relabel", "drop", "not_sure"
KINDS = (KEEP, RELABEL, DROP, NOT_SURE)
COLUMNS = ("sha256", "decision", "from", "to", "who", "when", "why", "id")
OPTIONAL = ("why", "id")
_SHA256 = re.compile("[0-9a-f]{64}")
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Decision:
    """One person's decision on one content; fields in the order of the file's columns."""

    sha256: str
    decision: str
    """One of KINDS."""
    before: str
    """The label that the person saw, as the source has it; "" for none."""
    after: str
    """The label to use instead; "" unless the decision is `relabel`."""
    who: str
    when: str
    """ISO 8601 with the time zone."""
    why: str = ""
    id: str = ""
    """Of one image with this content, for people who read the file; nothing looks it up."""

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.when)


# As dataclasses.astuple, which copies each value, and takes twenty times as long.
_VALUES: Callable[[Decision], tuple[str, ...]] = attrgetter(*(one.name for one in fields(Decision)))


def decisions(path: str) -> Artifact:
    """An artifact, read only: the decisions of a file; none where there is no file."""

    def read(place: Path) -> tuple[Decision, ...]:
        return parse(read_bytes(place), str(place)) if place.exists() else ()

    return read_only(path, read)


def parse(data: bytes, name: str) -> tuple[Decision, ...]:
    """The decisions of a CSV file, sorted; equal rows once.

    Raises:
        DataError: columns that are missing or unknown, and all rows that break a rule, with their numbers.
    """
    if not data.strip():
        return ()
    table = read_spreadsheet(data, name, COLUMNS[0])
    _check_columns(table, name)
    empty = [""] * len(table.rows)
    columns = [[cell.strip() for cell in table.columns.get(column, empty)] for column in COLUMNS]
    found = [
        Decision(sha256, decision, clean(before), clean(after), *rest)
        for sha256, decision, before, after, *rest in zip(*columns, strict=True)
    ]
    _check_rows(found, table, name)
    return in_order(found)


def render(found: Iterable[Decision]) -> bytes:
    """A CSV file of the decisions: sorted, a line each; the same bytes for the same decisions."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([safe(" ".join(cell.split())) for cell in _VALUES(decision)] for decision in in_order(found))
    return buffer.getvalue().encode()


def in_order(found: Iterable[Decision]) -> tuple[Decision, ...]:
    """By content, person and time; equal ones once."""
    return tuple(sorted(set(found), key=lambda one: (one.sha256, one.who, one.when, _VALUES(one))))


def by_content(found: Iterable[Decision]) -> dict[str, list[Decision]]:
    """SHA-256 -> the latest decision of each person; several of a person if they are of one time.

    Names that may mean the same person are one person: two votes of one would pass for agreement, or for a conflict.
    """
    of_person: dict[tuple[str, str], list[Decision]] = {}
    for one in in_order(found):
        known = of_person.setdefault((one.sha256, key(one.who)), [])
        if known and one.time > known[0].time:
            known.clear()
        if not known or one.time == known[0].time:
            known.append(one)
    contents: dict[str, list[Decision]] = {}
    for (sha256, _), latest in of_person.items():
        contents.setdefault(sha256, []).extend(latest)
    return contents


def _check_columns(table: Spreadsheet, name: str) -> None:
    missing = [column for column in COLUMNS if column not in table.columns and column not in OPTIONAL]
    unknown = [column for column in table.columns if column not in COLUMNS]
    problems = [f"lacks the columns {listing(missing)}"] if missing else []
    problems += [f"has the unknown columns {listing(unknown)}"] if unknown else []
    if problems:
        raise DataError(f"{name} {' and '.join(problems)}: its first line must be {','.join(COLUMNS)}")


# What is wrong with a decision, if it is; the cell to show, and the rule.
_Check = tuple[Callable[[Decision], bool], Callable[[Decision], str], str]
_CHECKS: tuple[_Check, ...] = (
    (lambda one: not _SHA256.fullmatch(one.sha256), lambda one: one.sha256, "sha256 must be 64 digits 0-9 and a-f"),
    (lambda one: one.decision not in KINDS, lambda one: _hinted(one.decision), f"decision must be {', '.join(KINDS)}"),
    (lambda one: bool(_fault(one.before)), lambda one: one.before, "from must be a label without control characters"),
    (lambda one: bool(_fault(one.after)), lambda one: one.after, "to must be a label without control characters"),
    (lambda one: one.decision == RELABEL and not one.after, lambda one: one.decision, "relabel needs a label in to"),
    (
        lambda one: one.decision == RELABEL and one.after == one.before != "",
        lambda one: one.after,
        "relabel needs another label in to than in from; to confirm a label, write keep",
    ),
    (
        lambda one: one.decision in KINDS and one.decision != RELABEL and one.after != "",
        lambda one: one.after,
        "only relabel has a label in to: empty the cell, or write relabel",
    ),
    (
        lambda one: one.decision == KEEP and not one.before,
        lambda one: one.decision,
        "keep needs the label in from; to give an unlabelled image a label, write relabel",
    ),
    (lambda one: not one.who, lambda one: one.who, "who must name the person"),
    (
        lambda one: not _is_time(one.when),
        lambda one: one.when,
        "when must be a time with its zone, such as 2026-01-31T09:30:00Z",
    ),
)


def _check_rows(found: Iterable[Decision], table: Spreadsheet, name: str) -> None:
    numbered = list(zip(table.rows, found, strict=True))
    problems = [problem for check in _CHECKS for problem in _broken(check, numbered)]
    if problems:
        raise DataError("\n".join(f"{name}: {problem}" for problem in problems))


def _broken(check: _Check, numbered: Iterable[tuple[int, Decision]]) -> Iterator[str]:
    wrong, cell, rule = check
    rows = [f"row {row} ({shown(cell(one), 80)!r})" for row, one in numbered if wrong(one)]
    if rows:
        yield f"{rule}; {len(rows)} {'rows break' if len(rows) > 1 else 'row breaks'} this rule: {listing(rows)}"


def _fault(label: str) -> str | None:
    return fault(label) if label else None


def _hinted(kind: str) -> str:
    near = difflib.get_close_matches(kind, KINDS, n=1)
    return f"{kind}, did you mean {near[0]}?" if near else kind


def _is_time(text: str) -> bool:
    if not _WHEN.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
