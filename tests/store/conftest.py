"""What several test files of shards build once."""

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
