"""Fixtures that several test files use."""

import os

import pytest

# As pipeline.cli.main sets it; tests call stages without it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
