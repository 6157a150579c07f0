"""The ledger on disk is held against the last commit."""

from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import FinalEvaluationError
from pipeline.store.ledger import LedgerEntry, committed
from tests.running import run

LOOKS = [LedgerEntry(f"202{number}", "m", "p", "t", "accuracy", 0.9, 0.8, 1.0, True, "") for number in range(3)]
PLACE = Path(catalogue.LEDGER.path)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, as the current folder, one below its top."""
    run(tmp_path, "git", "init", "--quiet")
    inside = tmp_path / "project"
    (inside / PLACE.parent).mkdir(parents=True)
    monkeypatch.chdir(inside)
    return inside


def commit(repository: Path, evaluations: list[LedgerEntry]) -> None:
    catalogue.LEDGER.write(evaluations, PLACE)
    run(repository, "git", "add", "--all")
    run(repository, "git", "commit", "--quiet", "--message", "Look")


def test_before_the_first_look_there_are_none(repository: Path) -> None:
    assert catalogue.LEDGER.read(PLACE) == []


def test_looks_are_added_to_what_is_committed(repository: Path) -> None:
    commit(repository, LOOKS[:1])
    catalogue.LEDGER.write(LOOKS, PLACE)
    assert catalogue.LEDGER.read(PLACE) == LOOKS
    assert len(committed(PLACE).splitlines()) == 1


@pytest.mark.parametrize("left", [0, 1])
def test_committed_looks_do_not_go(repository: Path, left: int) -> None:
    commit(repository, LOOKS)
    catalogue.LEDGER.write(LOOKS[:left], PLACE)
    with pytest.raises(FinalEvaluationError, match=f"{PLACE} was edited: {3 - left} looks that Git has are gone"):
        catalogue.LEDGER.read(PLACE)


def test_a_ledger_that_is_removed_is_missed_until_that_is_committed(repository: Path) -> None:
    commit(repository, LOOKS)
    PLACE.unlink()
    with pytest.raises(FinalEvaluationError, match="3 looks that Git has are gone"):
        catalogue.LEDGER.read(PLACE)
    run(repository, "git", "commit", "--quiet", "--all", "--message", "New test set")
    assert catalogue.LEDGER.read(PLACE) == []


def test_what_is_no_text_was_edited(repository: Path) -> None:
    PLACE.write_bytes(b"\xff\xfe")
    with pytest.raises(FinalEvaluationError, match="it is no text"):
        catalogue.LEDGER.read(PLACE)
