"""A repository after a run, to be damaged, and the doctor to look at it."""

import shutil
from pathlib import Path

import pytest

from tests.examples import REPOSITORY
from tests.running import environment, pipeline, tracked, write_params, write_tiny_sources
from tests.tools.doctor.workspaces import Doctor, run


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after `dvc repro ingest` and a commit."""
    folder = tmp_path_factory.mktemp("project")
    for path in [*tracked(), Path(".gitignore"), Path(".dvcignore")]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / path, folder / path)
    write_tiny_sources(folder)
    write_params(folder)
    with (folder / ".gitignore").open("a") as file:
        file.write("/images\n")  # as `dvc add` would have it
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "ingest")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "Run")
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
