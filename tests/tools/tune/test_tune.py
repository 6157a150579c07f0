"""The command tune: limits hold for the winner, a killed search loses and doubles nothing, and what is refused."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.project.params_file import check_params, load_params
from pipeline.tools.training_data import balanced_rows
from pipeline.tools.tune.space import settings
from pipeline.tools.tune.study import Budget
from pipeline.tools.tune.tables import figures_of_search
from pipeline.tools.tune.tune import Search
from pipeline.yaml_values import yaml_values
from tests.running import pipeline, pipeline_alone, run_in, run_stages, write_params
from tests.warm import Warm

SPACE = {
    "train.learning_rate": {"name": "log", "low": 0.0001, "high": 0.1},
    "train.model.width": {"name": "int", "low": 4, "high": 12, "step": 4},
}
QUICK = {
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.patience": None,
    "augment.copies.count": 0,
    "tune.space": SPACE,
    "tune.prune": False,
    "evaluate.satisficing": {},
}
# The command, which kills itself when it writes its third file of predictions.
KILLED = """
import os, signal, sys
from pipeline import cli
from pipeline.tools.tune import study
write, done = study.write_bytes, []
def write_or_die(data, path):
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(path)
    write(data, path)
study.write_bytes = write_or_die
sys.argv = ["pipeline", "tune", "--trials", "5"]
cli.main()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage before train ran."""
    return run_in(tmp_path_factory.mktemp("tune"), "ingest", "curate", "split", "balance", "augment", **QUICK)


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    write_params(prepared, **QUICK)


def test_a_killed_search_goes_on_to_the_same_trials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path, warm: Warm
) -> None:
    shutil.rmtree(catalogue.TUNE, ignore_errors=True)
    whole = pipeline(capsys, monkeypatch, "tune", "--trials", "5")
    assert whole.code == 0, whole.err
    assert "today's params: accuracy" in whole.err
    assert "trial 4: accuracy" in whole.err
    undisturbed = pd.read_csv("tune/trials.csv")
    assert undisturbed["state"].tolist() == ["complete"] * 5
    assert undisturbed["train.learning_rate"].nunique() > 1
    assert undisturbed["train.model.width"].isin([4, 8, 12]).all()

    shutil.rmtree(catalogue.TUNE)
    killed = warm.run(prepared, KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = pipeline(capsys, monkeypatch, "tune", "--trials", "5")
    assert again.code == 0
    assert "today's params" not in again.err
    resumed = pd.read_csv("tune/trials.csv")
    assert resumed["state"].tolist() == ["complete"] * 5
    # The trial that was cut off is run again with its values, and counts once.
    places = ["train.learning_rate", "train.model.width"]
    assert resumed[places].iloc[:3].equals(undisturbed[places].iloc[:3])
    assert resumed["value"].iloc[:3].tolist() == undisturbed["value"].iloc[:3].tolist()

    more = pipeline(capsys, monkeypatch, "tune", "--trials", "6")
    assert more.err.count("trial ") - more.err.count(", trial ") == 1


def test_the_winner_holds_all_limits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    limits = {"small": {"metric": "model_megabytes", "min": None, "max": 0.012}}
    grid = {"name": "grid", "points": 3}
    space = {"train.model.width": SPACE["train.model.width"]}
    changes = {"evaluate.satisficing": limits, "tune.method": grid, "tune.space": space, "train.model.width": 12}
    write_params(prepared, **{**QUICK, **changes})
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 0, ended.err
    trials = pd.read_csv("tune/trials.csv", keep_default_na=False)
    assert sorted(trials["train.model.width"]) == [4, 8, 12]
    assert trials.loc[trials["train.model.width"] == 12, "broken"].tolist() == ["small"]
    assert "-S train.model.width=4" in ended.out or "-S train.model.width=8" in ended.out
    impossible = {"small": {"metric": "model_megabytes", "min": None, "max": 0.0001}}
    write_params(prepared, **{**QUICK, **changes, "evaluate.satisficing": impossible})
    assert "No trial holds all limits" in pipeline(capsys, monkeypatch, "tune").out


def test_values_that_training_cannot_bear_end_a_trial_and_not_the_search(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    space = {"train.batch_size": {"name": "choice", "values": [8, 100000]}}
    write_params(prepared, **{**QUICK, "tune.space": space, "tune.method": {"name": "grid", "points": 2}})
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 0, ended.err
    assert pd.read_csv("tune/trials.csv").set_index("train.batch_size")["state"].to_dict() == {
        8: "complete",
        100000: "fail",
    }
    assert "failed: " in ended.err


def test_what_does_not_fit_is_said_before_anything_is_fitted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    wrong = {
        "train.learning_rate": {"name": "linear", "low": 0.1, "high": 99.0},
        "train.rate": {"name": "linear", "low": 0.1, "high": 0.2},
        "augment.transforms": {"name": "choice", "values": [["light"], ["digits"]]},
    }
    write_params(prepared, **{**QUICK, "tune.space": wrong})
    ended = pipeline(capsys, monkeypatch, "tune", "--trials", "3")
    assert ended.code == 3
    assert "train.learning_rate: input should be less than or equal to 10, got 99.0" in ended.err
    assert "params.yaml has no train.rate" in ended.err
    assert "set augment.mode to online" in ended.err
    write_params(prepared, **QUICK)
    assert "give --trials, --minutes, or both" in pipeline(capsys, monkeypatch, "tune").err


def test_a_search_of_other_params_is_another_search(prepared: Path) -> None:
    first = Search(yaml_values(Path("params.yaml").read_text())).folder
    write_params(prepared, **{**QUICK, "train.epochs": 3})
    assert Search(yaml_values(Path("params.yaml").read_text())).folder != first
    assert load_params().train.epochs == 3


def test_a_choice_of_another_optimizer_drops_what_the_old_one_had() -> None:
    before = {"train": {"optimizer": {"name": "adamw", "beta1": 0.9, "weight_decay": 0.1}, "epochs": 3}}
    changes = {"train.optimizer": {"name": "sgd", "momentum": 0.9}, "train.epochs": 4}
    flat = settings(before, changes)
    assert list(flat) == [
        "train.optimizer.beta1",
        "train.optimizer.weight_decay",
        "train.optimizer.name",
        "train.optimizer.momentum",
        "train.epochs",
    ]


def test_rows_that_are_balanced_in_memory_are_those_of_the_stages(prepared: Path) -> None:
    without: dict[str, Any] = {**QUICK, "augment.transforms": []}
    changes = {"balance.strategy": {"name": "oversample", "target": {"name": "count", "rows": 30}}}
    write_params(prepared, **{**without, **changes})
    run_stages("balance", "augment")
    of_stages = catalogue.AUGMENTED.read(Path(catalogue.AUGMENTED.path))
    write_params(prepared, **without)
    run_stages("balance", "augment")
    before = catalogue.AUGMENTED.read(Path(catalogue.AUGMENTED.path))
    asked = check_params(yaml_values(Path("params.yaml").read_text()) | {"balance": load_balance(changes)})
    columns = ["id", "label", "copy", "weight", "shard", "row"]
    in_memory = balanced_rows(asked)[columns].astype(str)
    pd.testing.assert_frame_equal(in_memory, of_stages[columns].astype(str))
    assert len(of_stages) != len(before)


def load_balance(changes: dict[str, Any]) -> dict[str, Any]:
    """The section with these changes."""
    values: dict[str, Any] = yaml_values(Path("params.yaml").read_text())["balance"]
    return {**values, "strategy": changes["balance.strategy"]}


def test_balance_varies_where_no_variant_was_made_beforehand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    space = {"balance.production_weight": {"name": "choice", "values": [1.0, 4.0]}}
    grid: dict[str, Any] = {
        **QUICK,
        "tune.space": space,
        "tune.method": {"name": "grid", "points": 2},
        "train.epochs": 1,
    }
    grid["augment.transforms"] = []
    write_params(prepared, **grid)
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 0, ended.err
    trials = pd.read_csv("tune/trials.csv")
    assert sorted(trials["balance.production_weight"]) == [1.0, 4.0]
    # What the page and DVC show of it.
    assert set(pd.read_csv("tune/history.csv")) == {"trial", "value", "best"}
    assert Path("tune/parallel_coordinates.png").read_bytes().startswith(b"\x89PNG")
    assert yaml_values(Path("tune/dvc.yaml").read_text())["plots"][1].keys() == {"importances.csv"}
    assert next(iter(figures_of_search("accuracy", maximise=True))) == "Trials, and the best so far"
    variants = {"augment.transforms": [{"preset": "light"}], "augment.copies.count": 1}
    write_params(prepared, **{**grid, **variants})
    ended = pipeline(capsys, monkeypatch, "tune")
    assert ended.code == 3
    assert (
        "tune.space.balance.production_weight: variants are stored before training, for the rows of the last run"
        in ended.err
    )
    write_params(prepared, **{**grid, "augment.match_production": True})
    assert "set augment.match_production to false" in pipeline(capsys, monkeypatch, "tune").err


def test_a_flipped_bit_in_what_a_trial_predicted_is_never_used(prepared: Path) -> None:
    search = Search(yaml_values((prepared / "params.yaml").read_text()))
    study = search.study()
    study.begin([])
    search.run(study, Budget(1, None), lambda line: None)
    [trial] = study.trials()
    assert study.predictions(trial).shape[0] == len(search.data.dev_rows)
    [place] = search.folder.glob("*.predictions")
    whole = place.read_bytes()
    for byte in range(0, len(whole), 7):
        place.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << byte % 8]) + whole[byte + 1 :])
        with pytest.raises(DataError, match=r"is damaged: remove .* and run `pipeline tune` again"):
            study.predictions(trial)
    place.write_bytes(whole)


@pytest.mark.parametrize(("text", "code"), [(None, 4), ("[1", 3), ("- 1", 3), ("", 3), (b"\xff", 3)], ids=str)
def test_params_that_cannot_be_read_are_a_message(
    text: str | bytes | None,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = pipeline_alone(capsys, monkeypatch, "tune", "--trials", "1")
    assert (ended.code, ended.err.startswith("error: params.yaml ")) == (code, True)
