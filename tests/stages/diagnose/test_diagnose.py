"""diagnose and final_diagnosis in a folder where all stages ran: what they read and write, and what they refuse."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.workers.engine import Engine
from tests.running import write_params


@pytest.fixture
def folder(whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, entered."""
    copy = tmp_path / "copy"
    shutil.copytree(whole_run, copy)
    monkeypatch.chdir(copy)
    return copy


def diagnosed(stage: str = "diagnose") -> dict[str, object]:
    run_stage(stage, load_params(), Engine(1))
    found: dict[str, object] = json.loads(Path(f"reports/{stage}/diagnosis.json").read_text())
    return found


def levels_in(found: dict[str, object]) -> dict[str, dict[str, float]]:
    levels = found["levels"]
    assert isinstance(levels, list)
    return {level["name"]: level for level in levels}


def test_errors_are_those_of_evaluate_and_only_the_final_one_knows_test(folder: Path) -> None:
    first, last = diagnosed(), diagnosed("final_diagnosis")
    metrics = json.loads(Path(catalogue.EVALUATE_METRICS.path).read_text())
    for split in ("train", "train_dev", "dev"):
        assert levels_in(first)[split]["error"] == pytest.approx(1 - metrics[split]["accuracy"])
    looked = json.loads(Path(catalogue.TEST_METRICS.path).read_text())
    assert levels_in(last)["test"]["error"] == pytest.approx(1 - looked["test"]["accuracy"])
    assert "test" not in levels_in(first)
    assert str(first["sentence"]) in Path(catalogue.DIAGNOSIS_TEXT.path).read_text()


def test_the_same_files_give_the_same_bytes(folder: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(Path("reports").glob("[dc]*/*")) if path.is_file()}
    diagnosed()
    diagnosed("final_diagnosis")
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(before) >= 6


def test_tables_of_people_are_read_as_a_spreadsheet_program_saves_them(folder: Path) -> None:
    dev = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path)).query("split == 'dev'")
    Path("feedback").mkdir()
    rows = "".join(f"{image};{label}\r\n" for image, label in zip(dev["id"], dev["label"], strict=True))
    Path("feedback/answers.csv").write_bytes(b"\xef\xbb\xbf" + f"Image;Answer\r\n{rows}".encode())
    Path("feedback/outcomes.csv").write_text("image,predicted,actual\n1,a,b\n2,b,b\n")
    write_params(folder, **{"diagnose.human_error": "measured"})
    found = levels_in(diagnosed())
    assert (found["human"]["error"], found["human"]["images"]) == (0.0, len(dev))
    assert (found["production"]["error"], found["production"]["images"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "outcome.csv",
            "",
            r"^feedback holds outcome\.csv, .*: rename outcome\.csv to outcomes\.csv, or move it away$",
        ),
        (
            "x.xlsx",
            "",
            r"^feedback holds x\.xlsx, and the diagnosis reads only answers\.csv and outcomes\.csv: move it away$",
        ),
        (
            "outcomes.csv",
            "image,predicted,actual\n1,z,a\n",
            r"1 of 1 rows have a predicted class that the model does not have: row 2 \('z'\)",
        ),
        ("outcomes.csv", "id,predicted\n1,a\n", r"^feedback/outcomes\.csv"),
    ],
)
def test_a_table_that_cannot_be_used_changes_nothing(folder: Path, name: str, content: str, message: str) -> None:
    Path("feedback").mkdir()
    (Path("feedback") / name).write_text(content)
    before = Path(catalogue.DIAGNOSIS.path).read_bytes()
    with pytest.raises(DataError, match=message):
        diagnosed()
    assert Path(catalogue.DIAGNOSIS.path).read_bytes() == before


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (catalogue.CURVES.path, "reports/train is missing: run `dvc repro train`"),
        (
            catalogue.LABEL_ISSUES_METRICS.path,
            r"reports/label_issues/metrics\.json is missing: run `dvc repro label_issues`",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_command(folder: Path, gone: str, message: str) -> None:
    path = Path(gone)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(MissingInputError, match=message):
        diagnosed()


def test_predictions_of_another_split_are_refused(folder: Path) -> None:
    path = Path(catalogue.SPLIT.path)
    manifest = catalogue.SPLIT.read(path)
    path.unlink()
    catalogue.SPLIT.write(manifest.iloc[:-3], path)
    with pytest.raises(
        DataError, match=r"3 of \d+ predictions are of images that the manifest lacks .*: run `dvc repro evaluate`$"
    ):
        diagnosed()
