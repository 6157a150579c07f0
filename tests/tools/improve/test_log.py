"""The log of tries, after a kill and with lines that nobody can read."""

from pathlib import Path

from pipeline.tools.improve.log import Entry, append, entries

ONE = Entry("abc", "improve-abc-1", "variance", "more dropout", "dvc exp run", {"train.epochs": 3}, gone=["a.b"])


def test_a_try_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "improve/log.jsonl"
    assert entries(path) == []
    append(ONE, path)
    assert entries(path) == [ONE]


def test_a_line_that_a_kill_cut_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append(ONE, path)
    path.write_bytes(path.read_bytes() + b'{"session": "ab\xff')
    append(ONE, path)
    path.write_bytes(path.read_bytes() + b'[]\n{"name": 3}\n')
    assert entries(path) == [ONE, ONE]
