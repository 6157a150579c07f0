"""Tables of every kind as texts: as a person would have typed them, or an error that names the rows."""

import io
import json
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.sources.texts import read_texts
from pipeline.store import tables
from pipeline.store.tables import MAX_COLUMNS, READERS


def texts(data: bytes, name: str = "t.csv", single: Collection[str] = ("a",)) -> dict[str, list[str]]:
    found = read_texts(data, name, single)
    return {str(column): found[column].tolist() for column in found.columns}


def jsonl(*values: Any) -> bytes:
    return "\n".join(json.dumps({"a": value}) for value in values).encode()


def parquet(values: list[Any], kind: Any = None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(values, kind)}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "cells"),
    [
        pytest.param(b"a,b\n1,2\n", ["1"], id="as it should be"),
        pytest.param(b"\xef\xbb\xbfa,b\r\n1,2\r\n", ["1"], id="a mark in front, and Windows's ends of lines"),
        pytest.param(b"a,b\r1,2\r", ["1"], id="an old Mac's ends of lines"),
        pytest.param(b" a ,b\n1,2\n", ["1"], id="blanks around names"),
        pytest.param(b"a,b\n\n\n1,2\n,\n", ["1"], id="empty lines and rows"),
        pytest.param(b'a,b\n"one\ntwo, ""three""",2\n', ['one\ntwo, "three"'], id="quoted lines, commas and quotes"),
        pytest.param(b"a,b\n NaN ,2\nnull,2\nNA,2\n", [" NaN ", "null", "NA"], id="words that others take for nothing"),
        pytest.param(b"a,b\n007,2\n1e3,2\n0.10,2\n", ["007", "1e3", "0.10"], id="digits as they stand"),
    ],
)
def test_cells_of_a_csv_are_taken_as_they_stand(data: bytes, cells: list[str]) -> None:
    assert texts(data)["a"] == cells


def test_values_of_json_lines_are_texts_and_numbers_keep_their_digits() -> None:
    values = ["1", 1, 1.0, 2.5, True, None, 2**70, "a\nb", 0]
    expected = ["1", "1", "1", "2.5", "true", "1180591620717411303424", "a\nb", "0"]
    assert texts(jsonl(*values), "t.jsonl")["a"] == expected  # the empty row is none


def test_lists_and_objects_of_further_columns_travel_as_json() -> None:
    values = [[1, "é"], {"x": [0.5, None]}, []]
    expected = ['[1, "é"]', '{"x": [0.5, null]}', "[]"]
    assert texts(jsonl(*values), "t.jsonl", single=())["a"] == expected
    assert texts(parquet([[1, 2], None, []], pa.list_(pa.int64())), "t.parquet", single=())["a"] == ["[1, 2]", "[]"]
    with pytest.raises(DataError, match="a is not a text, number or time in 1 rows: 1"):
        texts(parquet([[b"x"]]), "t.parquet", single=())


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 3], pa.float64(), ["1", "3"]),
        ([2**53 - 1.0], pa.float64(), ["9007199254740991"]),
        ([2**53 + 0.0, 2.0**60], pa.float64(), ["9.0071992547409920e+15", "1.1529215046068470e+18"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([Decimal("12345678901234567890.50")], None, ["12345678901234567890.50"]),
        ([date(2026, 5, 31)], None, ["2026-05-31"]),
        ([datetime(2026, 5, 31, 14, tzinfo=UTC)], None, ["2026-05-31T14:00:00+00:00"]),
        (["x", "y", "x"], pa.dictionary(pa.int8(), pa.string()), ["x", "y", "x"]),
    ],
)
def test_values_of_parquet_are_texts(values: list[Any], kind: Any, expected: list[str]) -> None:
    """Floats from 2 ** 53 on may be other numbers than a person's: they look like what a spreadsheet cut short."""
    assert texts(parquet(values, kind), "t.parquet")["a"] == expected


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"a\nM\xf6we\n", "t.csv", "t.csv: a is not UTF-8 in 1 rows: 1"),
        (
            "a,pr\xe9nom\n1,x\n".encode("latin-1"),
            "t.csv",
            "t.csv: column names are not UTF-8: pr\\udce9nom, as Windows-1252 'pr\xe9nom'\nSave the table as UTF-8",
        ),
        (b"a,\x9d\n1,x\n", "t.csv", "t.csv: column names are not UTF-8: \\udc9d\nSave the table as UTF-8"),
        (b'{"a": 1, "\\ud800": 2}', "t.jsonl", "t.jsonl: column names are not UTF-8: \\ud800\nSave"),
        (b'{"a": 1, "b\\u0000": 2}', "t.jsonl", "t.jsonl: column names have control characters: b\\x00\nSave"),
        (b"a,\x1b[2J\n1,x\n", "t.csv", "t.csv: column names have control characters: \\x1b[2J\nSave"),
        (b'a\n"open\n', "t.csv", "t.csv is damaged or not a .csv file: unexpected end of data"),
        (b"", "t.csv", "t.csv is empty: its first line must name the columns"),
        ("a\n1\n".encode("utf-16-le"), "t.csv", "t.csv is not UTF-8 but perhaps UTF-16"),
        (jsonl(["x"], {"y": 1}, "z"), "t.jsonl", "t.jsonl: a is not a text, number or time in 2 rows: 1, 2"),
        (b'{"a": "\\ud800"}', "t.jsonl", "t.jsonl: a is not UTF-8 in 1 rows: 1"),
        (b'[{"a": 1}]', "t.jsonl", "t.jsonl is damaged: 1 lines (1) are not JSON objects"),
        (b'{"a": ' + b"9" * 5000 + b"}", "t.jsonl", "t.jsonl is damaged: 1 lines (1) are not JSON objects"),
        (b"[" * 100_000, "t.jsonl", "t.jsonl is damaged: 1 lines (1) are not JSON objects"),
        (parquet([b"x"]), "t.parquet", "t.parquet: a is not a text, number or time in 1 rows: 1"),
        (parquet([timedelta(1)]), "t.parquet", "t.parquet: a is not a text, number or time in 1 rows: 1"),
        (parquet([1])[:-9], "t.parquet", "t.parquet is damaged or not a .parquet file: "),
    ],
)
def test_what_is_no_table_of_texts_is_named(data: bytes, name: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        texts(data, name)
    assert str(caught.value).startswith(message)


def wide(columns: int, rows: int = 1) -> dict[str, bytes]:
    """A table of each kind with so many columns."""
    names = [f"c{number}" for number in range(columns)]
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: ["x"] * rows for name in names}), buffer)
    line = json.dumps(dict.fromkeys(names, "x"))
    return {
        "t.csv": "\n".join([",".join(names), *[",".join("x" * columns)] * rows]).encode(),
        "t.jsonl": "\n".join([line] * rows).encode(),
        "t.parquet": buffer.getvalue(),
    }


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_may_have_so_many_columns_and_no_more(name: str) -> None:
    assert len(texts(wide(MAX_COLUMNS)[name], name)) == MAX_COLUMNS
    with pytest.raises(
        DataError, match=r"^t\.\w+ has 1,001 columns, and at most 1,000 are allowed: c0, c1, c2 and 998 more\."
    ):
        texts(wide(MAX_COLUMNS + 1)[name], name)
    # Who needs few columns may have many others beside.
    assert READERS[f".{name[2:]}"](wide(MAX_COLUMNS + 1)[name], name, {"c1"})["c1"] == ["x"]


def test_lines_with_a_key_of_their_own_are_refused_before_they_make_a_square() -> None:
    lines = b"\n".join(b'{"a": 1, "k%d": 1}' % number for number in range(50_000))
    with pytest.raises(
        DataError,
        match=r"^t\.jsonl has 50,001 columns, and at most 1,000 are allowed: .* the same "
        r"names in every line$",
    ):
        texts(lines, "t.jsonl")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_may_have_no_more_rows_and_cells_than_its_files_explain(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wide(4, rows=6)[name]
    assert len(read_texts(data, name, (), max_rows=6)) == 6
    with pytest.raises(DataError, match=r"^t\.\w+ has 6 rows, and at most 5 are allowed: each row describes one file"):
        read_texts(data, name, (), max_rows=5)
    monkeypatch.setattr(tables, "MAX_CELLS", 23)
    with pytest.raises(
        DataError,
        match=r"^t\.\w+ has 6 rows of 4 columns, 24 cells, and at most 23 are "
        r"allowed: remove",
    ):
        texts(data, name)


def test_equal_rows_of_a_parquet_file_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(["x"] * 100_000)
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    with pytest.raises(DataError, match=r"^t\.parquet has 100,000 rows, and at most 10 are allowed:"):
        read_texts(data, "t.parquet", (), max_rows=10)


def test_texts_of_a_parquet_file_keep_their_order_and_gaps() -> None:
    values = ["x", None, "y", "x", "", None]
    assert READERS[".parquet"](parquet(values), "t.parquet")["a"] == values
    assert READERS[".parquet"](parquet([None, None], pa.string()), "t.parquet")["a"] == [None, None]
    assert READERS[".parquet"](parquet([], pa.large_string()), "t.parquet")["a"] == []


def test_a_message_on_a_wide_table_has_an_end() -> None:
    data = b"\n".join([b",".join(b"c%d" % number for number in range(500)), b",".join([b"\xff"] * 500)])
    with pytest.raises(DataError) as caught:
        texts(data)
    assert str(caught.value).count("\n") == 21
    assert "and 480 more" in str(caught.value)


def test_a_parquet_file_that_is_damaged_anywhere_is_a_table_or_a_message() -> None:
    data = parquet(["cat/1.png", "cat/2.png"])
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        with suppress(DataError):
            texts(damaged, "t.parquet")
