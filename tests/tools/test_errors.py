"""`pipeline errors`: from predictions to a sheet and a table, and from the table that people filled in to a ranking."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.sheets.drawing import Sheet
from pipeline.store.reading import digest_of
from pipeline.store.spreadsheets import read_spreadsheet, spreadsheet_bytes
from pipeline.store.writing import partial_path, put_in_place
from tests.examples import full_disk
from tests.running import Ended, pipeline_alone, write_params
from tests.stored import CLASSES, IMAGES, predicted, stored

Errors = Callable[..., Ended]
# Every fourth image is called the next class.
WRONG = range(0, 20, 4)


@pytest.fixture
def errors(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Errors:
    """The command in a folder in which evaluate ran."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    Path(catalogue.SPLIT.path).parent.mkdir(parents=True)
    Path(catalogue.PREDICTIONS.path).parent.mkdir(parents=True)
    shards = Path(catalogue.INGEST_SHARDS.format(name="web"))
    shards.mkdir(parents=True)
    manifest = stored(shards, IMAGES)
    catalogue.SPLIT.write(manifest, Path(catalogue.SPLIT.path))
    called = [CLASSES[(number + (number in WRONG)) % 3] for number in range(len(manifest))]
    catalogue.PREDICTIONS.write(predicted(manifest, called), Path(catalogue.PREDICTIONS.path))
    return lambda *arguments: pipeline_alone(capsys, monkeypatch, "errors", *arguments)


def fill(texts: dict[int, str], column: str = "tags") -> None:
    """The table with some cells filled in."""
    columns = {name: list(cells) for name, cells in read("errors.csv").items()}
    for row, text in texts.items():
        columns[column][row] = text
    Path("errors.csv").write_bytes(spreadsheet_bytes(columns))


def read(path: str) -> dict[str, list[str]]:
    return {name: list(cells) for name, cells in read_spreadsheet(Path(path).read_bytes(), path, "id").columns.items()}


def test_sheet_and_table_show_the_same_errors_in_the_same_order(errors: Errors, drawn: list[Sheet]) -> None:
    ended = errors()
    assert ended.out == (
        "errors.png, errors.csv: 5 of 20 images of dev are misclassified, the most confident first. Check them, "
        "fill in 'tags' with commas between tags, and run `pipeline errors --tags errors.csv`\n"
    )
    table = read("errors.csv")
    assert table["id"] == [f"web/{number:04}.png" for number in reversed(WRONG)]
    assert list(table) == ["number", "id", "label", "predicted", "confidence", "tags"]
    captions = [cell.captions for cell in drawn[0].sections[0].strips[0].cells]
    assert captions == [
        (f"{number}: {label}", f"called {called}", f"confidence {float(sure):.2f}")
        for number, label, called, sure in zip(
            *(table[name] for name in list(table)[0:1] + list(table)[2:5]), strict=True
        )
    ]
    shown = [cell.pixels.tolist() for cell in drawn[0].sections[0].strips[0].cells]
    assert shown == [IMAGES[number].tolist() for number in reversed(WRONG)]


def test_tags_go_out_and_come_back_ranked(errors: Errors) -> None:
    errors()
    fill({0: "dark", 1: "dark, cut", 2: "cut", 3: "dark"})
    printed = errors("--tags", "errors.csv").out
    assert [line.split()[1] for line in printed.splitlines() if "│" in line] == ["dark", "cut"]
    assert "5 of 20 images are misclassified; 4 of them tagged." in printed
    assert "1 without a tag: gains can only grow as you tag them." in printed
    report = json.loads(errors("--tags", "errors.csv", "--json").out)
    assert report["gains"][0]["gain"] == pytest.approx(3 / 20)
    assert report["metric"] == "accuracy"


def test_a_column_for_each_tag(errors: Errors) -> None:
    errors("--column", "Dark", "--column", "=cut")
    assert list(read("errors.csv"))[5:] == ["dark", "=cut"]
    fill({0: "x", 2: "X"}, column="=cut")
    assert json.loads(errors("--tags", "errors.csv", "--json").out)["gains"][0]["tag"] == "=cut"


def test_a_table_with_tags_is_not_written_over(errors: Errors) -> None:
    errors()
    assert errors().code == 0
    fill({0: "dark"})
    before = Path("errors.csv").read_bytes()
    ended = errors()
    assert ended.code == 3
    assert ended.err.startswith("error: errors.csv exists and has tags (column tags): give --csv another name")
    assert errors("--csv", "params.yaml").err.startswith("error: params.yaml exists and is not a table of errors")
    assert Path("errors.csv").read_bytes() == before


def test_a_full_disk_leaves_no_half_files(errors: Errors) -> None:
    with full_disk(500):
        assert errors().code == 6
    assert not list(Path().glob("*errors*"))


def test_nothing_misclassified_is_no_error(errors: Errors) -> None:
    predictions = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    path = Path(catalogue.PREDICTIONS.path)
    catalogue.PREDICTIONS.write(predictions.assign(predicted=predictions["label"]), partial_path(path))
    put_in_place(partial_path(path), path)
    assert errors().out == "dev has no misclassified images: nothing to write\n"
    assert not Path("errors.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--split", "test"],
            3,
            "no such split 'test': choose one of train, train_dev, dev; errors on the test set are never",
        ),
        (["--split", "train"], 5, "no predictions of train: run `dvc repro evaluate`"),
        (
            ["--column", "a", "--column", " A", "--column", "id"],
            3,
            "--column 'a', ' A', 'id': each column needs a unique",
        ),
        (["--csv", "x.png", "--sheet", "x.png"], 3, "--csv and --sheet both name x.png"),
        (["--tags", "nix.csv"], 4, "nix.csv is missing or not a file: `pipeline errors --csv nix.csv` writes it"),
        (["--tags", "."], 4, ". is missing or not a file"),
    ],
)
def test_bad_options_are_named(errors: Errors, arguments: list[str], code: int, message: str) -> None:
    ended = errors(*arguments)
    assert (ended.code, ended.err[: 7 + len(message)]) == (code, f"error: {message}")


def test_a_table_without_tags_says_what_to_do(errors: Errors) -> None:
    errors()
    assert errors("--tags", "errors.csv").err.startswith("error: errors.csv has no tags yet: fill in 'tags'")


def test_errors_of_another_model_are_not_shown(errors: Errors) -> None:
    model = Path(catalogue.MODEL.path)
    model.parent.mkdir(parents=True)
    model.write_bytes(b"new")
    Path(catalogue.VERDICT.path).parent.mkdir(parents=True, exist_ok=True)
    verdict = {"model": digest_of(b"old"), "accepted": True, "broken": []}
    catalogue.VERDICT.write(verdict, Path(catalogue.VERDICT.path))
    for arguments in ((), ("--tags", "errors.csv")):
        ended = errors(*arguments)
        assert ended.code == DataError.exit_code
        assert "is of another model than data/train/model.safetensors" in ended.err
        assert "run `dvc repro evaluate`" in ended.err
    assert not Path("errors.csv").exists()
    catalogue.VERDICT.write({**verdict, "model": digest_of(b"new")}, Path(catalogue.VERDICT.path))
    assert errors().code == 0
