"""Folders that several test files start from, and a command that they run."""

import os
from pathlib import Path

import pytest

from tests.examples import write_source
from tests.project.new_projects import Init
from tests.running import Ended, pipeline_alone


@pytest.fixture
def init(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Init:
    """`pipeline init` in a folder outside of any repository, with two sources beside."""
    write_source(tmp_path / "web", {"cat": 30, "dog": 20}, seed=1)
    write_source(tmp_path / "phone", {"cat": 16, "dog": 12}, seed=2)
    monkeypatch.chdir(tmp_path)
    for name, value in (("GIT_CONFIG_GLOBAL", os.devnull), ("GIT_CONFIG_SYSTEM", os.devnull)):
        monkeypatch.setenv(name, value)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")

    def run_init(*arguments: str) -> Ended:
        return pipeline_alone(capsys, monkeypatch, "init", *arguments)

    return run_init


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
