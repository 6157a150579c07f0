"""Commands that several test files of the tools run."""

import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from tests.running import Ended
from tests.tools.previewing import Preview


@pytest.fixture
def preview(workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Preview:
    """The command, in a folder with tiny sources."""

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pipeline", "preview", *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        return Ended(code or 0, captured.out, captured.err)

    return command
