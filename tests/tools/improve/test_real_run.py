"""`pipeline improve` through real Git and DVC: a kill, Ctrl-C, a whole try, and the workspace as it was after each."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dvc_projects import commit, copied_repository
from tests.examples import write_source
from tests.running import run, started, write_params

pytestmark = pytest.mark.slow
RUNS = ["pipeline", "improve", "--runs", "1"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository after `dvc repro` and a commit: one epoch is too few to learn anything."""
    folder = copied_repository(tmp_path / "project")
    write_source(folder / "images/web", {"a": 30, "b": 30}, seed=1)
    write_source(folder / "images/phone", {"a": 60, "b": 60}, seed=2, noise=30)
    write_params(folder, **{"train.epochs": 1, "train.learning_rate": 0.0001, "evaluate.satisficing": {}})
    run(folder, "dvc", "add", "--quiet", "images")
    commit(folder, "Set up")
    run(folder, "dvc", "repro")
    commit(folder, "Run")
    return folder


def at_work(folder: Path, before: bytes) -> "subprocess.Popen[bytes]":
    """An improve whose own try has changed params.yaml, whatever an earlier one left."""
    earlier = running(folder)
    process = started(folder, *RUNS)

    def began() -> bool:
        own = running(folder) not in {"", earlier} and (folder / "params.yaml").read_bytes() != before
        return own or process.poll() is not None

    waited_for(began)
    assert process.poll() is None
    return process


def running(folder: Path) -> str:
    """The process of the try that is on; empty where there is none."""
    try:
        return str(json.loads((folder / "improve/running.json").read_text())["process"])
    except (FileNotFoundError, ValueError):
        return ""


def waited_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not happened() and time.monotonic() < until:
        time.sleep(0.05)


def test_one_disease_is_mended_through_real_experiments(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    plan = run(project, *RUNS[:-2], "--dry-run")
    assert "what would be tried" in plan

    killed = at_work(project, before)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (project / "improve/running.json").exists()

    stopped = at_work(project, before)
    os.kill(stopped.pid, signal.SIGINT)
    assert stopped.wait() == 128 + signal.SIGINT
    assert (project / "params.yaml").read_bytes() == before
    assert run(project, "git", "status", "--porcelain") == ""
    assert not (project / "improve/running.json").exists()

    said = run(project, *RUNS)
    (entry,) = [json.loads(line) for line in (project / "improve/log.jsonl").read_text().splitlines()]
    assert entry["kept"], said
    assert (project / "params.yaml").read_bytes() == before
    assert run(project, "git", "status", "--porcelain") == ""
    assert "up to date" in run(project, "dvc", "status", "dvc.yaml")
    assert entry["name"] in run(project, "dvc", "exp", "list", "--name-only")
    assert "The gain on dev is +" in said
    # The same again has its budget spent, and --apply takes over what was kept.
    assert "the budget is spent" in run(project, *RUNS, "--apply")
    values = run(project, "git", "diff", "--", "params.yaml")
    assert all(place.rpartition(".")[2] in values for place in entry["changes"])
