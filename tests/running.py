"""Runs the command line in a folder of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.stage import NAMES
from pipeline.workers.engine import Engine
from tests.examples import params_values, write_source
from tests.warm import Warm

WARM = ("dvc", "pipeline", "python")
BIN = str(Path(sys.executable).parent)
# Three classes of a few pictures each: every stage takes about a second.
TINY = {
    "sources": {"web": {"role": "raw", "path": "images/web"}, "phone": {"role": "production", "path": "images/phone"}},
    "ingest.size": 16,
    "split.production": {"train": 0.4, "dev": 0.3, "test": 0.3},
    "split.train_dev": 0.2,
    "split.min_per_class": 1,
    "train.epochs": 3,
    "train.batch_size": 32,
    "train.model": {
        "name": "cnn",
        "depth": 2,
        "width": 8,
        "kernel": 3,
        "activation": "relu",
        "batch_norm": True,
        "dense": [],
        "dropout": {"blocks": 0.0, "head": 0.0},
    },
    "evaluate.bootstrap": 100,
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def write_params(folder: Path, **changes: Any) -> None:
    """A params.yaml of the repository's sections, small enough for tests, with changes."""
    values = params_values(**{**TINY, **changes})
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def write_tiny_sources(folder: Path) -> None:
    """Raw and production pictures of three classes, imbalanced; the production ones are noisier."""
    write_source(folder / "images/web", {"a": 40, "b": 20, "c": 10}, seed=1)
    write_source(folder / "images/phone", {"a": 30, "b": 25, "c": 20}, seed=2, noise=100)


def run_stages(*names: str, workers: int = 1) -> None:
    """Stages in the current folder, by its params.yaml; ingest of each source."""
    loaded = load_params()
    for name in names:
        for key in loaded.sources if name == "ingest" else [None]:
            run_stage(name, loaded, Engine(workers), key)


def run_in(folder: Path, *names: str, **changes: Any) -> Path:
    """The same in a folder with tiny sources and params with changes; returns the folder."""
    write_tiny_sources(folder)
    write_params(folder, **changes)
    with contextlib.chdir(folder):
        run_stages(*names)
    return folder


def run_all(folder: Path) -> Path:
    """All stages in a folder with tiny sources, the evaluation on test among them; returns the folder."""
    # DVCLive asks for a repository with a commit, and the evaluation on test for earlier ones.
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "Set up")
    return run_in(folder, *(name for name in NAMES if name not in {"sample", "inventory", "previews"}))


def pipeline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Ended:
    """The `pipeline` command, in this process; the caller has changed into the folder."""
    return pipeline_alone(capsys, monkeypatch, *arguments, "--workers", "1")


def pipeline_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Ended:
    """The same for a command that needs no workers."""
    monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    code = ended.value.code
    return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)


@cache
def warm_server() -> Warm:
    """What forks programs from a process that has imported all libraries; one for all tests of this process."""
    return Warm(environment)


def run(folder: Path, *command: str, check: bool = True, **settings: str) -> str:
    """A command in a process of its own; what it printed on both streams.

    git and dvc find no settings of the machine. `dvc` and `python -m pipeline`, DVC's stages as well, are forked from a
    process that has imported them, with the locale of that and the code of the repository (tests/warm.py).
    """
    return _run(folder, command, {**_variables(folder, command), **settings}, check)


def run_cold(folder: Path, *command: str, check: bool = True, **settings: str) -> str:
    """The same, but stages run in new processes, with the code of the folder."""
    return _run(folder, command, {**_variables(folder, command, new_stages=True), **settings}, check)


def started(folder: Path, *command: str) -> "subprocess.Popen[bytes]":
    """A command of `run` that goes on by itself, and prints nowhere."""
    return subprocess.Popen(command, cwd=folder, env=_variables(folder, command), stdout=subprocess.DEVNULL)


def _variables(folder: Path, command: Sequence[str], new_stages: bool = False) -> Mapping[str, str]:
    # What needs no server starts none.
    return warm_server().variables(folder, new_stages) if command[0] in WARM else environment(folder)


def _run(folder: Path, command: Sequence[str], variables: Mapping[str, str], check: bool) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ended.returncode == 0 or not check, f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}"
    return ended.stdout


def environment(folder: Path) -> dict[str, str]:
    """Variables for a process: this environment's commands first, no settings of the user's, one worker."""
    own = {
        "PATH": os.pathsep.join([BIN, os.environ["PATH"]]),
        "HOME": str(folder.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
        "DVC_NO_ANALYTICS": "1",
        "CI": "true",  # else each command of DVC starts another one, which asks the network for newer releases
        # A worker imports all libraries once more, which takes longer than a few small pictures.
        "PIPELINE_WORKERS": "1",
    }
    return {**os.environ, **own}
