"""train: a run after a kill ends with the model of one that was left alone."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import catalogue
from pipeline.engine import Engine
from pipeline.params import load_params
from pipeline.runner import run_stage
from tests.commands import environment, write_params, write_tiny_sources

# Lightning warns of few batches, and of its own use of torch.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning.*")
EPOCHS = 60
# All that draws, counts or remembers, so that a stop shows if anything of it is lost.
CHANGES: dict[str, Any] = {
    "train.epochs": EPOCHS,
    "train.patience": None,
    "train.model.dropout.blocks": 0.2,
    "train.mixing": {"name": "cutmix", "alpha": 1.0},
    "train.schedule": {"name": "cosine", "final": 0.0},
    "augment.mode": "online",
}
CHECKPOINT = Path(catalogue.CHECKPOINT)
MODEL = Path(catalogue.MODEL.path)
METRICS = Path(catalogue.CURVES.path) / "metrics.json"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A folder in which every stage up to train ran, train's model and its metrics."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny_sources(folder)
        write_params(folder, **CHANGES)
        for source in ("web", "phone"):
            run_stage("ingest", load_params(), Engine(1), source)
        for stage in ("curate", "split", "balance", "augment", "train"):
            run_stage(stage, load_params(), Engine(1))
        assert not CHECKPOINT.exists()
        return folder, MODEL.read_bytes(), METRICS.read_bytes()


@pytest.fixture(autouse=True)
def _inside(undisturbed: tuple[Path, bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(undisturbed[0])
    write_params(undisturbed[0], **CHANGES)


def kill_in_training(folder: Path) -> None:
    """Start training in a process, and kill it as soon as an epoch is done."""
    CHECKPOINT.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pipeline", "train", "--workers", "1"]
    training = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while training.poll() is None and not CHECKPOINT.exists():
        time.sleep(0.002)
    training.kill()
    out, _ = training.communicate()
    assert training.returncode == -signal.SIGKILL, out.decode()


def test_a_killed_training_goes_on_and_ends_with_the_same_model(undisturbed: tuple[Path, bytes, bytes]) -> None:
    folder, model, metrics = undisturbed
    kill_in_training(folder)
    said = run_stage("train", load_params(), Engine(1))
    assert f"{EPOCHS} epochs, " in said
    assert "of them before it was stopped" in said
    assert MODEL.read_bytes() == model
    assert METRICS.read_bytes() == metrics
    assert not CHECKPOINT.exists()


def test_a_checkpoint_of_other_params_or_a_damaged_one_counts_for_nothing(
    undisturbed: tuple[Path, bytes, bytes],
) -> None:
    folder, model, _ = undisturbed
    kill_in_training(folder)
    left = CHECKPOINT.read_bytes()
    write_params(folder, **{**CHANGES, "train.learning_rate": 0.004, "train.epochs": 1})
    assert "before it was stopped" not in run_stage("train", load_params(), Engine(1))
    write_params(folder, **CHANGES)
    CHECKPOINT.write_bytes(left[: len(left) // 2])
    assert "before it was stopped" not in run_stage("train", load_params(), Engine(1))
    assert MODEL.read_bytes() == model
