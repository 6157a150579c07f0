"""The guides that are installed with the package."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.errors import MissingInputError, ParamsError
from pipeline.tools import guides as module
from pipeline.tools.guides import guide_text, guides, titles
from tests.examples import REPOSITORY


def test_all_guides_have_a_title() -> None:
    found = guides()
    assert {*found} == {path.stem for path in (REPOSITORY / "docs").glob("*.md")}
    assert all(title and not title.startswith("#") for title in titles(found).values())


@pytest.mark.parametrize("name", ["label_issues", "label-issues", "docs/label_issues.md", "label_issues.md#check"])
def test_a_guide_is_found_by_any_of_its_names(name: str) -> None:
    assert guide_text(guides(), name) == (REPOSITORY / "docs/label_issues.md").read_text("utf-8")


def test_an_unknown_guide_is_answered_with_the_right_one() -> None:
    with pytest.raises(ParamsError, match=r"^guide injest: there is none of this name; did you mean ingest\?$"):
        guide_text(guides(), "injest")
    with pytest.raises(ParamsError, match=r"there are augment, .*, your_models$"):
        guide_text(guides(), "zzz")


def test_a_package_that_was_copied_without_guides_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "pipeline/tools/guides.py"))
    monkeypatch.setattr(module, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(MissingInputError, match="the guides are missing"):
        guides()


def test_the_command_lists_and_prints() -> None:
    listed = CliRunner().invoke(app, ["guide"])
    assert listed.exit_code == 0
    assert "tune " in listed.output
    printed = CliRunner().invoke(app, ["guide", "tune"])
    assert printed.output == (REPOSITORY / "docs/tune.md").read_text("utf-8")


def test_a_terminal_gets_a_page_without_signs_of_markdown() -> None:
    ours, theirs = os.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "PAGER": "less"}
    command = [sys.executable, "-m", "pipeline", "guide", "tune"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=theirs, stdin=theirs, close_fds=True) as process:
        os.close(theirs)
        printed = b""
        with suppress(OSError):  # a closed terminal is an error on Linux, not an end
            while part := os.read(ours, 65536):
                printed += part
    os.close(ours)
    assert process.returncode == 0
    assert b"Search for better params" in printed
    assert b"# Search" not in printed
    # What a pager makes of colours that it does not know.
    assert b"ESC" not in printed
