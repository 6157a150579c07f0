"""train: a run after a kill ends with the model of one that was left alone."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import catalogue
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.workers.engine import Engine
from tests.running import environment, run_stages, write_params, write_tiny_sources

# Lightning warns of few batches, and of its own use of torch.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning.*")
EPOCHS, KILLED_AFTER = 6, 3
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
# The command, which kills itself before a batch: no test must wait for the moment.
KILLED = f"""
import os, signal, sys
from pipeline import cli
from pipeline.training.classifier import Classifier
from pipeline.training import checkpoint
begin, where = Classifier.on_train_batch_start, ({KILLED_AFTER}, int(sys.argv[1]))
def begin_or_die(self, batch, number):
    if (self.epoch, number) == where:
        os.kill(os.getpid(), signal.SIGKILL)
    begin(self, batch, number)
Classifier.on_train_batch_start = begin_or_die
checkpoint.MOST_SECONDS = float(sys.argv[2])
sys.argv = ["pipeline", "train", "--workers", "1"]
cli.main()
"""


def kill_in_training(folder: Path, batch: int, most_seconds: float) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(batch), str(most_seconds)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_killed_training_goes_on_and_ends_with_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_sources(tmp_path)
    write_params(tmp_path, **CHANGES)
    run_stages("ingest", "curate", "split", "balance", "augment", "train")
    assert not CHECKPOINT.exists()
    model, metrics = MODEL.read_bytes(), METRICS.read_bytes()

    for batch, most_seconds, done in ((0, 60, "3 of them"), (2, 0, "3 of them and 2 batches")):
        kill_in_training(tmp_path, batch, most_seconds)
        left = CHECKPOINT.read_bytes()
        said = run_stage("train", load_params(), Engine(1))
        assert said.startswith(f"train: {EPOCHS} epochs, {done} before it was stopped, ")
        assert MODEL.read_bytes() == model
        assert METRICS.read_bytes() == metrics
        assert not CHECKPOINT.exists()

    CHECKPOINT.write_bytes(left)
    write_params(tmp_path, **{**CHANGES, "train.learning_rate": 0.004})
    assert "before it was stopped" not in run_stage("train", load_params(), Engine(1))
    assert MODEL.read_bytes() != model
