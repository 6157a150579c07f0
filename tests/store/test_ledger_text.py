"""The ledger: whatever was edited is seen, and what was not reads as it was written."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FinalEvaluationError
from pipeline.store.ledger import LedgerEntry, check_continues, ledger_text, read_ledger

NAME = "ledger.jsonl"
NUMBERS = st.floats(0, 1)
TEXTS = st.text(max_size=8)
LOOKS = st.lists(
    st.builds(LedgerEntry, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), TEXTS),
    max_size=5,
)


def evaluation(number: int) -> LedgerEntry:
    return LedgerEntry(f"2026-01-0{number}T00:00:00Z", f"m{number}", "p", "t", "accuracy", 0.9, 0.8, 1.0, True, "")


THREE = ledger_text([evaluation(1), evaluation(2), evaluation(3)])


@given(LOOKS)
def test_looks_come_back_as_they_were_written(evaluations: list[LedgerEntry]) -> None:
    assert read_ledger(ledger_text(evaluations), NAME) == evaluations


@given(LOOKS, LOOKS)
def test_what_was_written_stays_when_looks_are_added(evaluations: list[LedgerEntry], more: list[LedgerEntry]) -> None:
    assert ledger_text([*evaluations, *more]).startswith(ledger_text(evaluations))
    check_continues(ledger_text([*evaluations, *more]), ledger_text(evaluations), NAME)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [{"value": 0.95}, {"model": "other"}, {"when": "2025"}, {"accepted": False}, {"chain": "0" * 64}, {"low": 0.9}],
    ids=str,
)
def test_an_edited_line_is_seen(place: int, change: dict[str, object]) -> None:
    lines = THREE.splitlines()
    lines[place] = json.dumps({**json.loads(lines[place]), **change})
    with pytest.raises(FinalEvaluationError, match=rf"^{NAME} was edited: line {place + 1} or one before it"):
        read_ledger("\n".join(lines), NAME)


@pytest.mark.parametrize("order", [[1, 2], [0, 2], [1, 0, 2], [0, 0, 1, 2]], ids=str)
def test_lines_that_are_gone_moved_or_doubled_are_seen(order: list[int]) -> None:
    lines = THREE.splitlines()
    with pytest.raises(FinalEvaluationError, match="was edited"):
        read_ledger("\n".join(lines[number] for number in order), NAME)


@pytest.mark.parametrize("line", ["", "{}", "[]", "3", "<<<<<<< HEAD", '{"chain": "x"}', '{"chain": "x", "more": 1}'])
def test_a_line_that_is_no_look_is_named(line: str) -> None:
    text = THREE + line + "\n"
    with pytest.raises(FinalEvaluationError, match=rf"^{NAME}, line 4, is no look at test: restore it from Git"):
        read_ledger(text, NAME)


def test_looks_dropped_from_the_end_are_seen_by_what_git_has() -> None:
    shorter = ledger_text([evaluation(1)])
    assert len(read_ledger(shorter, NAME)) == 1
    with pytest.raises(FinalEvaluationError, match=r"^ledger\.jsonl was edited: 2 looks that Git has are gone"):
        check_continues(shorter, THREE, NAME)
    with pytest.raises(FinalEvaluationError, match="its lines are not those that Git has"):
        check_continues(ledger_text([replace(evaluation(1), value=1.0), evaluation(2), evaluation(3)]), THREE, NAME)
