"""train: a run after a kill, SIGTERM or Ctrl-C ends with the model of one that was left alone."""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import catalogue
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.store.timing import key_of_files, timings
from pipeline.workers.engine import Engine
from tests.running import run_in, write_params
from tests.warm import Warm

EPOCHS, STOPPED_AFTER = 6, 3
# All that draws, counts or remembers, so that a stop shows if anything of it is lost.
CHANGES: dict[str, Any] = {
    "train.epochs": EPOCHS,
    "train.patience": None,
    "train.keep": "last",  # the best may be of an epoch before the kill
    "train.model.dropout.blocks": 0.2,
    "train.mixing": {"name": "cutmix", "alpha": 1.0},
    "train.schedule": {"name": "cosine", "final": 0.0},
    "augment.mode": "online",
}
CHECKPOINT = Path(catalogue.CHECKPOINT)
MODEL = Path(catalogue.MODEL.path)
METRICS = Path(catalogue.CURVES.path) / "metrics.json"
# The command, which gets a signal before a batch: no test must wait for the moment.
SIGNALLED = """
import os, signal, sys
from pipeline import cli
from pipeline.training.loop import TrainingLoop
from pipeline.training import checkpoint
signum, epoch, batch, most_seconds = map(float, sys.argv[1:])
step = TrainingLoop._step
def step_with_signal(self, *place):
    if place[:2] == (epoch, batch):
        os.kill(os.getpid(), int(signum))
    return step(self, *place)
TrainingLoop._step = step_with_signal
checkpoint.MAX_SECONDS = most_seconds
sys.argv = ["pipeline", "train", "--workers", "1"]
cli.main()
"""


def train_with_signal(
    warm: Warm, folder: Path, number: int, batch: int, most_seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    return warm.run(folder, SIGNALLED, *map(str, (int(number), STOPPED_AFTER, batch, most_seconds)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that training reads and what it writes if nothing stops it."""
    return run_in(
        tmp_path_factory.mktemp("trained"), "ingest", "curate", "split", "balance", "augment", "train", **CHANGES
    )


@pytest.fixture
def workspace(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def goes_on_to_the_same_model(trained: Path, done: str) -> None:
    said = run_stage("train", load_params(), Engine(1))
    assert said.startswith(f"train: {EPOCHS} epochs, {done} before it was stopped, ")
    assert MODEL.read_bytes() == (trained / MODEL).read_bytes()
    assert METRICS.read_bytes() == (trained / METRICS).read_bytes()
    assert not CHECKPOINT.exists()
    # The time is that of the whole fit; beside the model, under the hash that dvc.lock gives it.
    took = timings(Path(catalogue.TIMING))[("train", key_of_files([MODEL, Path(catalogue.ENSEMBLE.path)]))]
    assert took.epochs == EPOCHS
    assert took.fit_seconds is not None
    assert took.images


@pytest.mark.parametrize(
    ("batch", "most_seconds", "done"), [(0, 60, "3 of them"), (2, 0, "3 of them and 2 batches")], ids=["epoch", "batch"]
)
def test_a_killed_training_goes_on_and_ends_with_the_same_model(
    trained: Path, workspace: Path, warm: Warm, batch: int, most_seconds: float, done: str
) -> None:
    assert not CHECKPOINT.exists()
    ended = train_with_signal(warm, workspace, signal.SIGKILL, batch, most_seconds)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    goes_on_to_the_same_model(trained, done)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_training_loses_nothing_and_says_by_its_code_that_it_was_stopped(
    trained: Path, workspace: Path, warm: Warm, number: int
) -> None:
    """The batch at which the signal came is the last; what a run before had written stays."""
    ended = train_with_signal(warm, workspace, number, batch=1)
    # A shell says 128 + number of a process that a signal ended.
    assert ended.returncode in {-number, 128 + number}
    # The forecast of rows and minutes, and at most a line about the stop.
    forecast, rest = ended.stderr.splitlines()[:2], ended.stderr.splitlines()[2:]
    assert [line.partition(":")[0] for line in forecast] == ["train"] * 2
    assert len(rest) <= 1
    assert MODEL.read_bytes() == (trained / MODEL).read_bytes()
    goes_on_to_the_same_model(trained, "3 of them and 2 batches")


def test_a_checkpoint_of_other_params_is_none(trained: Path, workspace: Path, warm: Warm) -> None:
    train_with_signal(warm, workspace, signal.SIGTERM, batch=1)
    assert CHECKPOINT.exists()
    write_params(workspace, **{**CHANGES, "train.learning_rate": 0.004})
    assert "before it was stopped" not in run_stage("train", load_params(), Engine(1))
    assert MODEL.read_bytes() != (trained / MODEL).read_bytes()
