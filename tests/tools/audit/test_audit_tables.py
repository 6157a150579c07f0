"""Tables that `pipeline audit` cannot use: what is wrong is said in words, all of it at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import Ended
from tests.tools.audit.auditing import dataset, write_table

Audit = Callable[..., Ended]


def refused(ended: Ended, code: int, *messages: str) -> None:
    assert ended.code == code
    assert ended.err.startswith("error: ")
    assert ended.out == ""
    assert [message for message in messages if message not in ended.err] == []


TABLES: dict[str, tuple[str, bytes, list[str]]] = {
    "columns under other names": (
        "t.csv",
        b"filename,class,split\na,b,c\n",
        ["t.csv has no column path: did you mean 'filename'? Rename it", "no column label: did you mean 'class'?"],
    ),
    "bars": ("t.csv", b"path|label|split\na|b|c\n", ["t.csv has no column path", "by commas, semicolons or tabs?"]),
    "no rows": ("t.csv", b"path,label,split\n", ["t.csv has no rows"]),
    "no content": ("t.csv", b"", ["t.csv is empty: its first line must name the columns"]),
    "no content, jsonl": ("t.jsonl", b"\n", ["t.jsonl has no rows", "no column split, only none"]),
    "no content, parquet": ("t.parquet", b"", ["t.parquet is damaged or not a .parquet file"]),
    "no content, arrow": ("t.arrow", b"", ["t.arrow is damaged or not an Arrow file"]),
    "another kind": ("t.xlsx", b"x", ["t.xlsx: unknown kind of table '.xlsx'; its name must end in .arrow, .csv,"]),
    "uneven rows": (
        "t.csv",
        b"path,label,split\na,b\na,b,c\na,b,c,d\n",
        ["t.csv is damaged: 2 rows (1, 3) do not have"],
    ),
    "an open quote": ("t.csv", b'path,label,split\n"a,b,c\n', ["t.csv is damaged or not a .csv file"]),
    "no objects": ("t.jsonl", b'{"path": "a"}\n[1]\n{"\n', ["t.jsonl is damaged: 2 lines (2, 3) are not JSON objects"]),
    "UTF-16": ("t.csv", "path,label,split\na,b,c\n".encode("utf-16"), ["t.csv is not UTF-8", "save it as"]),
    "rubbish parquet": ("t.parquet", bytes(range(256)), ["t.parquet is damaged or not a .parquet file"]),
    "empty cells": (
        "t.csv",
        b"path,label,split\na,,train\nb,x, \n,y,test\n",
        ["split is empty in 1 row (2)", "path is empty in 1 row (3)"],
    ),
    "no hashes": ("t.csv", b"path,label,split,sha256\na,b,c,d41d8\n", ["sha256 must be 64 hex digits, got 'd41d8'"]),
    "one split": ("t.csv", b"path,label,split\na,b,c\n", ["all 1 rows are of the split c: an audit compares splits"]),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used(audit: Audit, case: str) -> None:
    name, content, messages = TABLES[case]
    Path(name).write_bytes(content)
    refused(audit(name), 5, *messages)


def test_the_problems_of_all_tables_are_reported_at_once(audit: Audit) -> None:
    broken = [table for case, table in TABLES.items() if case != "one split"]
    names = [f"{number:02}{name}" for number, (name, _, _) in enumerate(broken)]
    for name, (_, content, _) in zip(names, broken, strict=True):
        Path(name).write_bytes(content)
    refused(audit(*names), 5, *names)


def test_tables_that_are_missing_are_named_together(audit: Audit) -> None:
    Path("folder.csv").mkdir()
    refused(audit("a.csv", "folder.csv"), 4, "no such table: a.csv, folder.csv; name files, ending in .arrow, .csv")


@pytest.mark.parametrize("kept", [10, 200, 700])
def test_a_truncated_table(audit: Audit, kept: int) -> None:
    for name in ("t.parquet", "t.arrow"):
        write_table(dataset(), name)
        Path(name).write_bytes(Path(name).read_bytes()[:kept])
    refused(audit("t.parquet", "t.arrow"), 5, "t.parquet is damaged", "t.arrow is damaged")


def test_numbers_and_empty_cells_of_parquet_are_read_as_text(audit: Audit) -> None:
    rows = dataset(4, group=lambda number: [7.0, 7.0, None, None][number])
    write_table([{**row, "label": number % 2} for number, row in enumerate(rows)], "t.parquet")
    ended = audit("t.parquet")
    assert ended.code == 8
    assert "(group 7)" in ended.out
    assert "images/0.png (0), row 1 of t.parquet" in ended.out


def test_json_values_that_are_no_unicode_are_shown_escaped(audit: Audit) -> None:
    rows = [{**row, "label": "\ud800"} for row in dataset()]
    write_table(rows, "t.jsonl")
    assert '"\\\\ud800"' not in audit("t.jsonl").err
    assert audit("t.jsonl", "--json", "report.json").code == 0
    assert "\\\\ud800" in Path("report.json").read_text(encoding="utf-8")
