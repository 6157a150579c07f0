"""What a killed experiment of DVC leaves in Git, and how it is told and put right."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.tools.doctor.locks import running
from pipeline.tools.git_head import HELD, Detached, branch_of_head, left_detached
from tests.running import environment, run, warm_server
from tests.tools.doctor.workspaces import Doctor, wrong

PARAMS = Path("params.yaml")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of Git with two commits, as the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    run(tmp_path, "git", "init", "--quiet", "--initial-branch", "größer/main")
    for text in ("one", "two"):
        PARAMS.write_text(text)
        run(tmp_path, "git", "add", "--all")
        run(tmp_path, "git", "commit", "--quiet", "--message", text)
    return tmp_path


def commit_of(name: str) -> str:
    return run(Path(), "git", "rev-parse", name).strip()


def detach(commit: str = "HEAD") -> None:
    """As DVC does: by the whole hash."""
    run(Path(), "git", "checkout", "--quiet", "--detach", commit_of(commit))


def hold() -> None:
    """As long as an experiment runs."""
    for name in HELD:
        run(Path(), "git", "update-ref", name, "HEAD")


def test_a_killed_experiment_is_told_and_the_fix_lets_the_next_one_run(project: Path, doctor: Doctor) -> None:
    head = commit_of("HEAD")
    PARAMS.write_text(PARAMS.read_text() + "# mine\n")
    command = ["dvc", "exp", "run", "-S", "ingest.size=20", "ingest"]
    started = subprocess.Popen(
        command,
        env=warm_server().variables(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Until a stage runs.
    locks, end = Path(".dvc/tmp/rwlock"), time.monotonic() + 60
    while not (locks.exists() and "dvc exp run" in locks.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    while running(project) and time.monotonic() < end:
        time.sleep(0.01)
    assert left_detached() == Detached("main", sure=True, has_commits=False, stashed=False)

    ended = doctor()
    assert ended.code == 9
    assert "left HEAD detached: commits made now would be on no branch" in ended.out
    fixed = doctor("--fix")
    assert "HEAD is on main again" in fixed.out
    assert (branch_of_head(), commit_of("HEAD")) == ("main", head)
    assert PARAMS.read_text().endswith("# mine\n")
    assert "+# mine" in run(project, "git", "stash", "show", "--patch")
    assert not any(Path(".git", name).exists() for name in HELD)
    assert "git" not in wrong(doctor())
    assert "Ran experiment(s): next" in run(project, *command[:3], "--name", "next", *command[3:])


def test_heads_that_users_detached_are_theirs(repository: Path) -> None:
    assert (branch_of_head(), left_detached()) == ("größer/main", None)
    run(repository, "git", "checkout", "--quiet", "HEAD~1")
    assert left_detached() is None
    # An earlier commit by its whole hash, as `git bisect` does.
    run(repository, "git", "checkout", "--quiet", "größer/main")
    detach("HEAD~1")
    assert left_detached() is None
    # In the middle of a rebase.
    run(repository, "git", "checkout", "--quiet", "größer/main")
    run(repository, "git", "rebase", "--quiet", "--exec", "false", "HEAD~1", check=False)
    assert branch_of_head() == ""
    assert left_detached() is None


def test_the_same_commit_by_hand_is_told_as_what_it_may_be(repository: Path, doctor: Doctor) -> None:
    PARAMS.write_text("mine")
    run(repository, "git", "stash", "--quiet")
    detach()
    assert left_detached() == Detached("größer/main", sure=False, has_commits=False, stashed=True)
    out = doctor("--fix").out
    assert "`git switch größer/main`. DVC may have put your changes into Git's stash" in out
    assert branch_of_head() == ""


def test_an_experiment_that_was_being_applied_is_put_back(repository: Path, doctor: Doctor) -> None:
    tip = commit_of("HEAD")
    PARAMS.write_text("three")
    detach()
    run(repository, "git", "commit", "--quiet", "--all", "--message", "three")
    run(repository, "git", "update-ref", f"refs/exps/{tip[:2]}/{tip[2:]}/better", "HEAD")
    run(repository, "git", "checkout", "--quiet", "größer/main")
    detach(f"refs/exps/{tip[:2]}/{tip[2:]}/better")
    assert left_detached() == Detached("größer/main", sure=True, has_commits=False, stashed=False)
    doctor("--fix")
    assert (branch_of_head(), commit_of("HEAD"), PARAMS.read_text()) == ("größer/main", tip, "three")


def test_commits_made_since_are_for_the_user_to_place(repository: Path, doctor: Doctor) -> None:
    detach()
    hold()
    PARAMS.write_text("three")
    run(repository, "git", "commit", "--quiet", "--all", "--message", "three")
    assert left_detached() == Detached("größer/main", sure=True, has_commits=True, stashed=False)
    assert "`git switch -C größer/main` gives them to größer/main" in doctor("--fix").out
    run(repository, "git", "switch", "--quiet", "-C", "größer/main")
    assert run(repository, "git", "log", "--format=%s").split() == ["three", "two", "one"]


def test_a_lock_of_a_killed_git_is_told(repository: Path, doctor: Doctor) -> None:
    Path(".git/index.lock").touch()
    assert "if no Git command is running: `rm .git/index.lock`" in doctor().out
    Path(".git/index.lock").unlink()
    assert "index.lock" not in doctor().out
