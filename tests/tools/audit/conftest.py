"""The command that the tests of the audit run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import Ended, pipeline


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """`pipeline audit` in an empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: pipeline(capsys, monkeypatch, "audit", *arguments)
