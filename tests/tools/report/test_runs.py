"""What dvc.lock says is not of one run."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.store.writing import write_files
from pipeline.tools.report.runs import of_other_runs
from tests.running import write_params


def md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stages of a dvc.lock that agrees with what lies there."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    write_files({Path("model"): b"model", Path("metrics.json"): b"{}"})
    return {
        "train": {
            "outs": [{"path": "model", "md5": md5("model")}],
            "params": {"params.yaml": {"train.epochs": 3, "ingest.size": 16}},
        },
        "evaluate": {
            "deps": [{"path": "model", "md5": md5("model")}, {"path": "pipeline/x.py", "md5": "0"}],
            "outs": [{"path": "metrics.json", "md5": md5("{}")}, {"path": "gone.csv", "md5": "1"}],
        },
    }


def remarks(stages: dict[str, Any]) -> list[str]:
    with Path("dvc.lock").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({"schema": "2.0", "stages": stages}, file)
    return of_other_runs()


def test_what_agrees_is_of_one_run(lock: dict[str, Any]) -> None:
    assert remarks(lock) == []


def test_a_stage_that_its_maker_overtook_is_named(lock: dict[str, Any]) -> None:
    lock["evaluate"]["deps"][0]["md5"] = md5("older")
    assert remarks(lock) == ["evaluate: train has run again since"]


def test_a_stage_that_is_no_more_is_not_asked(lock: dict[str, Any]) -> None:
    lock["suspects"] = {"deps": [{"path": "model", "md5": "0"}], "outs": []}
    assert remarks(lock) == []


def test_params_that_changed_are_named(lock: dict[str, Any]) -> None:
    lock["train"]["params"]["params.yaml"] |= {"train.epochs": 4, "train.gone": 1}
    assert remarks(lock) == ["train: params.yaml has changed since (train.epochs, train.gone)"]


def test_files_that_dvc_did_not_write_are_named(lock: dict[str, Any]) -> None:
    Path("metrics.json").write_text("{ }")
    assert remarks(lock) == ["evaluate: metrics.json was made without DVC since, or edited"]


@pytest.mark.parametrize("content", [None, "stages: [", "[]", "stages: 1", "\udcff"])
def test_a_lock_that_is_missing_or_damaged_is_said(lock: dict[str, Any], content: str | None) -> None:
    if content is not None:
        Path("dvc.lock").write_bytes(content.encode(errors="surrogateescape"))
    (remark,) = of_other_runs()
    assert "it is unknown whether all results are of one run" in remark
