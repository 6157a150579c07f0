"""`pipeline errors --tags` reads what a spreadsheet program made of the table: one wrote tests/store/spreadsheets/."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline import catalogue
from tests.examples import REPOSITORY
from tests.running import pipeline_alone, write_params

SAVED = REPOSITORY / "tests/store/spreadsheets"
# What such programs take for formulas, numbers, dates and truth.
TABLE = pd.DataFrame(
    {
        "id": [
            "phone/Äpfel/1, a.jpg", "phone/007/2;b.jpg", "phone/=SUM(1)/3.jpg", 'phone/he said "x"/4.jpg',
            "phone/1-2/5.jpg", "=1+1.jpg", "phone/3e5/7.jpg",
        ],
        "label": ["Äpfel", "007", "=SUM(1)", 'he said "x"', "2021-05-01", "1.50", "3e5"],
        "predicted": ["007", "1-2", "Äpfel", "1.50", "true", "007", "1/2"],
        "confidence": [0.99995, 0.9876, 0.75, 0.5, 0.4321, 0.4, 0.3],
    }
)  # fmt: skip
TAGS = ["Unschärfe", "dark, cut off", "", "dark;Unschärfe", "=what", "-", "cut off"]


@pytest.fixture(autouse=True)
def _evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which a model erred as TABLE says."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    classes = sorted({*TABLE["label"], *TABLE["predicted"]})
    shares = {f"probability_{name}": (TABLE["predicted"] == name) * 1.0 for name in classes}
    predictions = TABLE.assign(group=TABLE["id"], split="dev", **shares)
    Path(catalogue.PREDICTIONS.path).parent.mkdir(parents=True)
    catalogue.PREDICTIONS.write(predictions, Path(catalogue.PREDICTIONS.path))


@pytest.mark.parametrize("name", sorted(path.name for path in SAVED.glob("*.csv")))
def test_what_a_program_saved_is_read_as_it_was_meant(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline_alone(capsys, monkeypatch, "errors", "--tags", str(SAVED / name), "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    images = {gain["tag"]: gain["images"] for gain in found["gains"]}
    assert images == {"unschärfe": 2, "dark": 2, "cut off": 2, "=what": 1}
    assert (found["errors"], found["tagged"]) == (7, 5)
    assert ("Windows-1252" in ended.err) == ("1252" in name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"PK\x03\x04\x14\x00",
            "errors.csv is a workbook (.xlsx or .ods), not a CSV file: open it, save the sheet as CSV",
        ),
        (
            bytes.fromhex("d0cf11e0a1b1"),
            "errors.csv is a workbook (.xls), not a CSV file: open it, save the sheet as CSV",
        ),
        (b'<?xml version="1.0"?>\n<office:document>', "errors.csv is XML or HTML, not CSV: open it, save the sheet as"),
        (b"<!DOCTYPE html>\n<html>", "errors.csv is XML or HTML, not CSV: open it, save the sheet as CSV"),
    ],
)
def test_what_is_no_csv_says_how_to_save_it(
    data: bytes, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("errors.csv").write_bytes(data)
    ended = pipeline_alone(capsys, monkeypatch, "errors", "--tags", "errors.csv")
    assert ended.code == 5
    assert ended.err.startswith(f"error: {message}")
    assert ended.err.endswith("and give that file (Excel: CSV UTF-8; LibreOffice: Text CSV)\n")
