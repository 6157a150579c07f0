"""Tables that a spreadsheet program opens and saves: safe to open, and read as they were meant."""

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.store.spreadsheets import FORMULA, read_spreadsheet, safe, spreadsheet_bytes, unsafe

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
TABLE = {"number": ["1", "2"], "id": ["phone/ö, 1.png", "phone/2;.png"], "tags": ["", "Unschärfe"]}
NAME = "errors.csv"


def saved(delimiter: str = ",", encoding: str = "utf-8", end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    """TABLE as another program saves it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([list(TABLE), *zip(*TABLE.values(), strict=True)])
    return buffer.getvalue().encode(encoding)


@given(CELLS)
@example("=1+1")
@example("'=1+1")
@example("''-")
@example("'")
def test_no_cell_begins_as_a_formula_and_each_comes_back(cell: str) -> None:
    assert not safe(cell).startswith(FORMULA)
    assert unsafe(safe(cell)) == cell


def test_an_apostrophe_that_people_wrote_stays() -> None:
    assert unsafe("'tis dark") == "'tis dark"


@given(st.lists(st.tuples(IDS, CELLS), min_size=1, max_size=5))
@example([("=cmd|' /C calc'!A0", "@x")])
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    columns = {"id": [image for image, _ in rows], "tags": [cell for _, cell in rows]}
    data = spreadsheet_bytes(columns)
    cells = [cell for line in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) for cell in line]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
    assert read_spreadsheet(data, NAME, "id").columns == columns


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_every_way_to_save_is_read(delimiter: str, encoding: str, end: str, quoting: int) -> None:
    found = read_spreadsheet(saved(delimiter, encoding, end, quoting), NAME, "id")
    assert (found.columns, found.rows, found.notes) == (TABLE, [2, 3], [])


def test_letters_of_an_old_encoding_are_read_and_remarked() -> None:
    found = read_spreadsheet(saved(";", "cp1252"), NAME, "id")
    assert found.columns == TABLE
    assert found.notes == [
        "errors.csv is not UTF-8 and was read as Windows-1252: check that letters with accents are right"
    ]


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (lambda text: "sep=;\r\n" + text.replace(",", ";"), [3, 4]),
        (lambda text: text.replace("\r\n2", "\r\n,,\r\n\r\n2"), [2, 4]),
        (lambda text: text.replace("\r\n", ",,\r\n"), [2, 3]),
        (lambda text: text.replace("a,", "a").replace("number,id,tags", " Number ,ID,Tags"), [2, 3]),
    ],
    ids=["the delimiter told", "empty rows", "empty columns", "cells left out at the end"],
)
def test_what_programs_add_and_leave_out_changes_nothing(change: Callable[[str], str], rows: list[int]) -> None:
    found = read_spreadsheet(change("number,id,tags\r\n1,a,\r\n2,b,x\r\n").encode(), NAME, "id")
    assert found.columns == {"number": ["1", "2"], "id": ["a", "b"], "tags": ["", "x"]}
    assert found.rows == rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "errors.csv has no column 'id' in its first row, which begins ''"),
        (b"image,tags\na,x\n", "errors.csv has no column 'id' in its first row, which begins 'image,tags'"),
        (b"id,tags,tags\na,x,y\n", "errors.csv has several columns named 'tags'"),
        (b"id,tags\na,x,y\nb,x,z,w\n", "errors.csv: 3 cells have no column name above them, in rows 2, 3: name"),
        (b"id,\na,x\n", "errors.csv: 1 cells have no column name above them, in rows 2: name"),
        (b'id,tags\n"a,x\n', "errors.csv is damaged or not a .csv file: unexpected end of data"),
        (b"PK\x03\x04x", "errors.csv is a workbook (.xlsx or .ods), not a CSV file: open it"),
        (bytes.fromhex("d0cf11e0a1b1"), "errors.csv is a workbook (.xls), not a CSV file"),
        (b"\xff\xfea\x00b", "errors.csv is damaged or not a text"),
        (b"id,tags\n\x81,x\n", "errors.csv is neither UTF-8, UTF-16 nor Windows-1252"),
    ],
)
def test_what_is_not_certain_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_spreadsheet(data, NAME, "id")
    assert message in str(caught.value)
