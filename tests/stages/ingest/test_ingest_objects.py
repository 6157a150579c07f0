"""ingest from an S3 server: the images of a folder, each object read once, and faults that cost no finished work."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import DataError, MissingInputError, ParamsError, StorageError
from pipeline.project.choices import Overrides
from pipeline.project.init import plan
from pipeline.project.inspect_sources import Wanted
from pipeline.sources import objects
from tests.examples import encoded, picture, write_source
from tests.object_server import SECRET, Answer, Bucket, bucket_for_tests, no_fault
from tests.stages.ingest.archives import FILES, pack
from tests.stages.ingest.ingesting import TOLERANT, Run, run


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch, bucket_for_tests(patch) as made:
        patch.setattr(objects, "YOUNG", 0)
        yield made


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    server.faults.fault = no_fault
    server.restart()
    return server


def ingested(
    bucket: Bucket, prefix: str, base: Path, workers: int = 1, folder: Path | None = None, **source: Any
) -> Run:
    entry = {"sources.web": {"role": "raw", "path": f"s3://{bucket.name}/{prefix}", **source}}
    return run(Path(), base, {**TOLERANT, **entry}, workers=workers, folder=folder)


def same_images(done: Run) -> pd.DataFrame:
    """The manifest without where its pictures are stored, and the pictures themselves."""
    manifest = done.manifest.drop(columns=["shard", "row", "pixels"])
    return manifest.assign(image=[done.image(image_id) for image_id in manifest["id"]])


def upload(bucket: Bucket, prefix: str, root: Path) -> list[str]:
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    for path in paths:
        bucket.put(f"{prefix}/{path}", (root / path).read_bytes())
    return paths


def test_a_bucket_gives_the_images_of_a_folder_and_reads_each_object_once(bucket: Bucket, tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 40, "dog": 30})
    paths = upload(bucket, "once", tmp_path / "src")
    folder = tmp_path / "shards"
    done = ingested(bucket, "once", tmp_path, folder=folder, workers=2)
    expected = same_images(run(tmp_path / "src", tmp_path, TOLERANT))
    pd.testing.assert_frame_equal(same_images(done), expected)
    assert {path: bucket.faults.count("GET", f"once/{path}") for path in paths} == dict.fromkeys(paths, 1)
    before = done.content()
    bucket.restart()
    assert ingested(bucket, "once", tmp_path, folder=folder).content() == before
    assert bucket.faults.count("GET", ".png") == 0
    # One new object, and one that changed.
    bucket.put("once/cat/001.png", encoded(picture(501)))
    bucket.put("once/dog/new.png", encoded(picture(502)))
    ingested(bucket, "once", tmp_path, folder=folder)
    assert bucket.faults.count("GET", "once/cat/001.png") == bucket.faults.count("GET", "once/dog/new.png") == 1
    assert bucket.faults.count("GET", ".png") == 2


def test_a_fault_in_mid_run_is_named_and_costs_no_finished_work(bucket: Bucket, tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 60})
    upload(bucket, "faults", tmp_path / "src")
    folder = tmp_path / "shards"
    bucket.faults.fault = lambda seen: Answer(403, "AccessDenied") if seen.path.endswith("059.png") else None
    with pytest.raises(StorageError, match=r"faults/cat/059\.png: access is denied \(403\)\. .*finished work is kept"):
        ingested(bucket, "faults", tmp_path, folder=folder, workers=2)
    assert [*folder.glob("*.arrow")]
    bucket.faults.fault = no_fault
    bucket.restart()
    done = ingested(bucket, "faults", tmp_path, folder=folder)
    assert len(done.manifest) == 60
    assert bucket.faults.count("GET", ".png") < 60
    # An object that goes while others are read.
    bucket.put("faults/cat/002.png", encoded(picture(600)))
    bucket.faults.fault = lambda seen: Answer(404, "NoSuchKey") if seen.path.endswith("002.png") else None
    with pytest.raises(MissingInputError, match=r"faults/cat/002\.png was listed, but no longer exists"):
        ingested(bucket, "faults", tmp_path, folder=folder)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_in_a_bucket_gives_the_images_of_one_here(kind: str, bucket: Bucket, tmp_path: Path) -> None:
    place = pack(tmp_path / f"images.{kind}", FILES)
    bucket.put(f"archives/{place.name}", place.read_bytes())
    done = ingested(bucket, f"archives/{place.name}", tmp_path)
    here = run(place, tmp_path, TOLERANT)
    pd.testing.assert_frame_equal(same_images(done), same_images(here))
    pd.testing.assert_frame_equal(done.outputs.rejected, here.outputs.rejected)
    pd.testing.assert_frame_equal(done.outputs.ignored, here.outputs.ignored)
    # It is replaced: all of its members are read again.
    bucket.put(f"archives/{place.name}", pack(place, {"cat/1.png": encoded(picture(9))}).read_bytes())
    assert len(ingested(bucket, f"archives/{place.name}", tmp_path, folder=done.folder).manifest) == 1


def test_a_damaged_archive_is_an_error_and_a_broken_network_is_another(bucket: Bucket, tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("cat/1.png", encoded(picture(1)))
    bucket.put("broken/a.zip", content.getvalue()[:-30])
    with pytest.raises(DataError, match=r"broken/a\.zip is damaged or cut short"):
        ingested(bucket, "broken/a.zip", tmp_path)
    bucket.put("broken/b.zip", content.getvalue())
    bucket.faults.fault = lambda seen: Answer(403, "AccessDenied") if seen.method == "GET" else None
    with pytest.raises(StorageError, match=r"broken/b\.zip: access is denied"):
        ingested(bucket, "broken/b.zip", tmp_path)


def test_tables_and_exports_in_a_bucket_label_its_images(bucket: Bucket, tmp_path: Path) -> None:
    for number in range(4):
        bucket.put(f"tables/{number}.png", encoded(picture(number)))
    bucket.put("tables/labels.csv", b"image,label\n0.png,cat\n1.png,dog\n2.png,cat\n3.png,dog\n")
    columns = {"path": "image", "label": "label", "group": None, "captured_at": None}
    table = {"name": "table", "file": "labels.csv", "columns": columns, "unlisted": "ignore"}
    done = ingested(bucket, "tables", tmp_path, labels=table)
    assert [*done.manifest["label"]] == ["cat", "dog", "cat", "dog"]
    answer = {"from_name": "kind", "type": "choices", "value": {"choices": ["bee"]}}
    task = {"id": 1, "data": {"image": "s3://x/0.png"}, "annotations": [{"completed_by": 1, "result": [answer]}]}
    bucket.put("tables/export.json", json.dumps([task]).encode())
    export = {"name": "label_studio", "file": "export.json", "image": "image", "prefix": "s3://x/", "choice": "kind"}
    more = {"disagreement": "reject", "unlisted": "ignore"}
    done = ingested(bucket, "tables", tmp_path, labels={**export, **more}, exclude=["*.csv"])
    assert [*done.manifest["label"]] == ["bee"]


def test_nothing_that_is_written_or_said_holds_a_credential(
    bucket: Bucket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        bucket.put(f"secret/cat/{number}.png", encoded(picture(number)))
    done = ingested(bucket, "secret", tmp_path)
    assert done.content()
    bucket.faults.fault = lambda _: Answer(403, "SignatureDoesNotMatch")
    with pytest.raises(StorageError, match="does not match") as refused:
        ingested(bucket, "secret", tmp_path)
    said = "".join([*capfd.readouterr(), str(refused.value), repr(refused.value.__cause__)])
    assert SECRET not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_project_can_begin_with_buckets(bucket: Bucket, tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 12, "dog": 12})
    upload(bucket, "init", tmp_path / "src")
    url = f"s3://{bucket.name}/init/"
    planned = plan(tmp_path / "shop", [], [url], Wanted(), Overrides())
    assert url in planned.files["params.yaml"]
    assert planned.seen is not None
    assert planned.seen.sources[0].classes == {"cat": 12, "dog": 12}
    assert len(planned.seen.sources[0].facts.sides) == 24
    with pytest.raises(MissingInputError, match="no objects under s3://"):
        plan(tmp_path / "shop", [], [f"s3://{bucket.name}/no-such-prefix"], Wanted(), Overrides())
    with pytest.raises(ParamsError, match="a user or a key"):
        plan(tmp_path / "shop", [], ["s3://me:secret@bucket/x"], Wanted(), Overrides())
