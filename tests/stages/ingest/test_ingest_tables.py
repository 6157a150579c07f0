"""ingest of tables, patterns and images without a label, from files on disk to the manifest."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import DataError, MissingInputError, ParamsError
from tests.examples import encoded, params, picture
from tests.stages.ingest.ingesting import TOLERANT, Run, run

COLUMNS = {"path": "path", "label": "label", "group": None, "captured_at": None}
ROWS: dict[str, list[Any]] = {
    "path": ["x/1.png", "x/2.png", "y.png"],
    "label": ["cat", "", "dog"],
    "lens": [50, 35, None],
}


def labels(file: str, unlisted: str = "ignore", **columns: str | None) -> dict[str, Any]:
    return {"name": "table", "file": file, "columns": COLUMNS | columns, "unlisted": unlisted}


def write_images(root: Path, *names: str) -> Path:
    for number, name in enumerate(names or ("x/1.png", "x/2.png", "y.png", "z/3.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(picture(number)))
    return root


def ingested(root: Path, base: Path, role: str = "production", **changes: Any) -> Run:
    source = {"sources.web": {"role": role, "path": str(root), **changes}}
    return run(root, base, {**TOLERANT, **source})


def to_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def to_csv(frame: pd.DataFrame) -> str:
    return frame.astype({"lens": "Int64"}).to_csv(index=False)


TABLES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "labels.csv": lambda frame: to_csv(frame).encode(),
    "excel.csv": lambda frame: b"\xef\xbb\xbf" + to_csv(frame).replace("\n", "\r\n").encode() + b",,\r\n",
    "lists/labels.parquet": to_parquet,
    "labels.jsonl": lambda frame: frame.to_json(orient="records", lines=True).encode(),
}


@pytest.mark.parametrize("file", TABLES)
def test_a_table_gives_labels_and_columns_whatever_its_kind(file: str, tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_bytes(TABLES[file](pd.DataFrame(ROWS)))
    done = ingested(root, tmp_path, labels=labels(file))
    assert done.manifest["path"].tolist() == ROWS["path"]
    assert done.manifest["label"].tolist() == ROWS["label"]
    assert done.manifest["meta_lens"].tolist() == ["50", "35", ""]
    assert done.outputs.summary == "3 images (1 without a label), 0 rejected, 2 ignored\n  2 classes: cat 1, dog 1"
    assert done.outputs.metrics["unlabelled"] == 1


def test_rows_that_name_no_file_of_the_source_stand_in_rejected(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    write_images(tmp_path, "secret.png")
    (root / "out.png").symlink_to("../secret.png")
    (root / "t.csv").write_text("path,label\nx/1.png,a\nx/2.png,b\n../secret.png,a\nout.png,a\nno.png,a\nx/1.png,b\n")
    done = ingested(root, tmp_path, "raw", labels=labels("t.csv"))
    assert done.manifest["path"].tolist() == ["x/2.png"]
    assert dict(zip(done.outputs.rejected["path"], done.outputs.rejected["reason"], strict=True)) == {
        "../secret.png": "path_leaves_source",
        "no.png": "missing_file",
        "out.png": "link_leaves_source",
        "x/1.png": "conflicting_labels",
    }
    done.content()


def test_a_new_label_leaves_the_pixels(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    (root / "t.csv").write_text("path,label\nx/1.png,a\n")
    before = ingested(root, tmp_path, labels=labels("t.csv"))
    (root / "t.csv").write_text("path,label\nx/1.png,b\n")
    after = ingested(root, tmp_path, labels=labels("t.csv"))
    assert (before.manifest["label"].tolist(), after.manifest["label"].tolist()) == (["a"], ["b"])
    assert before.manifest["pixels"].tolist() == after.manifest["pixels"].tolist()


def test_images_without_a_label(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    assert ingested(root, tmp_path).manifest["label"].tolist() == ["x", "x", "", "z"]
    assert set(ingested(root, tmp_path, labels={"name": "none"}).manifest["label"]) == {""}
    (root / "t.csv").write_text("path,label\nx/1.png,a\n")
    listed = ingested(root, tmp_path, labels=labels("t.csv", "unlabelled"))
    assert listed.manifest["label"].tolist() == ["a", "", "", ""]


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ({}, ["a/1.PNG", "a/1.png", "a/b/2.png", "a/b/3.jpg", "c/4.png"]),
        ({"include": ["*.png"]}, ["a/1.png", "a/b/2.png", "c/4.png"]),
        ({"exclude": ["b/"]}, ["a/1.PNG", "a/1.png", "c/4.png"]),
        ({"include": ["/a/*.png", "c"], "exclude": []}, ["a/1.png", "c/4.png"]),
        ({"include": ["a/**"], "exclude": ["*.jpg", "1.*"]}, ["a/b/2.png"]),
        ({"include": ["*", "!4.png"]}, ["a/1.PNG", "a/1.png", "a/b/2.png", "a/b/3.jpg"]),
    ],
)
def test_patterns_choose_files_as_gitignore_does(
    patterns: dict[str, list[str]], kept: list[str], tmp_path: Path
) -> None:
    root = write_images(tmp_path / "src", "a/1.PNG", "a/1.png", "a/b/2.png", "a/b/3.jpg", "c/4.png")
    done = ingested(root, tmp_path, "raw", **patterns)
    assert done.manifest["path"].tolist() == kept
    assert len(done.outputs.ignored) == 5 - len(kept)


def test_metadata_says_more_of_images_without_a_label(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    (root / "metadata.csv").write_text("file_name,camera\ny.png,old\n")
    done = ingested(root, tmp_path, labels={"name": "none"})
    assert done.manifest["meta_camera"].tolist() == ["", "", "old", ""]
    assert len(done.outputs.ignored) == 1


MISSING = "which params.yaml names for its labels. It must be inside the source and not a link to another place; "


@pytest.mark.parametrize(
    ("file", "content", "error", "message"),
    [
        ("t.csv", None, MissingInputError, f"src has no file 't.csv', {MISSING}there are z.csv"),
        ("../t.csv", None, MissingInputError, "src has no file '../t.csv', which"),
        ("t.json", b"[]", DataError, "src/t.json: its name must end in .csv, .jsonl, .parquet, according to its"),
        ("t.csv", b"PK\x03\x04rest", DataError, "src/t.csv is a workbook or an archive, not a CSV file: save the"),
        ("t.csv", "path,label\n".encode("utf-16"), DataError, "src/t.csv is not UTF-8 but perhaps UTF-16"),
        ("t.csv", b"path,label\nx/1.png,a,b\n", DataError, "1 rows (1) do not have 2 cells, one per col"),
        ("t.csv", b"path,label,label\na,b,c\n", DataError, "src/t.csv has several columns named 'label': keep or"),
        ("t.csv", b"path,label\n", DataError, "src has no images, 5 ignored files. Rule: "),
        ("t.csv", b"path,label\nx/9.png,a\n", DataError, "src has no readable image: 1 missing_file, 5 ign"),
        ("t.jsonl", b'{"path": ["x/1.png"], "label": "a"}', DataError, "path is not a text, number or time in 1"),
        ("t.csv", b"path,label,when\nx/1.png,a,2099-01-01\n", DataError, "1 values of when are in the future"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_stops_the_stage(
    file: str, content: bytes | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "src")
    if content is None:
        (root / "z.csv").write_text("")
        (tmp_path / "t.csv").write_text("path,label\nx/1.png,a\n")
    else:
        (root / file).write_bytes(content)
    captured_at = "when" if content and b"when" in content else None
    with pytest.raises(error) as caught:
        ingested(root, tmp_path, labels=labels(file, captured_at=captured_at))
    assert message in str(caught.value)


def test_rows_of_files_that_patterns_leave_out_are_left_out_too(tmp_path: Path) -> None:
    root = write_images(tmp_path / "src")
    (root / "t.csv").write_text("path,label\nx/1.png,a\n./x/2.png,a\nz/3.png,b\n")
    done = ingested(root, tmp_path, "raw", labels=labels("t.csv"), exclude=["x/"])
    assert done.manifest["path"].tolist() == ["z/3.png"]
    assert len(done.outputs.rejected) == 0
    assert len(done.outputs.ignored) == 4


def test_two_lists_may_share_a_folder_and_a_list_and_all_of_it_may_not() -> None:
    lists = {name: {"role": "production", "path": "x", "labels": labels(f"{name}.csv")} for name in ("one", "two")}
    assert len(params(sources=lists).sources) == 2
    parts = {name: {"role": "production", "path": "x.zip", "inside": name} for name in ("one", "two")}
    assert len(params(sources=parts).sources) == 2
    for other in ({"role": "raw", "path": "x"}, {"role": "raw", "path": "x/y"}):
        with pytest.raises(
            ParamsError, match=r"the path x(/y)? is inside x, the path of another source, so each image"
        ):
            params(sources={**lists, "web": other})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"role": "raw", "labels": {"name": "none"}}, "sources.web: raw images need labels: set"),
        ({"role": "raw", "labels": labels("t.csv", "unlabelled")}, "sources.web: raw images need labels"),
        ({"labels": {"name": "tabel"}}, "sources.web.labels: there is no choice 'tabel', did you mean table?"),
        ({"labels": labels("t.csv") | {"colums": 1}}, "sources.web.labels.colums: no such param, did you mean"),
        ({"exclude": ["***", "a"], "include": []}, "sources.web.include: tuple should have at least 1 item"),
        ({"inside": "../x"}, "sources.web.inside: '../x' must be a folder within the source's path"),
        ({"inside": "/x"}, "sources.web.inside: string should match pattern"),
        ({"exclude": ["!"]}, "sources.web.exclude.0: '!' is not a pattern as in .gitignore"),
        ({"include": ["[z-a]"]}, "sources.web.include.0: '[z-a]' is not a pattern as in .gitignore"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ParamsError) as caught:
        params(**{"sources.web": {"role": "production", "path": "x", **changes}})
    assert f"\n  {line}" in str(caught.value)
