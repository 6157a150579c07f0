"""Preparing data needs no trainer: what needs PyTorch says so, and how to get it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import environment, write_params, write_tiny_sources

# As an environment without the extra `train`.
PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"torch", "lightning_fabric"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from pipeline.__main__ import main
for command in sys.argv[1].split(", "):
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit as end:
        print(command, "ends with", end.code or 0)
"""


def run(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Commands of the pipeline, one after the other in one process; each with its exit code on stdout."""
    program = [sys.executable, "-c", PROGRAM, ", ".join(commands)]
    return subprocess.run(
        program, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with sources and params."""
    write_tiny_sources(tmp_path)
    write_params(tmp_path)
    return tmp_path


def test_data_are_prepared_without_a_trainer(sources: Path) -> None:
    stages = ("inventory", "ingest web", "ingest phone", "curate", "split", "balance", "augment", "previews")
    ended = run(sources, *stages, "params")
    assert [name for name in (*stages, "params") if f"{name} ends with 0" not in ended.stdout.splitlines()] == [], (
        ended.stderr
    )
    assert ended.stdout.count("\nsplit: ") == 1


def test_what_needs_a_trainer_says_how_to_get_it(sources: Path) -> None:
    commands = ("train", "evaluate", "label-issues", "spot-check", "lr-range")
    ended = run(sources, *commands)
    assert ended.stdout.splitlines() == [f"{command} ends with 4" for command in commands]
    assert ended.stderr.splitlines() == len(commands) * [
        "error: this command needs torch, which is not installed: run `pip install 'image-data-pipeline[train]'`"
    ]
