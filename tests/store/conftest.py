"""Folders and shards that several test files use."""

from pathlib import Path

import pytest

from tests.store.building import ROWS, Whole, cold


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def whole(base: Path) -> Whole:
    """What a cold build of ROWS gives."""
    return cold(base, ROWS)


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder as the current one, with a place for what curate writes."""
    monkeypatch.chdir(tmp_path)
    Path("data/curate").mkdir(parents=True)
