"""Moves as experiments of DVC: what must be there, and the workspace as it was after a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, ParamsError
from pipeline.tools.git_head import HELD, branch_of_head
from pipeline.tools.improve import restoring
from pipeline.tools.improve.experiments import MARK, Experiments
from pipeline.tools.improve.improve import check_budget, dry_run
from pipeline.tools.improve.moves import as_key
from pipeline.workers.process_ids import is_alive, process_id
from pipeline.yaml_values import yaml_values
from tests.examples import params
from tests.running import environment, pipeline_alone, run, write_params

PARAMS = Path("params.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of Git and DVC with a commit and no run, as the current folder."""
    write_params(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    (tmp_path / ".gitignore").write_text("/.dvc/tmp/\n/improve/\n")
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, "git", "commit", "--quiet", "--message", "Set up")
    return tmp_path


def begun() -> Experiments:
    return Experiments(params(), lambda _: None)


def test_a_folder_without_git_or_a_commit_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(DataError, match=r"^this folder is not in a Git repository, which .* run `git init`"):
        begun()
    run(tmp_path, "git", "init", "--quiet")
    with pytest.raises(
        DataError, match=r"^this Git repository has no commit, and an experiment starts from one: run `dvc repro`"
    ):
        begun()
    run(tmp_path, "git", "commit", "--quiet", "--allow-empty", "--message", "Empty")
    with pytest.raises(DataError, match=r"^DVC cannot read this repository"):
        begun()


def test_changes_that_are_not_committed_and_a_missing_run_are_refused(project: Path) -> None:
    with pytest.raises(MissingInputError, match=r"^there is no run to start from: run `dvc repro`, and commit$"):
        begun()
    before = PARAMS.read_text()
    PARAMS.write_text(before + "# mine\n")
    with pytest.raises(DataError, match=r"^1 files have changes that are not committed \(params\.yaml\): commit them"):
        begun()
    assert PARAMS.read_text() == before + "# mine\n"


def test_a_budget_of_nothing_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match=r"needs a budget: give --runs, --minutes or both; or use --dry-run$"):
        check_budget(None, None)
    for runs, minutes in ((0, None), (3, 0.0), (None, -1.0), (None, float("nan"))):
        with pytest.raises(ParamsError, match=r"^--(runs|minutes) is (0|-1|nan): it must be above 0"):
            check_budget(runs, minutes)
    check_budget(1, None)


def test_the_command_says_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline_alone(capsys, monkeypatch, "improve", "--runs", "1")
    assert (ended.code, "there is no run to start from" in ended.err) == (MissingInputError.exit_code, True)


def killed(project: Path, changed: str, process: str = "") -> None:
    """What a killed run leaves: its mark, and params that DVC changed."""
    PARAMS.write_text(PARAMS.read_text().replace("epochs: ", "epochs: 1", 1) + changed)
    head = run(project, "git", "rev-parse", "HEAD").strip()
    values = as_key(yaml_values(PARAMS.read_text().removesuffix(changed)))
    MARK.parent.mkdir(exist_ok=True)
    mark = {"head": head, "branch": branch_of_head(), "name": "improve-x-1", "params": values, "process": process}
    MARK.write_text(json.dumps(mark))


def test_what_a_killed_run_left_is_put_back_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "_checkout", lambda: None)
    before = PARAMS.read_bytes()
    # A run of the killed call that is still on ends with all that it began.
    sleeping = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    with subprocess.Popen(sleeping, start_new_session=True, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        # It is gone once somebody has waited for it, as its parent's parent does after a kill.
        threading.Thread(target=left.wait).start()
        killed(project, "", process_id(left.pid))
        assert PARAMS.read_bytes() != before
        Path("mine.txt").write_text("untracked")
        with pytest.raises(MissingInputError, match="no run to start from"):
            dry_run(params(), lambda _: None)
        assert left.wait() == -signal.SIGINT or left.returncode == 1
    assert PARAMS.read_bytes() == before
    assert not MARK.exists()
    assert Path("mine.txt").exists()


@pytest.mark.parametrize("where", ["while the experiment runs", "while it is applied"])
def test_head_names_its_branch_again_after_a_kill(project: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(restoring, "_checkout", lambda: None)
    branch, head = branch_of_head(), run(project, "git", "rev-parse", "HEAD").strip()
    before = PARAMS.read_bytes()
    killed(project, "")
    if where == "while it is applied":
        run(project, "git", "stash", "--quiet")
        experiment = f"refs/exps/{head[:2]}/{head[2:]}/improve-x-1"
        run(project, "git", "update-ref", experiment, "refs/stash")
        run(project, "git", "stash", "drop", "--quiet")
        run(project, "git", "checkout", "--quiet", run(project, "git", "rev-parse", experiment).strip())
    else:
        run(project, "git", "checkout", "--quiet", head)
        run(project, "git", "update-ref", HELD[-1], "HEAD")
        Path("reports").mkdir()
        Path("reports/half.tsv").write_text("staged by DVCLive")
        run(project, "git", "add", "reports")
    assert branch_of_head() == ""
    with pytest.raises(MissingInputError, match="no run to start from"):
        begun()
    assert (branch_of_head(), run(project, "git", "rev-parse", "HEAD").strip()) == (branch, head)
    assert PARAMS.read_bytes() == before
    assert run(project, "git", "status", "--porcelain", "--untracked-files=no") == ""
    assert run(project, "git", "stash", "list") == ""


def test_an_index_that_names_no_content_is_mended_and_what_somebody_staged_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_checkout", lambda: None)
    before = PARAMS.read_bytes()
    for name in ("mine.txt", "reports/ä.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("staged")
    run(project, "git", "add", "mine.txt")
    monkeypatch.setenv("GIT_ALLOW_NULL_SHA1", "1")
    for path in ("params.yaml", ".gitignore", "reports/ä.json"):
        run(project, "git", "update-index", "--add", "--cacheinfo", f"100644,{'0' * 40},{path}")
    monkeypatch.delenv("GIT_ALLOW_NULL_SHA1")
    killed(project, "")
    # A process that ends lets go of its lock only after a while.
    lock = Path(".git/index.lock")
    lock.touch()
    threading.Timer(0.3, lock.unlink).start()
    with pytest.raises(DataError, match=r"^1 files have changes that are not committed \(mine\.txt\)"):
        dry_run(params(), lambda _: None)
    assert PARAMS.read_bytes() == before
    staged = run(project, "git", "status", "--porcelain", "--", "mine.txt", "reports").splitlines()
    assert staged == ["A  mine.txt", "?? reports/"]
    assert run(project, "git", "fsck", "--no-dangling") == ""


def test_params_that_somebody_edited_after_a_kill_are_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_checkout", lambda: None)
    killed(project, "", "")
    mine = PARAMS.read_text().replace("seed: ", "seed: 1", 1)
    PARAMS.write_text(mine)
    with pytest.raises(
        DataError, match=r"^a killed run left this workspace changed, and params\.yaml was edited since"
    ):
        begun()
    assert PARAMS.read_text() == mine
    assert MARK.exists()


def test_a_mark_that_was_cut_means_that_nothing_was_changed(project: Path) -> None:
    MARK.parent.mkdir()
    MARK.write_text("{")
    with pytest.raises(MissingInputError):
        begun()
    assert not MARK.exists()


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    assert is_alive(process_id())
    assert not is_alive(f"{os.getpid()} 1")
    for other in ("", "x 1", None, f"{2**40} 1"):
        assert not is_alive(other)


def test_the_test_set_is_none_of_the_files_that_are_put_back() -> None:
    assert catalogue.LEDGER.path.startswith(restoring.LEDGER)
