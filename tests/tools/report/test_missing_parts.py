"""What the page says where parts of a run are missing, damaged, or of another run."""

import shutil
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import ParamsError, StorageError
from pipeline.project.params_file import load_params
from pipeline.store.writing import write_files
from pipeline.tools.report.report import write_report
from tests.examples import full_disk
from tests.running import run, write_params
from tests.tools.report.written_pages import PAGE, notes, page, write_diagnosis


def test_a_report_that_was_edited_is_said(folder: Path) -> None:
    path = Path(catalogue.DIAGNOSIS.path)
    path.write_text(path.read_text() + " ")
    assert any(note.startswith(f"{path} is damaged, edited or of another run") for note in notes())


def test_without_any_run_each_section_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    found = notes()
    for stage in ("curate", "split", "balance", "train", "evaluate", "label_issues", "diagnose", "previews"):
        assert any(f"run dvc repro {stage}" in note for note in found), stage
    assert "None yet." in page().text


def test_a_stage_that_is_missing_leaves_the_rest(folder: Path) -> None:
    shutil.rmtree(Path(catalogue.LABEL_ISSUES.path).parent)
    assert [note for note in notes() if "label_issues" in note] == [
        "reports/label_issues/metrics.json is missing: run dvc repro label_issues"
    ]
    assert "Misclassified" in page().text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "this result cannot be shown (KeyError: 'sentence'): run dvc repro"),
        ("[]", "this result cannot be shown (TypeError:"),
        ("{", "reports/diagnose/diagnosis.json is not readable JSON"),
    ],
)
def test_a_report_that_is_damaged_or_of_another_version_is_said(folder: Path, content: str, message: str) -> None:
    write_diagnosis(content)
    assert any(note.startswith(message) for note in notes())


def test_an_evaluation_of_another_model_is_named(folder: Path) -> None:
    Path(catalogue.MODEL.path).unlink()
    write_files({Path(catalogue.MODEL.path): b"another"})
    assert "evaluate measured another model than data/train/model.safetensors" in page().text


def test_another_metric_in_params_is_named(folder: Path) -> None:
    assert "less is better" not in page().text
    write_params(folder, **{"evaluate.optimizing": "log_loss"})
    assert "params.yaml names a metric or limits that the last evaluation did not measure" in page().text
    assert "log_loss, the optimizing metric: less is better" in page().text


def test_a_folder_is_refused_and_a_full_disk_leaves_the_older_page(folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"--output data is a folder: name a file, such as data/index\.html"):
        write_report(load_params(), Path("data"))
    page()
    before = PAGE.read_bytes()
    with full_disk(1000), pytest.raises(StorageError):
        write_report(load_params(), PAGE)
    assert PAGE.read_bytes() == before
    assert sorted(path.name for path in PAGE.parent.iterdir()) == ["index.html"]
