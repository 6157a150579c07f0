"""A repository after a run, to be damaged, and the doctor to look at it."""

import shutil
from pathlib import Path

import pytest

from tests.dvc_projects import commit, copied_repository
from tests.running import environment, pipeline, run, write_params, write_tiny_sources
from tests.tools.doctor.workspaces import Doctor


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after `dvc repro ingest` and a commit."""
    folder = copied_repository(tmp_path_factory.mktemp("project"))
    write_tiny_sources(folder)
    write_params(folder)
    with (folder / ".gitignore").open("a") as file:
        file.write("/images\n")  # as `dvc add` would have it
    run(folder, "dvc", "repro", "ingest")
    commit(folder, "Run")
    return folder


@pytest.fixture
def project(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(ingested, folder, symlinks=True)
    monkeypatch.chdir(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return lambda *arguments: pipeline(capsys, monkeypatch, "doctor", *arguments)
