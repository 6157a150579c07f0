"""Fixtures that several test files use."""

import os
import signal

import pytest

# As pipeline.cli.main sets it; tests call stages without it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that; some tests send one.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
