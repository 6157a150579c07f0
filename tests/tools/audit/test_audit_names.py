"""An audit sees that two names are one group, one part or one class, however they are written."""

import pytest

from pipeline.names import shown_bytes
from tests.tools.audit.auditing import Audit, assert_leaks, dataset, report_of, write_table

WRITTEN = {
    "NFC and NFD": ("K\u00e4se", "Ka\u0308se"),
    "a zero-width space": ("p1", "p\u200b1"),
    "a no-break space": ("p 1", "p\u00a01"),
    "capitals": ("Anna", "anna"),
    "a whole number as a float": ("12", "12.0"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_group_that_is_written_in_two_ways_is_one_and_leaks(audit: Audit, kind: str) -> None:
    one, other = WRITTEN[kind]
    # Images 0 and 1 are of one person, in test and in train.
    rows = dataset(group=lambda number: [one, other, "x", "y"][number])
    ended = audit(write_table(rows, "table.jsonl"))
    assert_leaks(ended, "group", "(group written in 2 ways: ", shown_bytes(one), shown_bytes(other))
    [leak] = report_of(audit("table.jsonl", "--format", "json"))["leaks"]
    assert leak["written"] == sorted([one, other])


def test_one_way_of_writing_a_group_is_named_as_it_is(audit: Audit) -> None:
    rows = dataset(group=lambda number: ["p", "p", "x", "y"][number])
    assert_leaks(audit(write_table(rows)), "group", "(group p)")


def test_parts_that_are_called_alike_are_one_part_and_no_leak(audit: Audit) -> None:
    rows = dataset()
    more = {"path": "images/1.png", "label": "cat", "split": "Train "}
    ended = audit(write_table([*rows, more], "table.jsonl"), "--format", "json")
    assert sorted(report_of(ended)["splits"]) == ["Train ", "test"]
    assert report_of(ended)["leaks"] == []


def test_labels_that_may_be_one_class_are_listed(audit: Audit) -> None:
    rows = [{**row, "label": label} for row, label in zip(dataset(), ["cat", "Cat", "dog", "dog "], strict=True)]
    ended = audit(write_table(rows, "table.jsonl"))
    assert "Labels that may mean the same class: 1\n  Cat [43 61 74] and cat [63 61 74]" in ended.out
    assert "dog " not in report_of(audit("table.jsonl", "--format", "json"))["splits"]["train"]["labels"]


def test_names_that_steer_a_terminal_do_not_reach_it(audit: Audit) -> None:
    rows = dataset(group=lambda number: "p\x1b[2J" if number < 2 else str(number))
    rows[0]["label"] = "\x1b]0;x\x07"
    ended = audit(write_table(rows, "table.jsonl"))
    assert ended.code == 8
    assert not {"\x1b", "\x07"} & {*ended.out, *ended.err}
