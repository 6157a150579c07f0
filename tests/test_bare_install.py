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
main()
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", PROGRAM, *command]
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
    for command in (
        ["inventory"], ["ingest", "web"], ["ingest", "phone"], ["curate"], ["split"], ["balance"], ["augment"],
        ["previews"], ["params"],
    ):  # fmt: skip
        ended = run(prepared, *command)
        assert ended.returncode == 0, (command, ended.stderr)


@pytest.mark.parametrize("command", ["train", "evaluate", "label-issues", "spot-check", "lr-range"])
def test_what_needs_a_trainer_says_how_to_get_it(command: str, tmp_path: Path) -> None:
    write_tiny_sources(tmp_path)
    write_params(tmp_path)
    ended = run(tmp_path, command)
    assert ended.returncode == 4
    assert ended.stderr == (
        "error: this command needs torch, which is not installed: run `pip install 'image-data-pipeline[train]'`\n"
    )
