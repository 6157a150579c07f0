"""A result counts if its lock says that evaluate read this train's model, this split and these params."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.store.dvc_lock import stages_in
from pipeline.store.reading import digest_of
from pipeline.store.writing import write_files
from pipeline.tools.lineage import UNKNOWN, of_workspace, other_run

PARAMS = {"split": {"seed": 1}, "train": {"epochs": 3}, "evaluate": {"bootstrap": 100}, "label_issues": {"folds": 5}}


def entry(deps: dict[str, str], outs: dict[str, str], **params: Any) -> dict[str, Any]:
    def listed(hashes: dict[str, str]) -> list[dict[str, str]]:
        return [{"path": path, "hash": "md5", "md5": md5} for path, md5 in hashes.items()]

    return {"deps": listed(deps), "outs": listed(outs), "params": {"params.yaml": params}}


@pytest.fixture
def lock() -> dict[str, Any]:
    """The stages of a whole run."""
    folder = {"data/ingest": "i"}
    return {
        "ingest@web": entry({}, {"data/ingest/web/manifest.arrow": "w"}),
        "curate": entry(folder, {"data/curate/manifest.arrow": "c"}),
        "split": entry({"data/curate/manifest.arrow": "c"}, {"data/split/manifest.arrow": "s"}, split={"seed": 1}),
        "balance": entry(folder | {"data/split/manifest.arrow": "s"}, {"data/balance/manifest.arrow": "b"}),
        "train": entry(
            folder | {"data/balance/manifest.arrow": "b", "pipeline/x.py": "0"},
            {catalogue.MODEL.path: "m"},
            train={"epochs": 3},
        ),
        "evaluate": entry(
            folder | {catalogue.MODEL.path: "m", "data/split/manifest.arrow": "s", "pipeline/x.py": "1"},
            {catalogue.PREDICTIONS.path: "p"},
            evaluate={"bootstrap": 100},
        ),
        "label_issues": entry(
            {catalogue.PREDICTIONS.path: "p"}, {"reports/label_issues": "d"}, label_issues={"folds": 5}
        ),
    }


def lock_text(stages: dict[str, Any]) -> str:
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump({"schema": "2.0", "stages": stages}, text)
    return text.getvalue()


def reason(stages: dict[str, Any], params: Any = None) -> str:
    return other_run(stages_in(lock_text(stages)), PARAMS if params is None else params)


def made_anew(stages: dict[str, Any], stage: str, number: int = 0) -> None:
    """As if the stage had run again with another result, and nothing after it."""
    stages[stage]["outs"][number]["md5"] += "2"


def test_a_whole_run_is_one(lock: dict[str, Any]) -> None:
    assert reason(lock) == ""


def test_predictions_of_another_model_are_told(lock: dict[str, Any]) -> None:
    made_anew(lock, "train")
    assert reason(lock) == "its predictions are of another model: `evaluate` did not run after `train`"


def test_predictions_of_another_split_are_told(lock: dict[str, Any]) -> None:
    made_anew(lock, "split")
    assert "of another split: `balance` did not run after `split`" in reason(lock)
    # Even if evaluate alone has read the new one, because train has not.
    lock["evaluate"]["deps"][2]["md5"] = "s2"
    assert "of another split: `balance` did not run after `split`" in reason(lock)


@pytest.mark.parametrize("stage", ["curate", "balance"])
def test_data_that_were_made_anew_on_the_way_are_told(lock: dict[str, Any], stage: str) -> None:
    made_anew(lock, stage)
    assert f"of other data: `{'split' if stage == 'curate' else 'train'}` did not run after `{stage}`" in reason(lock)


def test_a_folder_above_many_outs_is_the_same_for_all_that_read_it(lock: dict[str, Any]) -> None:
    lock["evaluate"]["deps"][0]["md5"] = "i2"
    assert reason(lock).endswith("read different content of data/ingest")


def test_params_that_no_stage_ran_with_are_told(lock: dict[str, Any]) -> None:
    changed = copy.deepcopy(PARAMS) | {"train": {"epochs": 4}}
    assert reason(lock, changed) == "its predictions are of other params: params.yaml has changed since (train)"
    assert reason(lock, {}) != ""


def test_what_shapes_no_prediction_is_no_matter(lock: dict[str, Any]) -> None:
    made_anew(lock, "label_issues")
    lock["label_issues"]["deps"][0]["md5"] = "p0"
    # Limits and resamples: all results are measured anew by what is wanted now.
    assert reason(lock, PARAMS | {"evaluate": {"bootstrap": 200}, "label_issues": {"folds": 2}, "new": 1}) == ""


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_lock_that_does_not_say_is_no_proof(lock: dict[str, Any], stage: str) -> None:
    del lock[stage]
    assert reason(lock) == UNKNOWN


@pytest.mark.parametrize("text", ["", "stages:", "stages: [1]", "[" * 3000, "stages: {train: 1}", "a: &a [*a]"])
def test_a_damaged_lock_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it names no stages"):
        stages_in(text)


@pytest.mark.parametrize("text", ["stages: {train: {deps: 1}}", "stages: {train: {params: 3, outs: [x]}}"])
def test_what_is_odd_in_a_lock_says_nothing(text: str) -> None:
    assert other_run(stages_in(text), PARAMS) == UNKNOWN


def test_the_workspace_is_held_against_its_lock_and_its_model(
    lock: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(PARAMS, file)
    verdict = {"model": digest_of(b"model"), "accepted": True, "broken": []}
    write_files({Path(catalogue.MODEL.path): b"model"})
    Path(catalogue.VERDICT.path).parent.mkdir(parents=True, exist_ok=True)
    catalogue.VERDICT.write(verdict, Path(catalogue.VERDICT.path))
    assert of_workspace() == ""
    Path("dvc.lock").write_text(lock_text(lock))
    assert of_workspace() == ""
    # Stages may run without DVC, whose lock then knows nothing of it.
    Path(catalogue.MODEL.path).write_bytes(b"other")
    assert of_workspace() == "its predictions are of another model"
    made_anew(lock, "train")
    Path("dvc.lock").write_text(lock_text(lock))
    assert "`evaluate` did not run after `train`" in of_workspace()
    Path("dvc.lock").write_text("stages: [")
    assert of_workspace() == UNKNOWN
