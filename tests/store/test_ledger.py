"""The ledger on disk is held against the last commit."""

import contextlib
import shutil
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import FinalEvaluationError
from pipeline.store.ledger import LedgerEntry, committed, ledger_text, uncommitted
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
    with pytest.raises(FinalEvaluationError, match=f"{PLACE} was edited: {3 - left} of the 3 test evaluations"):
        catalogue.LEDGER.read(PLACE)


def test_a_ledger_that_is_removed_is_missed_until_that_is_committed(repository: Path) -> None:
    commit(repository, LOOKS)
    PLACE.unlink()
    with pytest.raises(FinalEvaluationError, match="3 of the 3 test evaluations"):
        catalogue.LEDGER.read(PLACE)
    run(repository, "git", "commit", "--quiet", "--all", "--message", "New test set")
    assert catalogue.LEDGER.read(PLACE) == []


def test_what_is_no_text_was_edited(repository: Path) -> None:
    PLACE.write_bytes(b"\xff\xfe")
    with pytest.raises(FinalEvaluationError, match="it is not text"):
        catalogue.LEDGER.read(PLACE)


def refused(reason: str) -> None:
    with pytest.raises(FinalEvaluationError, match=f"^the test set stays closed: Git cannot say .*{reason}"):
        catalogue.LEDGER.read(PLACE)
    assert uncommitted(PLACE) == ""


@pytest.mark.parametrize("left", [0, 1])
def test_without_git_nothing_is_believed(repository: Path, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    commit(repository, LOOKS)
    catalogue.LEDGER.write(LOOKS[:left], PLACE)
    monkeypatch.setenv("PATH", str(repository))
    refused("the command `git` cannot be run")


def test_a_copy_without_its_history_is_refused(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(repository, LOOKS)
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(repository, copy, dirs_exist_ok=True)
    with contextlib.chdir(copy):
        refused("not a git repository")
        PLACE.unlink()
        refused("not a git repository")


def test_a_variable_that_leads_git_nowhere_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repository, LOOKS)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    refused(r"not a git repository: '/nowhere' \(GIT_DIR=/nowhere\)")


@pytest.mark.parametrize("ours", [True, False], ids=["with a commit", "bare and empty"])
def test_a_variable_that_leads_git_to_another_repository_hides_nothing(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    commit(repository, LOOKS)
    other = tmp_path_factory.mktemp("other")
    run(other, "git", "init", "--quiet")
    if ours:
        run(other, "git", "commit", "--quiet", "--allow-empty", "--message", "Other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repository))
    PLACE.unlink()
    with pytest.raises(FinalEvaluationError, match="3 of the 3 test evaluations"):
        catalogue.LEDGER.read(PLACE)


def test_a_repository_that_is_known_by_a_variable_alone_is_asked(
    repository: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, LOOKS)
    apart = tmp_path_factory.mktemp("apart") / "history"
    (tmp_path / ".git").rename(apart)
    monkeypatch.setenv("GIT_DIR", str(apart))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert catalogue.LEDGER.read(PLACE) == LOOKS


def test_an_orphan_branch_hides_no_looks(repository: Path) -> None:
    commit(repository, LOOKS)
    run(repository, "git", "checkout", "--quiet", "--orphan", "new")
    PLACE.unlink()
    refused("HEAD names no commit, although the repository has some")


def test_a_damaged_repository_is_refused(repository: Path, tmp_path: Path) -> None:
    commit(repository, LOOKS)
    blob = run(repository, "git", "rev-parse", f"HEAD:./{PLACE}").strip()
    (tmp_path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    refused("")


def test_looks_that_are_not_committed_are_told(repository: Path) -> None:
    assert uncommitted(PLACE) == ""
    catalogue.LEDGER.write(LOOKS[:1], PLACE)
    assert uncommitted(PLACE).startswith(f"1 test evaluation is in {PLACE} and in no commit: run `git add {PLACE}`")
    commit(repository, LOOKS[:1])
    assert uncommitted(PLACE) == ""
    catalogue.LEDGER.write(LOOKS, PLACE)
    assert uncommitted(PLACE).startswith("2 test evaluations are")


def test_a_ledger_of_an_earlier_version_still_counts(repository: Path) -> None:
    older = Path("reports/test/ledger.jsonl")
    older.parent.mkdir(parents=True)
    older.write_text(ledger_text(LOOKS[:2]))
    run(repository, "git", "add", "--all")
    run(repository, "git", "commit", "--quiet", "--message", "Earlier version")
    assert catalogue.LEDGER.read(PLACE) == LOOKS[:2]
    catalogue.LEDGER.write(LOOKS, PLACE)
    assert catalogue.LEDGER.read(PLACE) == LOOKS
    older.unlink()
    with pytest.raises(FinalEvaluationError, match=r"reports/test/ledger\.jsonl was edited: 2 of the 2"):
        catalogue.LEDGER.read(PLACE)
