"""export: folders that other programs open, with the same images, classes and facts; test only when asked for."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.cli.images import DataFormatName
from pipeline.data import ImageDataset
from pipeline.data.formats.rows import MAX_NAME_BYTES, export_name, folder_names
from pipeline.data.formats.table import DATA_FORMATS
from pipeline.manifest import BALANCED, SPLIT
from pipeline.store.ledger import LedgerEntry
from pipeline.store.writing import alone
from tests.examples import with_columns
from tests.running import Ended, pipeline_alone, run, write_params
from tests.stored import CLASSES, IMAGES, SIZE, stored, with_copies
from tests.tools.exported import COUNTS, contents, expected, image_folder, pixels_of

Command = Callable[..., Ended]
FORMATS = list(DATA_FORMATS)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has been run up to augment, as the current folder; variants are made online."""
    monkeypatch.chdir(tmp_path)
    rows = stored(tmp_path / catalogue.ORIGINALS.path / "web/shards", IMAGES).assign(meta_light="süß")
    splits = ["train"] * 8 + ["dev"] * 5 + ["train_dev"] * 3 + ["test"] * 4
    rows = rows.assign(split=splits, group=[f"g{n}" for n in range(20)])
    train = with_copies(rows[rows["split"] == "train"], 2).assign(weight=np.linspace(0.5, 1.5, 24, dtype=np.float32))
    test = rows["split"] == "test"
    for artifact, frame, schema in (
        (catalogue.SPLIT, rows[~test], SPLIT),
        (catalogue.SPLIT_TEST, rows[test], SPLIT),
        (catalogue.AUGMENTED, train, BALANCED),
    ):
        Path(artifact.path).parent.mkdir(exist_ok=True)
        columns = with_columns(frame.drop(columns="meta_light"), schema)
        artifact.write(columns.assign(meta_light=frame["meta_light"]), Path(artifact.path))
    write_params(tmp_path, **{"augment.mode": "online", "final_evaluation.max_test_evaluations": 1})
    run(tmp_path, "git", "init", "-q")
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: pipeline_alone(capsys, monkeypatch, "export", *arguments)


def test_every_format_is_offered() -> None:
    assert [name.value for name in DataFormatName] == FORMATS


def test_an_imagefolder_has_the_images_in_their_classes(command: Command) -> None:
    ended = command("out", "--format", "imagefolder")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "out: imagefolder, 3 classes; train 24, train_dev 3, dev 5\n"
        "open it with torchvision.datasets.ImageFolder('out/train')\n"
        "note: augment.mode is online: variants are those of the first epoch\n"
    )
    table = pd.read_csv("out/metadata.csv", keep_default_na=False).set_index("file_name")
    for split, count in COUNTS.items():
        found = list(image_folder(Path("out") / split))
        assert len(found) == count
        facts: list[Any] = [table.loc[str(path.relative_to("out"))] for path, _ in found]
        assert sorted((str(f["id"]), int(f["copy"]), n) for f, (_, n) in zip(facts, found, strict=True)) == expected(
            split
        )
    assert sorted(entry.name for entry in Path("out").iterdir()) == [
        "README.md",
        "dev",
        "metadata.csv",
        "train",
        "train_dev",
    ]
    assert set(table["meta_light"]) == {"süß"}
    assert table["weight"].max() == pytest.approx(1.5)


def test_pictures_are_those_of_the_dataset(command: Command) -> None:
    command("out", "--format", "imagefolder")
    train = ImageDataset("train")
    by_row = pd.read_csv("out/metadata.csv").set_index(["split", "id", "copy"])["file_name"]
    for number, (image_id, copy) in enumerate(zip(train.ids, train.copies.tolist(), strict=True)):
        exported = pixels_of((Path("out") / by_row["train", image_id, copy]).read_bytes())
        np.testing.assert_array_equal(exported, train[number][0].permute(1, 2, 0).numpy())


# It leaves the closing of tar files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_the_tars(command: Command) -> None:
    webdataset = pytest.importorskip("webdataset")
    command("out", "--format", "webdataset")
    for split, count in COUNTS.items():
        samples = list(webdataset.WebDataset(f"out/{split}-000000.tar", shardshuffle=False).decode("rgb8"))
        assert len(samples) == count
        found = sorted((s["json"]["id"], s["json"]["copy"], s["cls"]) for s in samples)
        assert found == expected(split)
        assert samples[0]["png"].shape == (SIZE, SIZE, 3)
        in_order = [s["json"]["id"] for s in samples] == [image_id for image_id, _, _ in expected(split)]
        assert not in_order or count < 20


@pytest.mark.parametrize("format_name", FORMATS)
def test_each_file_is_of_one_split_alone(command: Command, format_name: str) -> None:
    command("out", "--format", format_name)
    config = YAML(typ="safe").load(Path("out/README.md").read_text(encoding="utf-8").split("---")[1])
    found = {each["split"]: set(Path("out").glob(f"{each['path']}/*")) | set(Path("out").glob(each["path"]))
             for each in config["configs"][0]["data_files"]}  # fmt: skip
    assert list(found) == list(COUNTS)
    assert all(any(path.is_file() for path in paths) for paths in found.values())
    assert not found["train_dev"] & (found["train"] | found["dev"])


def test_pandas_and_pyarrow_read_the_tables(command: Command) -> None:
    command("out", "--format", "parquet")
    for split in COUNTS:
        path = f"out/{split}-00000-of-00001.parquet"
        table = pd.read_parquet(path)
        assert sorted(zip(table["id"], table["copy"], table["class"], strict=True)) == expected(split)
        assert pixels_of(table["image"][0]["bytes"]).shape == (SIZE, SIZE, 3)
        features = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
        assert list(features) == pq.read_schema(path).names
        assert (features["image"], features["class"]["names"]) == ({"_type": "Image"}, list(CLASSES))


def test_croissant_describes_the_tables(command: Command) -> None:
    command("out", "--format", "croissant")
    about = json.loads(Path("out/croissant.json").read_text(encoding="utf-8"))
    assert {"@context", "@type", "name", "description", "conformsTo", "distribution", "recordSet"} <= set(about)
    assert about["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    files = {each["@id"]: each for each in about["distribution"]}
    assert {path.name for path in Path("out").iterdir()} - {"croissant.json", "README.md"} == set(files)
    for record in about["recordSet"][1:]:
        for field in record["field"]:
            file = field["source"]["fileObject"]["@id"]
            assert field["source"]["extract"]["column"] in pq.read_schema(f"out/{file}").names
    assert [row["classes/name"] for row in about["recordSet"][0]["data"]] == list(CLASSES)


def test_mlcroissant_reads_what_it_describes(command: Command) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    command("out", "--format", "croissant")
    records = list(mlcroissant.Dataset(jsonld="out/croissant.json").records("dev"))
    assert len(records) == COUNTS["dev"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_run_gives_the_same_bytes(command: Command, format_name: str) -> None:
    for folder in ("one", "other"):
        assert command(folder, "--format", format_name).code == 0
    assert contents(Path("one")) == contents(Path("other"))
    assert len(contents(Path("one"))) >= 3


@pytest.mark.parametrize("format_name", FORMATS)
def test_test_is_exported_only_when_asked_for_and_then_noted(command: Command, format_name: str) -> None:
    assert command("out", "--format", format_name).code == 0
    assert [name for name in contents(Path("out")) if name.startswith("test")] == []
    assert not Path(catalogue.LEDGER.path).exists()
    for folder in ("with", "again"):
        ended = command(folder, "--format", format_name, "--test")
        assert (ended.code, "1 test evaluation is in" in ended.err) == (0, True)
        assert "dev 5, test 4\n" in ended.out
        assert [name for name in contents(Path(folder)) if name.startswith("test")] != []
        ledger: list[LedgerEntry] = catalogue.LEDGER.read(Path(catalogue.LEDGER.path))
        assert [entry.metric for entry in ledger] == ["export"]


def test_an_export_past_the_limit_of_test_evaluations_is_refused(command: Command, project: Path) -> None:
    entry = LedgerEntry("2026-01-01T00:00:00Z", "m", "p", "t", "accuracy", 0.9, 0.8, 1.0, True, "")
    Path(catalogue.LEDGER.path).parent.mkdir(parents=True)
    catalogue.LEDGER.write([entry], Path(catalogue.LEDGER.path))
    ended = command("out", "--format", "parquet", "--test")
    assert ended.code == 10
    assert "the test set was already evaluated with 1 models" in ended.err
    assert not Path("out").exists()


@pytest.mark.parametrize("what", ["folder", "file", "link", "own"])
def test_what_is_there_is_never_touched(command: Command, what: str) -> None:
    target = Path("data/out") if what == "own" else Path("out")
    if what == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    elif what == "file":
        target.write_text("mine")
    elif what == "link":
        target.symlink_to("nowhere")
    before = sorted(Path().rglob("*"))
    ended = command(str(target), "--format", "imagefolder")
    assert ended.code == 3
    assert ("is the pipeline's own" if what == "own" else "out already exists: name a new folder") in ended.err
    assert sorted(Path().rglob("*")) == before


def test_an_empty_folder_is_filled(command: Command) -> None:
    Path("out").mkdir()
    assert command("out", "--format", "parquet").code == 0
    assert len(contents(Path("out"))) == 4


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_damaged_shard_leaves_nothing(command: Command, format_name: str, project: Path) -> None:
    (shard,) = (project / catalogue.ORIGINALS.path).rglob("*.arrow")
    data = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(data[: len(data) // 2])
    ended = command("out", "--format", format_name)
    assert ended.code == 5
    assert re.match(r"error: web/\d{4}\.png: .*damaged", ended.err)
    assert [path.name for path in project.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize(("artifact", "stage"), [(catalogue.SPLIT, "split"), (catalogue.AUGMENTED, "augment")])
def test_before_a_run_the_next_step_is_named(command: Command, artifact: Any, stage: str) -> None:
    Path(artifact.path).unlink()
    ended = command("out", "--format", "parquet")
    assert (ended.code, ended.err) == (4, f"error: {artifact.path} is missing: run `dvc repro {stage}`\n")
    assert not Path("out").exists()


def test_names_are_safe_and_of_one_row_alone() -> None:
    names = {export_name(image, copy) for image in ("web/a b.png", "web/a/b.png", "web/a-b.jpg") for copy in (0, 1)}
    assert len(names) == 6
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)
    assert export_name("web/süß/Ä.png", 0).isascii()
    folders = folder_names([".", "..", "a/b", "a%2Fb", "süß", "x" * 500, "x" * 501, "end.", "tab\t"])
    assert len(set(folders.values())) == len(folders)
    assert folders["süß"] == "süß"
    for name in folders.values():
        assert len(name.encode()) <= MAX_NAME_BYTES + 20
        assert not set(name) & set("/\\:\t")
        assert not name.startswith(".")


def test_repeats_of_a_picture_can_share_a_file(command: Command, project: Path) -> None:
    write_params(project, **{"augment.mode": "materialise"})
    command("out", "--format", "imagefolder")
    assert command("linked", "--format", "imagefolder", "--link").code == 0
    assert contents(Path("linked")) == contents(Path("out"))
    files = {
        folder: [path for path in Path(folder, "train").rglob("*") if path.is_file()] for folder in ("out", "linked")
    }
    shared = {folder: len({path.stat().st_ino for path in found}) for folder, found in files.items()}
    assert shared == {"out": 24, "linked": 8}


def test_formats_without_a_file_a_picture_cannot_share_them(command: Command) -> None:
    ended = command("out", "--format", "parquet", "--link")
    assert ended.code == 3
    assert "--link: parquet packs pictures into few files, which nothing can link" in ended.err
    assert not Path("out").exists()


def test_variants_that_are_made_now_share_no_file(command: Command) -> None:
    command("linked", "--format", "imagefolder", "--link")
    assert len({path.stat().st_ino for path in Path("linked/train").rglob("*") if path.is_file()}) == 24


@pytest.mark.parametrize("folder", ["images/web/new", "images/phone"])
def test_nothing_is_exported_into_the_images_of_a_source(command: Command, folder: str) -> None:
    ended = command(folder, "--format", "imagefolder")
    assert ended.code == 3
    assert "and the next run would read what is exported as new images: name another folder" in ended.err
    assert not Path(folder).exists()


def test_an_export_of_test_waits_for_nobody_and_loses_no_entry(command: Command) -> None:
    with alone(Path(catalogue.TEST_PREDICTIONS.path).parent, "pipeline final_evaluation"):
        ended = command("out", "--format", "parquet", "--test")
    assert ended.code == 6
    assert "another run of `pipeline final_evaluation` or `pipeline export --test` is writing to" in ended.err
    assert not Path("out").exists()
    assert not Path(catalogue.LEDGER.path).exists()
    assert command("out", "--format", "parquet", "--test").code == 0
