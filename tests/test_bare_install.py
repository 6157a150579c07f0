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
        if end.code:
            sys.exit(end.code)
"""


def run(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Commands of the pipeline, one after the other in one process, up to the first that fails."""
    program = [sys.executable, "-c", PROGRAM, ", ".join(commands)]
    return subprocess.run(
        program, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    write_tiny_sources(folder)
    write_params(folder)
    return folder


def test_data_are_prepared_without_a_trainer(prepared: Path) -> None:
    ended = run(
        prepared,
        "inventory",
        "ingest web",
        "ingest phone",
        "curate",
        "split",
        "balance",
        "augment",
        "previews",
        "params",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\nsplit: ") == 1


@pytest.mark.parametrize("command", ["train", "evaluate", "label-issues", "spot-check", "lr-range"])
def test_what_needs_a_trainer_says_how_to_get_it(command: str, tmp_path: Path) -> None:
    write_tiny_sources(tmp_path)
    write_params(tmp_path)
    ended = run(tmp_path, command)
    assert ended.returncode == 4
    assert ended.stderr == (
        "error: this command needs torch, which is not installed: run `pip install 'image-data-pipeline[train]'`\n"
    )
