"""CSV for spreadsheet programs: written so that it is safe to open, and read back as such a program saves it.

A cell that begins as a formula does (= + - @ and their wide forms, a tab, a line end) would be run by the
program. It gets an apostrophe in front, and so does one that has an apostrophe there, so that reading gives
the cell back (OWASP, CSV injection).
"""

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import DataError, listing
from pipeline.store.tables import DELIMITERS, check_names, csv_lines

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
MARK = "'"
# The signs that end a script, or begin a comment in one, once they follow "<". Between them an invisible sign that
# joins words (U+2060) keeps a browser from seeing them together.
JOINER = "\u2060"
_ENDS_SCRIPT, _PARTED = re.compile(f"<(?=[/!{JOINER}])"), f"<{JOINER}"
WORKBOOKS = {b"PK\x03\x04": ".xlsx or .ods", bytes.fromhex("d0cf11e0"): ".xls"}
SAVE = "open it, save the sheet as CSV and give that file (Excel: CSV UTF-8; LibreOffice: Text CSV)"
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Spreadsheet:
    """Columns of texts by their names in lower case, the number of each row as the program shows it, and remarks."""

    columns: Mapping[str, Sequence[str]]
    rows: Sequence[int]
    notes: Sequence[str]


def spreadsheet_bytes(columns: Mapping[str, Sequence[str]]) -> bytes:
    """A CSV file of the columns, all of one length; UTF-8 with the mark by which programs know it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(map(safe, columns))
    writer.writerows([safe(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return buffer.getvalue().encode("utf-8-sig", "surrogateescape")


def safe(cell: str) -> str:
    """The cell, escaped so that no spreadsheet program runs it as a formula."""
    return f"{MARK}{cell}" if cell.startswith((*FORMULA, MARK)) else cell


def unsafe(cell: str) -> str:
    """The original of a cell that `safe` escaped."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith((*FORMULA, MARK)) else cell


def embeddable(cell: str) -> str:
    """The cell, so that it stays a text where a page has it within a script, as DVC's plots have."""
    return _ENDS_SCRIPT.sub(_PARTED, cell)


def unembedded(cell: str) -> str:
    """The cell that `embeddable` was given."""
    return cell.replace(_PARTED, "<")


def read_spreadsheet(data: bytes, name: str, key: str) -> Spreadsheet:
    """A CSV file that a spreadsheet program saved.

    Commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252; any line end; columns in any order; empty cells at
    the end of a row left out; rows and columns without any text are passed over.

    Args:
        key: the column that must be there, and by which the delimiter is known.

    Raises:
        DataError: it is a workbook, in another encoding, or its rows and columns do not fit; all rows are named.
    """
    text, notes = _decoded(data, name)
    names, lines, first = _split(text, name, key)
    check_names([each for each in names if each], name)
    width = len(names)
    numbered = [(number, line) for number, line in enumerate(lines, first) if any(cell.strip() for cell in line)]
    homeless = [
        number
        for number, line in numbered
        for place, cell in enumerate(line)
        if cell.strip() and (place >= width or not names[place])
    ]
    if homeless:
        raise DataError(
            f"{name}: {len(homeless)} cells have no column name above them, in rows {listing(sorted(set(homeless)))}: "
            "name the column in the first row, or put values with commas or semicolons in quotes"
        )
    columns = {
        each: [unsafe(line[place]) if place < len(line) else "" for _, line in numbered]
        for place, each in enumerate(names)
        if each
    }
    return Spreadsheet(columns, [number for number, _ in numbered], notes)


def _decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    workbook = next((kinds for start, kinds in WORKBOOKS.items() if data.startswith(start)), None)
    if workbook is not None:
        raise DataError(f"{name} is a workbook ({workbook}), not a CSV file: {SAVE}")
    if data.startswith(WIDE) or b"\0" in data[:1000]:
        # Without a mark, Latin letters tell the order of bytes: their upper halves are empty.
        encoding = "utf-16" if data.startswith(WIDE) else "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        try:
            return data.decode(encoding), []
        except UnicodeDecodeError as error:
            raise DataError(f"{name} is damaged or not a text: save it as CSV in UTF-8") from error
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is neither UTF-8, UTF-16 nor Windows-1252: save it as CSV in UTF-8") from error
    return text, [f"{name} is not UTF-8 and was read as Windows-1252: check that letters with accents are right"]


def _split(text: str, name: str, key: str) -> tuple[list[str], list[list[str]], int]:
    """Names of the columns in lower case, the lines below them, and the first line's number."""
    head, _, rest = text.partition("\n")
    # Excel writes its delimiter into a first line of its own.
    told = head.strip().strip('"')
    skipped = told.lower().startswith("sep=")
    body, tried = (rest, [told[4:]]) if skipped and len(told) == 5 else (text, list(DELIMITERS))
    found: list[tuple[list[str], list[list[str]]]] = []
    problems: list[DataError] = []
    for delimiter in tried:
        try:
            lines = csv_lines(body, name, delimiter)
        except DataError as error:
            problems.append(error)
            continue
        names = [unsafe(cell.strip()).casefold() for cell in lines[0]] if lines else []
        if key in names:
            found.append((names, lines[1:]))
    if not found:
        if problems and len(problems) == len(tried):
            raise problems[0]
        if head.startswith("<"):
            raise DataError(f"{name} is XML or HTML, not CSV: {SAVE}")
        raise DataError(
            f"{name} has no column {key!r} in its first row, which begins {head.strip()[:60]!r}: "
            "keep that column, which names the image of each row"
        )
    names, lines = max(found, key=lambda one: len(one[0]))
    return names, lines, 3 if skipped else 2
