"""The command line: help, what it imports, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from pipeline import cli
from tests.examples import REPOSITORY
from tests.running import pipeline, write_params
from tests.warm import Warm

COMMANDS = sorted(typer.main.get_group(cli.app).commands)
HEAVY = {"torch", "albumentations", "imblearn", "sklearn", "lightning_fabric", "dvclive", "cv2", "pandas", "pyarrow"}
# Each takes a second or more to import, so that only the commands that need one may.
DATA = {"pandas", "pyarrow"}
ALLOWED = {
    "curate": {*DATA, "cv2"},
    "split": DATA,
    "ingest": {*DATA, "cv2"},
    "balance": {*DATA, "cv2", "imblearn", "sklearn"},
    "label_issues": {*DATA, "cv2", "sklearn", "torch"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    words = typer.main.get_group(cli.app).commands[command].help
    assert words is not None
    assert words.split(".")[0].split("\n")[0] in " ".join(result.output.split())


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(cli.app, ["--help"])
    assert [command for command in COMMANDS if command not in result.output] == []


def test_help_imports_nothing_heavy() -> None:
    assert imported("from pipeline.cli import main; import sys; sys.argv[1:] = ['--help']; main()") == set()


@pytest.mark.parametrize("stage", ALLOWED)
def test_a_stage_imports_no_more_than_it_needs(stage: str) -> None:
    found = imported(f"import pipeline.project.runner; from pipeline.stage import load_stage; load_stage('{stage}')")
    assert found <= ALLOWED[stage]


def imported(code: str) -> set[str]:
    """Heavy packages that code has imported when it ends."""
    tail = "import atexit, sys; atexit.register(lambda: print('\\nmodules', *sys.modules)); "
    ended = subprocess.run(
        [sys.executable, "-c", tail + code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return HEAVY & set(ended.stdout.split("\nmodules ")[1].split())


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(cli.app, ["spilt"]).exit_code == 2


def test_a_stage_says_what_it_did(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline(capsys, monkeypatch, "ingest", "web")
    assert ended.code == 0
    assert ended.out.startswith("ingest web: 70 images, 0 rejected, 0 ignored (")
    assert "\n  3 classes: a 40, b 20, c 10\n" in ended.out
    assert ended.err == ""


def test_the_summary_before_any_run_names_the_next_step(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pipeline", "summary"])
    with pytest.raises(SystemExit, match="4"):
        cli.main()
    message = "error: reports/evaluate/metrics.json is missing: run `dvc repro evaluate`\n"
    assert capsys.readouterr().err == message


def test_workers_of_the_environment_are_checked(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_WORKERS", "many")
    monkeypatch.setattr(sys, "argv", ["pipeline", "split"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code != 0
    assert "PIPELINE_WORKERS" in capsys.readouterr().err


# The command with its standard output on a full disk, and no standard input.
FULL = """
import os, sys
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
sys.stdin = None
from pipeline import cli
sys.argv = ["pipeline", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.parametrize("arguments", [["params"], ["summary", "--help"], ["no-such-command"], ["predict", "m", "-"]])
def test_a_full_disk_for_what_is_printed_is_a_message(arguments: list[str], warm: Warm, tmp_path: Path) -> None:
    write_params(tmp_path)
    ended = warm.run(tmp_path, FULL, *arguments)
    assert "Traceback" not in ended.stderr
    prints = arguments[0] in ("params", "summary")
    assert ended.returncode == (6 if prints else {"predict": 4}.get(arguments[0], 2))
    assert ("error: what is printed cannot be written: No space left on device. Free space" in ended.stderr) == prints
