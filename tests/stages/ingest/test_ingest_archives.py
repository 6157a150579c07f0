"""ingest of archives: as from a folder, and whatever is wrong with one costs its members or is one error."""

import zipfile
from pathlib import Path

import pytest

from pipeline.images.rejection import Rejection
from pipeline.sources.files import open_files
from pipeline.sources.params import SourceParams
from tests.examples import encoded, picture
from tests.stages.ingest.archives import FILES, KINDS, ingested, pack, reasons


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_gives_the_bytes_of_its_folder(kind: str, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(data)
    folder = ingested(tmp_path / "src", tmp_path)
    # Not in the order of names, in which rows are made.
    packed = pack(tmp_path / f"src.{kind}", dict(reversed(FILES.items())))
    done = ingested(packed, tmp_path, workers=2)
    assert done.manifest.drop(columns=["shard", "row"]).equals(folder.manifest.drop(columns=["shard", "row"]))
    assert [done.image(one) for one in done.manifest["id"]] == [folder.image(one) for one in done.manifest["id"]]
    assert done.outputs.rejected.equals(folder.outputs.rejected)
    assert done.outputs.ignored.equals(folder.outputs.ignored)
    assert len(done.outputs.ignored) == 2
    assert done.content() == ingested(packed, tmp_path).content()


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_did_not_change_keeps_its_pixels(kind: str, tmp_path: Path) -> None:
    files = {f"cat/{number}.png": encoded(picture(number)) for number in range(5)}
    place = pack(tmp_path / f"src.{kind}", files)
    first = ingested(place, tmp_path, folder=tmp_path / "shards")
    pack(place, files | {"cat/3.png": encoded(picture(33)), "cat/9.png": encoded(picture(9))})
    second = ingested(place, tmp_path, folder=tmp_path / "shards")
    same = first.manifest.merge(second.manifest, on=["path", "pixels"])["path"].tolist()
    assert same == ["cat/0.png", "cat/1.png", "cat/2.png", "cat/4.png"]
    assert second.content() == ingested(place, tmp_path).content()


def test_a_tar_of_the_oldest_form_is_known_by_its_checksum(tmp_path: Path) -> None:
    place = pack(tmp_path / "a.tar", {"cat/1.png": FILES["cat/1.png"]})
    data = bytearray(place.read_bytes())
    data[257:265] = bytes(8)
    data[148:156] = b"%06o\0 " % sum(data[:148], 8 * 32 + sum(data[156:512]))
    place.write_bytes(data)
    assert ingested(place, tmp_path).manifest["path"].tolist() == ["cat/1.png"]


def test_paths_may_start_from_a_folder_in_the_archive(tmp_path: Path) -> None:
    place = pack(tmp_path / "a.zip", {f"data/set/{name}": data for name, data in FILES.items()} | {"README": b""})
    done = ingested(place, tmp_path, inside="data/set/")
    assert done.manifest["path"].tolist() == ["cat/1.png", "cat/deep/2.png", "dog/3.png"]
    assert done.outputs.ignored.values.tolist()[0] == ["README", "not_inside"]
    assert len(done.outputs.ignored) == 3
    table = b"path,label\ncat/1.png,x\n../README,y\n"
    place = pack(tmp_path / "b.tar.gz", {"set/cat/1.png": FILES["cat/1.png"], "set/t.csv": table, "README": b""})
    columns = {"path": "path", "label": "label", "group": None, "captured_at": None}
    labels = {"name": "table", "file": "t.csv", "columns": columns, "unlisted": "ignore"}
    done = ingested(place, tmp_path, inside="set", labels=labels)
    assert done.manifest["label"].tolist() == ["x"]
    assert reasons(done) == {"../README": "path_leaves_source"}


def test_names_that_windows_wrote_have_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for name, system in (
            ("cat\\1.png", 0),
            ("dog\\2.png", 10),
            ("..\\out.png", 0),
            ("dog\\", 0),
            ("dog/a\\b.png", 3),
        ):
            one = zipfile.ZipInfo(name)
            one.create_system = system
            archive.writestr(one, b"" if name.endswith("\\") else FILES["cat/1.png"])
    done = ingested(tmp_path / "w.zip", tmp_path)
    assert done.manifest["path"].tolist() == ["cat/1.png", "dog/2.png", "dog/a\\b.png"]
    assert reasons(done) == {"../out.png": "path_leaves_source"}


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_read_in_any_order(kind: str, tmp_path: Path) -> None:
    place = pack(tmp_path / f"a.{kind}", FILES)
    files = open_files(SourceParams.model_validate({"role": "raw", "path": str(place)}), max_expansion=200)
    names = files.scan().files
    for path in [*reversed(names), *names, names[0]]:
        assert files.read(path, 10**6) == FILES[path]


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_declares_too_much_is_not_read(kind: str, tmp_path: Path) -> None:
    place = pack(tmp_path / f"a.{kind}", {"cat/1.png": bytes(1000)})
    files = open_files(SourceParams.model_validate({"role": "raw", "path": str(place)}), max_expansion=200)
    assert files.scan().files == ("cat/1.png",)
    assert files.read("cat/1.png", 1000) == bytes(1000)
    assert files.read("cat/1.png", 999) == Rejection("too_many_bytes", "1000 bytes, the limit is 999")
