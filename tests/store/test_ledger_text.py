"""The ledger: entries read as they were written; one that Git has and the file lacks is noticed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FinalEvaluationError
from pipeline.store.ledger import LedgerEntry, check_continues, ledger_text, read_ledger

NAME = "ledger.jsonl"
NUMBERS = st.floats(0, 1)
TEXTS = st.text(max_size=8)
ENTRIES = st.lists(
    st.builds(LedgerEntry, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), TEXTS),
    max_size=5,
)


def evaluation(number: int) -> LedgerEntry:
    return LedgerEntry(f"2026-01-0{number}T00:00:00Z", f"m{number}", "p", "t", "accuracy", 0.9, 0.8, 1.0, True, "")


THREE = ledger_text([evaluation(1), evaluation(2), evaluation(3)])


@given(ENTRIES)
def test_entries_come_back_as_they_were_written(entries: list[LedgerEntry]) -> None:
    assert read_ledger(ledger_text(entries), NAME) == entries


@given(ENTRIES, ENTRIES)
def test_what_was_committed_stays_when_entries_are_added(entries: list[LedgerEntry], more: list[LedgerEntry]) -> None:
    assert ledger_text([*entries, *more]).startswith(ledger_text(entries))
    check_continues([*more, *entries], entries, NAME)


@pytest.mark.parametrize(
    "change", [{"value": 0.95}, {"model": "other"}, {"when": "2025"}, {"accepted": False}], ids=str
)
def test_an_entry_that_was_committed_and_edited_is_noticed(change: dict[str, Any]) -> None:
    edited = [replace(evaluation(1), **change), evaluation(2)]
    with pytest.raises(
        FinalEvaluationError, match=r"1 of the 2 test evaluations in the last commit are missing; restore"
    ):
        check_continues(edited, [evaluation(1), evaluation(2)], NAME)


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "3", "<<<<<<< HEAD", '{"chain": "x"}', THREE.splitlines()[0].replace("0.9", '"0.9"')],
)
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(FinalEvaluationError, match=rf"^{NAME}, line 4, is not a test evaluation: restore it from Git"):
        read_ledger(THREE + line + "\n", NAME)


def test_entries_of_earlier_versions_still_count() -> None:
    older = json.dumps({**json.loads(THREE.splitlines()[0]), "chain": "0" * 64})
    assert read_ledger(older, NAME) == [evaluation(1)]


def test_entries_dropped_from_the_end_are_noticed_by_what_git_has() -> None:
    with pytest.raises(FinalEvaluationError, match=r"^ledger\.jsonl was edited: 2 of the 3 test evaluations"):
        check_continues([evaluation(1)], read_ledger(THREE, NAME), NAME)
