"""The command tune with the method architecture: both searches are reported, a killed one goes on, limits hold."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from pipeline import catalogue
from pipeline.models.files import TrainedModel
from pipeline.models.untrained_networks import BlockCnn
from pipeline.tools.tune import architecture, trial
from tests.running import pipeline, run_in, write_params
from tests.tuning.test_architectures import BLOCKS
from tests.warm import Warm

METHOD = {"name": "architecture", "epochs": 4, "candidates": 2, "sampling": "controller"}
QUICK: dict[str, Any] = {
    "train.model": BLOCKS,
    "train.epochs": 1,
    "train.batch_size": 16,
    "train.patience": None,
    "augment.copies.count": 0,
    "tune.method": METHOD,
    "tune.space": {
        "train.model.kernels": {"name": "list", "values": [1, 3], "length": 2},
        "train.model.width": {"name": "choice", "values": [4, 8]},
    },
    "tune.prune": False,
    "evaluate.satisficing": {},
}
# The command, which kills itself when it saves the third epoch of the shared weights.
KILLED = """
import os, signal, sys
from pipeline import cli
from pipeline.training.checkpoint import Checkpoint
save = Checkpoint.save
def save_or_die(self, key, state):
    if state.get("epoch") == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, key, state)
Checkpoint.save = save_or_die
sys.argv = ["pipeline", "tune"]
cli.main()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage before train ran."""
    return run_in(tmp_path_factory.mktemp("architecture"), "ingest", "curate", "split", "balance", "augment", **QUICK)


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    write_params(prepared, **QUICK)


def test_both_searches_are_run_and_compared_and_a_killed_one_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path, warm: Warm
) -> None:
    killed = warm.run(prepared, KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 0, ended.err
    # Begun with the third epoch, not anew.
    assert "epoch 1 of 4" not in ended.err
    assert "shared weights: epoch 3 of 4" in ended.err
    assert "; less than two minutes left" in ended.err
    assert not any(line.endswith((" ", ";")) for line in ended.err.splitlines())
    assert "the controller prefers kernels[1] " in ended.err
    assert "Architecture search: best accuracy " in ended.out
    assert "Random search of the same cost: best accuracy " in ended.out
    assert "difference without the luck of the best" in ended.out
    resumed = pd.read_csv("tune/architectures.csv")
    assert resumed["rank"].dropna().tolist() == list(range(1, 9))
    assert resumed["fitted_by"].str.contains("search").sum() == 2
    assert resumed["fitted_by"].str.contains("random").sum() >= 2
    fitted = resumed["trial"].notna()
    assert fitted.equals(resumed["fitted_by"].notna())

    shutil.rmtree(catalogue.TUNE)
    assert pipeline(capsys, monkeypatch, "tune").code == 0
    undisturbed = pd.read_csv("tune/architectures.csv")
    pd.testing.assert_frame_equal(undisturbed, resumed)

    # Nothing is left to do.
    again = pipeline(capsys, monkeypatch, "tune")
    assert "epoch" not in again.err
    assert "Architecture search: best accuracy " in again.out

    write_params(prepared, **{**QUICK, "tune.method": {"name": "random"}})
    assert pipeline(capsys, monkeypatch, "tune", "--trials", "1").code == 0
    assert not Path("tune/architectures.csv").exists()


def test_networks_beyond_the_size_limit_are_not_even_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    limits = {"small": {"metric": "model_megabytes", "min": None, "max": 0.005}}
    write_params(prepared, **{**QUICK, "evaluate.satisficing": limits})
    ended = pipeline(capsys, monkeypatch, "tune", "--trials", "2")
    assert ended.code == 0, ended.err
    assert "left out 2 of the space's combinations: its weights are larger than 0.005 MB" in ended.err
    tried = pd.read_csv("tune/architectures.csv")
    assert len(tried) == 6
    assert tried.loc[tried["train.model.kernels"].isin(["[1, 3]", "[3, 3]"]), "train.model.width"].tolist() == [4, 4]
    assert "planned trials have not run, so the two are not compared" in ended.out


def test_networks_beyond_the_limit_on_time_are_not_fitted_as_candidates(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    """A stand-in for the clock: networks of width 8 are slow."""

    def milliseconds(model: TrainedModel, threads: int) -> float:
        assert isinstance(model.params, BlockCnn)
        assert model.network(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).shape == (1, 3)
        return float(model.params.width)

    for module in (architecture, trial):
        monkeypatch.setattr(module, "p95_milliseconds", milliseconds)
    limits = {"fast": {"metric": "latency_p95_ms", "min": None, "max": 5.0}}
    write_params(prepared, **{**QUICK, "evaluate.satisficing": limits})
    ended = pipeline(capsys, monkeypatch, "tune", "--trials", "2")
    assert ended.code == 0, ended.err
    tried = pd.read_csv("tune/architectures.csv")
    chosen = tried["fitted_by"].fillna("").str.contains("search")
    assert tried.loc[chosen, "train.model.width"].tolist() == [4, 4]
    slow = (tried["train.model.width"] == 8) & (tried["rank"] < tried.loc[chosen, "rank"].max())
    assert (f"left out {slow.sum()} of the best networks" in ended.err) == (slow.sum() > 0)
    assert "breaks fast" not in ended.err


def test_a_space_of_other_params_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    space = {"train.label_smoothing": {"name": "linear", "low": 0.0, "high": 0.2}}
    write_params(prepared, **{**QUICK, "tune.space": space})
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 3
    assert "train.label_smoothing cannot vary with the method architecture" in ended.err
    assert "has the range linear" in ended.err
