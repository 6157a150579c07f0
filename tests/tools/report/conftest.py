"""A run whose page is written."""

import shutil
from pathlib import Path

import pytest

from tests.pages import hostile_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after a run on classes with hostile names."""
    folder = tmp_path_factory.mktemp("report")
    hostile_run(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(made, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"
