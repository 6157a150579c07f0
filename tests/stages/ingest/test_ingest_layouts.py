"""ingest of class folders in a split's folders, and of tables of metadata wherever they lie."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.errors import DataError
from tests.examples import params
from tests.stages.ingest.ingesting import run
from tests.stages.ingest.test_ingest_tables import ingested, write_images

SPLIT = ("train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png")


def test_a_given_split_stops_the_stage_until_params_say_what_it_is(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", *SPLIT)
    with pytest.raises(DataError, match=r"the parts of a split \(train, val\).*`layout: split/class`.*`inside: train`"):
        ingested(root, tmp_path, "raw")
    joined = ingested(root, tmp_path, "raw", layout="split/class")
    assert joined.manifest["path"].tolist() == list(SPLIT)
    assert joined.manifest["label"].tolist() == ["cat", "dog", "cat", "dog"]
    assert joined.manifest["meta_given_split"].tolist() == ["train", "train", "val", "val"]
    assert joined.outputs.summary == "4 images, 0 rejected, 0 ignored\n  2 classes: cat 2, dog 2"
    part = ingested(root, tmp_path, "raw", inside="train")
    assert part.manifest["path"].tolist() == ["cat/1.png", "dog/2.png"]
    meant = ingested(root, tmp_path, "raw", layout="class")
    assert meant.outputs.classes == {"train": 2, "val": 2}


def test_patterns_may_leave_one_part(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", *SPLIT, "cat/5.png")
    with pytest.raises(DataError, match="the parts of a split"):
        ingested(root, tmp_path, "raw")
    assert ingested(root, tmp_path, "raw", exclude=["train/", "val/"]).outputs.classes == {"cat": 1}


def test_many_classes_are_named_with_an_end(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", *(f"c{number:03}/1.png" for number in range(40)))
    assert "40 classes: c000 1, c001 1, " in ingested(root, tmp_path).outputs.summary
    assert ingested(root, tmp_path).outputs.summary.endswith("c029 1 and 10 more")


TABLE = [{"file_name": "cat/1.png", "group": "a"}, {"file_name": "dog/2.png", "group": "b"}]


def test_metadata_may_be_json_lines(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", "cat/1.png", "dog/2.png")
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, TABLE)))
    done = ingested(root, tmp_path)
    assert done.manifest["user_group"].tolist() == ["a", "b"]
    assert len(done.outputs.ignored) == 1


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["cat/metadata.csv"], "cat/metadata.csv. A source"),
        (["cat/metadata.jsonl", "dog/metadata.jsonl"], "cat/metadata.jsonl, dog/metadata.jsonl. A source"),
        (["Metadata.CSV"], "Metadata.CSV. A source"),
        (["metadata.csv", "metadata.jsonl"], "metadata.jsonl. A source"),
        (["metadata.csv", "cat/metadata.csv"], "cat/metadata.csv. A source"),
    ],
)
@pytest.mark.parametrize("labels", [{"name": "folders"}, {"name": "none"}])
def test_no_table_of_metadata_is_lost_without_a_word(
    files: list[str], named: str, labels: dict[str, Any], tmp_path: Path
) -> None:
    root = write_images(tmp_path / "src", "cat/1.png", "dog/2.png")
    for file in files:
        (root / file).write_text("file_name,group\ncat/1.png,a\ndog/2.png,b\n")
    with pytest.raises(DataError, match="has metadata tables that would be ignored: ") as caught:
        ingested(root, tmp_path, labels=labels)
    assert named in str(caught.value)
    # The way out that it names.
    ingested(root, tmp_path, labels=labels, exclude=["[mM]etadata.*", "!/metadata.csv"])


def test_groups_that_lack_an_image_name_the_table_that_has_them(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", "cat/1.png", "dog/2.png")
    (root / "metadata.jsonl").write_text(json.dumps(TABLE[0]))
    with pytest.raises(DataError, match=r"src/metadata\.jsonl cannot be used:\n  1 images have no group"):
        ingested(root, tmp_path)


def test_an_export_without_images_is_named_itself(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src", "1.png")
    (root / "export.json").write_text("[]")
    labels = {"name": "label_studio", "file": "export.json", "image": "image", "prefix": "", "choice": "c"}
    with pytest.raises(DataError, match=r"src/export\.json names the images") as caught:
        ingested(root, tmp_path, labels={**labels, "disagreement": "reject", "unlisted": "ignore"})
    assert "metadata.csv" not in str(caught.value)


def test_wide_tables_reach_the_manifest_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    root = write_images(tmp_path / "src", "cat/1.png", "dog/2.png")
    more = {f"c{number}": "x" for number in range(900)}
    (root / "metadata.jsonl").write_text("\n".join(json.dumps({**row, **more}) for row in TABLE))
    assert "meta_c899" in ingested(root, tmp_path).manifest.columns
    assert [str(one.message) for one in recwarn if "fragment" in str(one.message)] == []


def test_no_name_of_a_file_or_folder_steers_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels, rejected files, messages of any kind: through the command, as a person sees it."""
    monkeypatch.setattr("sys.argv", ["pipeline", "ingest", "web"])
    for names in (("c\x1b[31mat/1.png", "dog/2.png"), ("cat/a\x1b]0;x\x07.png",)):
        root = write_images(tmp_path / str(len(names)), *names)
        for file in root.rglob("a*"):
            file.write_bytes(b"nothing")

        def failing(*_: Any, root: Path = root) -> str:
            run(root, tmp_path)
            return ""

        monkeypatch.setattr("pipeline.project.runner.run_stage", failing)
        monkeypatch.setattr("pipeline.project.params_file.load_params", params)
        with pytest.raises(SystemExit):
            cli.main()
        shown = capsys.readouterr()
        assert "\\x1b" in shown.err
        assert not {"\x1b", "\x07"} & {*shown.err, *shown.out}
