"""ingest: EXIF fills what no table gives, lying names and few bits are told, a source may scale by a range."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.images.pixels import decode
from pipeline.manifest import INGESTED, check_manifest
from tests.examples import encoded, picture
from tests.images.exif import MAKE, MODEL, ORIGINAL, with_exif
from tests.images.pictures import saved
from tests.stages.ingest.archives import pack
from tests.stages.ingest.ingesting import TOLERANT, Run, run

PHOTOS = {
    "cat/1.jpg": with_exif({MAKE: "Maker", MODEL: "X1"}, {ORIGINAL: "2024:05:06 07:08:09"}),
    "cat/2.jpg": with_exif({MODEL: "Y"}, {ORIGINAL: "2023:01:02 03:04:05"}),
    "cat/3.png": encoded(picture(3)),
    "cat/4.jpg": b"",
}
TIMES = [pd.Timestamp("2024-05-06T07:08:09Z"), pd.Timestamp("2023-01-02T03:04:05Z"), pd.NaT]
CAMERAS = ["Maker X1", "Y", ""]


def written(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def ingested(root: Path, base: Path, **changes: Any) -> Run:
    done = run(root, base, {**TOLERANT, "sources.web": {"role": "production", "path": str(root), **changes}})
    done.content()
    check_manifest(catalogue.INGESTED.read(done.folder / "manifest"), INGESTED)
    return done


def test_time_and_camera_come_from_exif_where_no_table_gives_them(tmp_path: Path) -> None:
    done = ingested(written(tmp_path / "src", PHOTOS), tmp_path)
    assert done.manifest["captured_at"].tolist() == TIMES
    assert done.manifest["meta_camera"].tolist() == CAMERAS
    note = "from EXIF, because no table gives it: captured_at of 2 images and meta_camera of 2"
    assert done.outputs.summary.splitlines()[2:] == [f"  {note}"]
    assert done.content() == ingested(tmp_path / "src", tmp_path).content()


def test_a_table_is_believed_and_exif_fills_its_empty_times(tmp_path: Path) -> None:
    root = written(tmp_path / "src", PHOTOS)
    (root / "metadata.csv").write_text("file_name,captured_at,camera\ncat/1.jpg,2020-01-01,mine\ncat/2.jpg,,\n")
    done = ingested(root, tmp_path)
    assert done.manifest["captured_at"].tolist() == [pd.Timestamp("2020-01-01T00:00Z"), TIMES[1], pd.NaT]
    assert done.manifest["meta_camera"].tolist() == ["mine", "", ""]
    (root / "metadata.csv").unlink()
    (root / "t.csv").write_text("path,label,when\ncat/2.jpg,cat,\ncat/1.jpg,cat,2021-01-01T00:00:00\n")
    columns = {"path": "path", "label": "label", "group": None, "captured_at": "when"}
    labels = {"name": "table", "file": "t.csv", "columns": columns, "unlisted": "unlabelled"}
    done = ingested(root, tmp_path, labels=labels)
    assert done.manifest["captured_at"].tolist() == [pd.Timestamp("2021-01-01T00:00Z"), TIMES[1], pd.NaT]
    assert done.manifest["meta_camera"].tolist() == CAMERAS


def test_a_source_without_exif_has_no_column_of_cameras(tmp_path: Path) -> None:
    done = ingested(written(tmp_path / "src", {"cat/1.png": PHOTOS["cat/3.png"]}), tmp_path)
    assert done.manifest.columns.tolist() == INGESTED.names
    assert done.outputs.notes == ()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_gives_each_image_its_own_exif(kind: str, tmp_path: Path) -> None:
    """A compressed tar's images are made in another order than that of the manifest."""
    done = ingested(pack(tmp_path / f"src.{kind}", dict(reversed(PHOTOS.items()))), tmp_path)
    assert done.manifest["path"].tolist() == [*PHOTOS][:3]
    assert done.manifest["captured_at"].tolist() == TIMES
    assert done.manifest["meta_camera"].tolist() == CAMERAS


def test_names_that_lie_about_their_content_are_told_and_counted(tmp_path: Path) -> None:
    files = {"cat/1.jpg": encoded(picture(1)), "cat/2.png": encoded(picture(2)), "cat/3": encoded(picture(3), "GIF")}
    done = ingested(written(tmp_path / "src", files), tmp_path)
    assert done.outputs.metrics["misnamed"] == 1
    assert done.outputs.summary.endswith(
        "1 files have the ending of another format; they were read by their content: cat/1.jpg (is PNG)"
    )


def twelve_bits(seed: int) -> bytes:
    return saved(Image.fromarray(np.random.default_rng(seed).integers(0, 4096, (16, 16), np.uint16)), "PNG")


def test_few_bits_are_told_and_a_source_scales_them_by_its_own_range(tmp_path: Path) -> None:
    files = {"cat/1.png": twelve_bits(1), "cat/2.png": twelve_bits(2), "cat/3.png": encoded(picture(3))}
    root = written(tmp_path / "src", files)
    plain = ingested(root, tmp_path)
    assert plain.outputs.metrics["little_of_range"] == 2
    assert "set value_range: [0, 4095] in sources.web, or in ingest for all sources" in plain.outputs.summary
    assert plain.manifest["range_used"].round(2).tolist() == [pytest.approx(0.06), pytest.approx(0.06), 1]
    assert decode(plain.image("web/cat/1.png")).max() <= 16
    folder = plain.folder
    done = run(
        root,
        tmp_path,
        {**TOLERANT, "sources.web": {"role": "production", "path": str(root), "value_range": [0, 4095]}},
        folder=folder,
    )
    assert done.outputs.metrics["little_of_range"] == 0
    assert decode(done.image("web/cat/1.png")).max() > 240
    # The other one is made anew, and is the same.
    assert done.image("web/cat/3.png") == encoded(picture(3))
    for_all = run(root, tmp_path, {**TOLERANT, "ingest.value_range": [0, 4095], "sources.web.path": str(root)})
    assert for_all.image("web/cat/1.png") == done.image("web/cat/1.png")
