"""Fixtures that several test files use."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.images.pixels import Pixels
from pipeline.sheets import drawing
from pipeline.sheets.drawing import Sheet, draw_sheet
from tests.running import run_all, warm_server, write_params, write_tiny_sources
from tests.warm import Warm

# On a busy machine any example may take long; no test asserts a time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that; some tests send one.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first: a worker that gets one last would run alone."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny sources and their params, as the current one."""
    write_tiny_sources(tmp_path)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage ran; to be copied, not to be changed."""
    return run_all(tmp_path_factory.mktemp("whole-run"))


@pytest.fixture(scope="session")
def warm() -> Warm:
    """What runs programs in processes that have imported all libraries."""
    return warm_server()


@pytest.fixture(scope="session", autouse=True)
def _end_of_warm_server() -> Iterator[None]:
    with warm_server():
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """The contact sheets that were drawn."""
    sheets_drawn: list[Sheet] = []

    def draw(sheet: Sheet) -> Pixels:
        sheets_drawn.append(sheet)
        return draw_sheet(sheet)

    monkeypatch.setattr(drawing, "draw_sheet", draw)
    return sheets_drawn


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
    monkeypatch.delenv("PIPELINE_ENGINE", raising=False)
