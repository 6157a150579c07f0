"""Damaged objects of the cache, damaged shards, and what killed runs left: found, fixed, made again."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import catalogue
from pipeline.errors import StorageError
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.store.shard_plan import digest
from pipeline.store.vectors import vector_bytes, vector_schema
from pipeline.tools.doctor import cache, outs
from tests.running import pipeline, run
from tests.tools.doctor.workspaces import Doctor, damage, object_of, shard_of, states, wrong

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("linked", [False, True])
def test_a_damaged_object_goes_with_its_copies_and_is_made_again(
    project: Path, doctor: Doctor, tmp_path: Path, linked: bool
) -> None:
    locked, shard, folder = Path("dvc.lock").read_text(), shard_of(project), ".dvc/cache/files/md5"
    if linked:
        folder = f"{tmp_path}/elsewhere/files/md5"
        Path(".dvc/cache").rename(tmp_path / "elsewhere")
        Path(".dvc/config").write_text(f"[cache]\n    dir = {tmp_path}/elsewhere\n    type = symlink\n")
        run(project, "dvc", "checkout", "--relink", "ingest")
        assert shard.is_symlink()
    damaged = object_of(shard, folder)
    damage(damaged)
    shard.unlink()
    run(project, "dvc", "checkout", "ingest")  # DVC believes it
    assert "up to date" in run(project, "dvc", "status", "ingest")

    ended = doctor()
    assert wrong(ended) == {"cache", "shards"}
    assert f"{damaged} is damaged" in ended.out
    assert f"It belongs to {shard} (ingest@phone)" in ended.out
    assert damaged.exists()
    assert doctor("--fix").code == 0
    assert not damaged.exists()
    assert not os.path.lexists(shard)
    assert wrong(doctor()) == set()
    run(project, "dvc", "repro", "ingest@phone")
    assert Path("dvc.lock").read_text() == locked
    assert wrong(doctor()) == set()
    assert damaged.exists()


def test_a_damaged_list_of_a_folder_is_made_again(project: Path, doctor: Doctor) -> None:
    locked = Path("dvc.lock").read_text()
    (listed,) = (
        path for path in Path(".dvc/cache/files/md5").rglob("*.dir") if shard_of(project).name in path.read_text()
    )
    damage(listed)
    ended = doctor("--fix")
    assert ended.code == 0
    assert f"{listed} is damaged" in ended.out
    assert "It belongs to data/ingest/phone/shards (ingest@phone)" in ended.out
    run(project, "dvc", "repro", "ingest")
    assert Path("dvc.lock").read_text() == locked
    assert listed.exists()


def test_what_no_stage_of_now_makes_is_kept_aside(project: Path, doctor: Doctor) -> None:
    other = Path("other.txt")
    other.write_text("of an older commit")
    run(project, "dvc", "add", "--quiet", "other.txt")
    Path("other.txt.dvc").unlink()
    damaged, md5 = object_of(other), cache.md5_of(other)
    damage(damaged)
    content = damaged.read_bytes()
    ended = doctor("--fix")
    assert "belongs to nothing that dvc.lock or a .dvc file names now" in ended.out
    assert not damaged.exists()
    assert Path(".dvc/tmp/damaged", md5).read_bytes() == content
    assert other.exists()


def test_added_data_is_never_lost(project: Path, doctor: Doctor) -> None:
    run(project, "dvc", "add", "--quiet", "images")
    image = Path("images/web/a/000.png")
    damaged, md5, whole = object_of(image), cache.md5_of(image), image.read_bytes()
    damage(damaged)
    ended = doctor("--fix")
    assert f"{image} (images.dvc)" in ended.out
    assert "fixed; then: `dvc commit --force images.dvc`, as the workspace's copy is whole" in ended.out
    run(project, "dvc", "commit", "--force", "images.dvc")
    assert damaged.read_bytes() == image.read_bytes() == whole

    run(project, "dvc", "remote", "add", "--default", "store", str(project.parent / "store"))
    run(project, "dvc", "push", "images.dvc")
    damage(damaged)
    image.unlink()
    run(project, "dvc", "checkout", "images.dvc")
    assert image.read_bytes() != whole
    assert "up to date" in run(project, "dvc", "status", "images.dvc")
    ended = doctor("--fix")
    assert "fixed; then: `dvc pull --force images.dvc` brings it from the remote" in ended.out
    assert Path(".dvc/tmp/damaged", md5).read_bytes() == image.read_bytes()
    run(project, "dvc", "pull", "--force", "images.dvc")
    assert damaged.read_bytes() == image.read_bytes() == whole


def test_an_object_that_cannot_be_read_is_named(project: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        if path == locked.absolute():
            raise StorageError("no") from PermissionError()
        if path == gone.absolute():
            raise StorageError("no") from FileNotFoundError()
        return actual(path)

    actual, locked, gone = cache.md5_of, object_of(shard_of(project)), object_of(shard_of(project, "web"))
    monkeypatch.setattr(cache, "md5_of", refuse)
    ended = doctor("--fix")
    assert ended.code == 9
    assert f"{locked} cannot be read" in ended.out
    assert str(gone) not in ended.out
    assert locked.exists()


@pytest.mark.parametrize("how", ["damaged", "truncated", "renamed", "undecodable", "not a shard", "dangling"])
def test_a_shard_whose_content_does_not_match_is_built_again(
    project: Path, doctor: Doctor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    shard = shard_of(project)
    whole, place = shard.read_bytes(), shard
    reason = "its MD5 is not that of dvc.lock"
    match how:
        case "damaged":
            damage(shard)
        case "truncated":
            shard.write_bytes(whole[:-100])
        case "renamed":
            place = shard.rename(shard.with_stem("0" * 32))
            reason = "its name is not the digest of its rows' keys"
        case "undecodable":
            row = {name: value[:1] for name, value in open_arrow(shard).to_pydict().items()}
            row["image"] = [b"\x89PNG\r\n\x1a\n and no more"]
            place = shard.with_stem(digest(*row["key"]))
            write_arrow(pa.table(row, schema=open_arrow(shard).schema), place)
            reason = "the image of row 0 cannot be decoded"
        case "not a shard":
            place = shard.with_stem("1" * 32)
            write_arrow(pa.table({"a": [1]}), place)
            reason = "it cannot be read as a shard"
        case "dangling":
            shard.unlink()
            shard.symlink_to("nowhere")
            reason = "is a broken link"
    ended = doctor()
    assert wrong(ended) == {"shards"}
    assert f"{place} " in ended.out
    assert reason in ended.out
    assert "`dvc repro ingest` builds it again" in ended.out
    assert doctor("--fix").code == 0
    assert not os.path.lexists(place)
    pipeline(capsys, monkeypatch, "ingest", "phone")
    assert shard.read_bytes() == whole


def test_an_out_that_does_not_match_its_checksum_is_removed(project: Path, doctor: Doctor) -> None:
    manifest = Path("data/ingest/web/manifest.arrow")
    model, verdict = Path(catalogue.MODEL.path), Path(catalogue.VERDICT.path)
    for path in (model, verdict):
        path.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(b"rubbish")
    catalogue.VERDICT.write({"accepted": True}, verdict)
    assert wrong(doctor()) == {"checksums"}
    for path in (manifest, verdict):
        damage(path)
    ended = doctor()
    assert states(ended)["checksums"] == "3 wrong"
    assert "data/ingest/web/manifest.arrow cannot be used: " in ended.out
    doctor("--fix")
    assert [path for path in (manifest, model, verdict) if path.exists()] == []


def test_a_table_for_people_stays_where_they_may_have_written_into_it(project: Path, doctor: Doctor) -> None:
    read, for_people = Path("data/ingest/web/rejected.csv"), Path("reports/ingest/web/ignored.csv")
    for path in (read, for_people):
        path.write_text(path.read_text() + "mine\n")
    ended = doctor("--fix")
    assert states(ended)["checksums"] == "2 wrong"
    assert "ignored.csv is damaged, edited or of another run" in ended.out
    assert "if you wrote into it, keep a copy elsewhere" in ended.out
    assert (read.exists(), for_people.exists()) == (False, True)


def test_a_damaged_list_of_checksums_speaks_against_no_other_file(project: Path, doctor: Doctor) -> None:
    listed = Path("reports/ingest/web/checksums.json")
    damage(listed)
    ended = doctor("--fix")
    assert states(ended)["checksums"] == "1 wrong"
    assert not listed.exists()
    assert Path("data/ingest/web/rejected.csv").exists()


def test_without_a_record_a_shard_is_judged_by_itself(project: Path) -> None:
    path = shard_of(project)
    assert outs.fault(outs.Shard(path, None)) is None
    assert outs.fault(outs.Shard(path, cache.md5_of(path))) is None
    damaged = path.read_bytes()
    path.write_bytes(damaged[:-100])
    assert outs.fault(outs.Shard(path, None)) == "is damaged: it cannot be read as a shard"


@pytest.mark.parametrize("how", ["whole", "not finite", "truncated"])
def test_a_shard_of_vectors_is_checked_as_others_are(project: Path, doctor: Doctor, how: str) -> None:
    folder = Path(catalogue.EMBED_SHARDS)
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.ones((3, 8))
    vectors[1, 2] = np.nan if how == "not finite" else 0
    schema = vector_schema(8).insert(0, pa.field("key", pa.string()))
    keys = ["a", "b", "c"]
    shard = folder / f"{digest(*keys)}.arrow"
    write_arrow(pa.table({"key": keys, "vector": [*map(vector_bytes, vectors)]}, schema=schema), shard)
    if how == "truncated":
        shard.write_bytes(shard.read_bytes()[:-100])
    left = folder / ".0123.arrow.partial"
    left.touch()
    ended = doctor()
    assert wrong(ended) == {"leftovers"} | ({"shards"} if how != "whole" else set())
    if how == "not finite":
        assert f"{shard} is damaged: the vector of row 1 has values that are no numbers" in ended.out
    if how != "whole":
        assert "`dvc repro embed` builds it again" in ended.out
    assert doctor("--fix").code == 0
    assert not left.exists()
    assert shard.exists() == (how == "whole")


def test_what_a_killed_run_left_is_removed(project: Path, doctor: Doctor) -> None:
    left = [
        Path("data/ingest/web/.manifest.arrow.partial"),
        Path("data/ingest/phone/shards/.0123.arrow.partial"),
        Path("data/ingest/phone/shards/.0123.arrow.old"),
    ]
    for path in left:
        path.touch()
    for path in (Path("reports/.train.partial"), Path("reports/.train.old")):
        path.mkdir(parents=True)
        (path / "metrics.json").touch()
        left.append(path)
    kept = Path("images/web/a/.mine.partial")
    kept.touch()
    ended = doctor()
    assert states(ended)["leftovers"] == f"{len(left)} wrong"
    assert [path for path in left if f"- {path} was left" not in ended.out] == []
    assert doctor("--fix").code == 0
    assert [path for path in left if path.exists()] == []
    assert kept.exists()
