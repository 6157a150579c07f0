"""ingest: a source's metadata.csv reaches the manifest, or stops the stage; it shapes no pixels."""

import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import INGESTED, check_manifest
from tests.examples import write_source
from tests.stages.ingest.ingesting import PNG, TOLERANT, run

METADATA = "file_name,group,captured_at,camera\ncat/000.png,a,2026-01-02T03:04:05+01:00,old\ncat/001.png,b,,\n"


def with_metadata(root: Path, content: bytes) -> Path:
    write_source(root, {"cat": 2})
    (root / "metadata.csv").write_bytes(content)
    return root


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"], ids=["plain", "as Excel saves it"])
def test_metadata_reaches_the_manifest_and_leaves_the_pixels(before: bytes, tmp_path: Path) -> None:
    done = run(with_metadata(tmp_path / "src", before + METADATA.encode()), tmp_path)
    done.content()
    rows = check_manifest(catalogue.INGESTED.read(done.folder / "manifest"), INGESTED)
    assert rows.columns.tolist() == [*INGESTED.names, "meta_camera"]
    assert rows["user_group"].tolist() == ["a", "b"]
    assert rows["captured_at"].tolist() == [pd.Timestamp("2026-01-02T02:04:05Z"), pd.NaT]
    assert rows["meta_camera"].tolist() == ["old", ""]
    assert done.outputs.summary == "2 images, 0 rejected, 1 ignored\n  1 class: cat 2"
    (tmp_path / "src/metadata.csv").unlink()
    assert run(tmp_path / "src", tmp_path).manifest["pixels"].tolist() == rows["pixels"].tolist()


def test_metadata_of_refused_files_is_no_error(tmp_path: Path) -> None:
    root = with_metadata(tmp_path / "src", METADATA.encode() + b"cat/x.png,c,,\ncat/y.png,d,,\nz.png,e,,\n")
    (root / "cat/x.png").write_bytes(b"")
    (root / "cat/y.png").symlink_to("nowhere")
    (root / "z.png").write_bytes(PNG)
    done = run(root, tmp_path, TOLERANT)
    assert done.outputs.rejected["reason"].tolist() == ["empty", "dangling_link", "no_class_folder"]
    assert done.manifest["user_group"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            METADATA.encode() + b"cat/9.png,c,,\n", "cannot be used:\n  1 files are not in", id="unknown file"
        ),
        pytest.param(
            "file_name,ort\ncat/000.png,Köln".encode("latin-1"), "ort is not UTF-8 in 1 rows: 1", id="not UTF-8"
        ),
        pytest.param(b"", "is empty: its first line must name", id="empty"),
        pytest.param(b'file_name,group\n"cat/000.png,a\n', "is damaged or not a .csv file: unexp", id="a quote"),
    ],
)
def test_metadata_that_cannot_be_used_stops_the_stage(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^{tmp_path}/src/metadata\.csv:? {message}"):
        run(with_metadata(tmp_path / "src", content), tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "link that leads out", "link in a class folder"])
def test_a_table_that_may_not_be_read_loses_no_groups(kind: str, tmp_path: Path) -> None:
    root = with_metadata(tmp_path / "src", METADATA.encode())
    place = root / ("cat/metadata.jsonl" if "class" in kind else "metadata.csv")
    (root / "metadata.csv").rename(tmp_path / "shared.csv")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / "shared.csv")
    reason = "not_a_regular_file" if kind == "pipe" else "link_leaves_source"
    name = place.relative_to(root)
    with pytest.raises(DataError, match=rf"columns would be lost: {name} \({reason}\)\. Put the file itself"):
        run(root, tmp_path, TOLERANT)
    without = {**TOLERANT, "sources.web.exclude": [place.name]}
    assert len(run(root, tmp_path, without).manifest) == 2
