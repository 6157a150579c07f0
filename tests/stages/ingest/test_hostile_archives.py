"""ingest of hostile and damaged archives: members are refused one by one, and the rest is one error."""

import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, PipelineError
from pipeline.images.rejection import Rejection
from pipeline.sources import members
from pipeline.sources.files import open_files
from pipeline.sources.params import SourceParams
from tests.stages.ingest.archives import FILES, KINDS, info, ingested, pack, reasons
from tests.stages.ingest.ingesting import TOLERANT, run


def hostile_tar(place: Path) -> None:
    png = FILES["cat/1.png"]
    with tarfile.open(place, "w" if place.suffix == ".tar" else "w:gz") as archive:
        for name in ("cat/good.png", "./cat/dotted.png", "../out.png", "/root.png", "cat/../../out.png"):
            archive.addfile(info(name, size=len(png)), io.BytesIO(png))
        for name in ("cat/twice.png", "./cat/twice.png"):
            archive.addfile(info(name, size=len(png)), io.BytesIO(png))
        archive.addfile(info("cat", type=tarfile.DIRTYPE))
        archive.addfile(info("cat/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"))
        archive.addfile(info("cat/hard.png", type=tarfile.LNKTYPE, linkname="cat/good.png"))
        archive.addfile(info("cat/fifo.png", type=tarfile.FIFOTYPE))
        archive.addfile(info("cat/device.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5))
        archive.addfile(info("cat/\udcff.png", size=len(png)), io.BytesIO(png))
        archive.addfile(info("cat/large.png", size=200_000), io.BytesIO(bytes(200_000)))
        archive.addfile(info("cat/inner.zip", size=22), io.BytesIO(b"PK\x05\x06" + bytes(18)))


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_members_of_a_hostile_tar_are_refused_one_by_one(kind: str, tmp_path: Path) -> None:
    hostile_tar(tmp_path / f"h.{kind}")
    entry = {"sources.web": {"role": "raw", "path": str(tmp_path / f"h.{kind}")}}
    done = run(tmp_path, tmp_path, {**TOLERANT, **entry, "ingest.max_bytes": 100_000})
    assert done.manifest["path"].tolist() == ["cat/dotted.png", "cat/good.png"]
    assert reasons(done) == {
        "../out.png": "path_leaves_source",
        "/root.png": "path_leaves_source",
        "cat/../../out.png": "path_leaves_source",
        "cat/twice.png": "several_members",
        "cat/link.png": "link_in_archive",
        "cat/hard.png": "link_in_archive",
        "cat/fifo.png": "not_a_regular_file",
        "cat/device.png": "not_a_regular_file",
        "cat/\\udcff.png": "name_not_utf8",
        "cat/large.png": "too_many_bytes",
        "cat/inner.zip": "not_an_image",
    }


def test_members_of_a_hostile_zip_are_refused_one_by_one(tmp_path: Path) -> None:
    png = FILES["cat/1.png"]
    place = tmp_path / "h.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("cat/good.png", "../out.png", "/root.png", "C:/x/../../../out.png"):
            archive.writestr(name, png)
        link, device = zipfile.ZipInfo("cat/link.png"), zipfile.ZipInfo("cat/device.png")
        link.external_attr, device.external_attr = (stat.S_IFLNK | 0o777) << 16, (stat.S_IFCHR | 0o666) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr(device, "")
        archive.writestr("cat/squeezed.png", png, zipfile.ZIP_LZMA)
        archive.writestr("cat/large.png", bytes(200_000))
        archive.writestr("cat/inner.zip", b"PK\x05\x06" + bytes(18))
        for name in ("cat/secret.png", "cat/torn.png", "cat/liar.png"):
            archive.writestr(name, png, zipfile.ZIP_STORED)
        archive.writestr("./cat/twice.png", png)
        archive.writestr("cat/twice.png", png)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cat/twice.png", png)
    data = bytearray(place.read_bytes())
    # Fields of the local header and of the central directory, by their distance from the name.
    data[data.find(b"cat/secret.png") - 24] |= 1
    data[data.rfind(b"cat/secret.png") - 38] |= 1
    data[data.find(b"cat/torn.png") + 50] ^= 1
    liar = data.rfind(b"cat/liar.png")
    data[liar - 22 : liar - 18] = (50).to_bytes(4, "little")
    place.write_bytes(data)
    entry = {"sources.web": {"role": "raw", "path": str(place)}}
    done = run(tmp_path, tmp_path, {**TOLERANT, **entry, "ingest.max_bytes": 100_000})
    assert done.manifest["path"].tolist() == ["cat/good.png"]
    assert reasons(done) == {
        "../out.png": "path_leaves_source",
        "/root.png": "path_leaves_source",
        "C:/x/../../../out.png": "path_leaves_source",
        "cat/link.png": "link_in_archive",
        "cat/device.png": "not_a_regular_file",
        "cat/squeezed.png": "unknown_compression",
        "cat/large.png": "too_many_bytes",
        "cat/secret.png": "encrypted",
        "cat/torn.png": "damaged_member",
        "cat/liar.png": "damaged_member",
        "cat/twice.png": "several_members",
        "cat/inner.zip": "not_an_image",
    }
    assert len(done.outputs.rejected) == 14


BOMBS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda folder: pack(folder / "b.zip", {"cat/1.png": FILES["cat/1.png"], "cat/2.png": bytes(10**7)}),
    "gz": lambda folder: pack(folder / "b.tar.gz", {"cat/1.png": FILES["cat/1.png"], "cat/2.png": bytes(10**7)}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_an_error_before_it_goes_off(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MIN_BYTES", 10_000)
    place = BOMBS[kind](tmp_path)
    size = place.stat().st_size
    with pytest.raises(DataError) as raised:
        ingested(place, tmp_path)
    # A compressed tar is read no further than that.
    does = "gives" if kind == "gz" else "claims to hold"
    assert re.fullmatch(
        rf"\S+ {does} more than {200 * size:,} bytes, and is {size:,} bytes itself: it may be a decompression bomb "
        r"\(ingest\.max_expansion is 200; 10,000 bytes are always allowed\)\. If you trust it, raise the limit, or "
        r"unpack it",
        str(raised.value),
    )
    entry = {"sources.web": {"role": "raw", "path": str(place)}, "ingest.max_expansion": 10_000}
    assert reasons(run(tmp_path, tmp_path, {**TOLERANT, **entry})) == {"cat/2.png": "not_an_image"}


def header_of(size: int) -> bytes:
    return info("cat/1.png", type=tarfile.XHDTYPE, size=size).tobuf(tarfile.GNU_FORMAT)


DAMAGED: dict[str, bytes] = {
    "text": b"class,image\n" * 100,
    "empty": b"",
    "zip without a directory": b"PK\x03\x04" + bytes(100),
    "gz of no tar": b"\x1f\x8b" + bytes(100),
    "a header of gigabytes": header_of(5 * 10**9) + bytes(2048),
    "headers upon headers": header_of(0) * 5000 + bytes(1024),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_no_archive_is_one_error(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DAMAGED[kind])
    with pytest.raises(
        DataError,
        match=r"/x (is (damaged or cut short|neither a folder nor a supported archive)|has "
        r"no files)",
    ):
        ingested(tmp_path / "x", tmp_path)


def test_an_archive_that_leads_back_is_an_error_and_no_loop(tmp_path: Path) -> None:
    first, second = (io.BytesIO() for _ in range(2))
    with tarfile.open(fileobj=first, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info("cat/1.png", pax_headers={"size": "-1024"}))
    (tmp_path / "a.tar").write_bytes(first.getvalue())
    with pytest.raises(DataError, match=r"a\.tar is damaged or cut short"):
        ingested(tmp_path / "a.tar", tmp_path)
    with tarfile.open(fileobj=second, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info("cat/1.png", pax_headers={"size": "99999999999"}))
    (tmp_path / "b.tar").write_bytes(second.getvalue())
    with pytest.raises(DataError, match=r"b\.tar (is damaged or cut short|claims to hold 99,999,999,999 bytes)"):
        ingested(tmp_path / "b.tar", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_archive_that_is_cut_short_is_one_error(kind: str, share: float, tmp_path: Path) -> None:
    whole = pack(tmp_path / f"a.{kind}", FILES).read_bytes()
    end = len(whole.rstrip(b"\0"))
    (tmp_path / f"a.{kind}").write_bytes(whole[: int(end * share)])
    with pytest.raises(DataError, match=r"a\.[a-z0-9.]+ is damaged or cut short \("):
        ingested(tmp_path / f"a.{kind}", tmp_path)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_compressed_tar_is_read_to_its_checksum(kind: str, tmp_path: Path) -> None:
    whole = pack(tmp_path / f"a.{kind}", FILES).read_bytes()
    for damaged in (whole[:-1], whole[:-8] + bytes(8) if kind == "tar.gz" else whole[:-4]):
        (tmp_path / f"a.{kind}").write_bytes(damaged)
        with pytest.raises(DataError, match=r"is damaged or cut short \("):
            ingested(tmp_path / f"a.{kind}", tmp_path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_what_stands_behind_the_end_of_a_tar_is_not_passed_over(kind: str, tmp_path: Path) -> None:
    first = pack(tmp_path / f"a.{kind}", {"cat/1.png": FILES["cat/1.png"]})
    second = pack(tmp_path / f"b.{kind}", {"cat/2.png": FILES["dog/3.png"]})
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(DataError, match=r"\(ReadError: there is more behind its end, such as another archive\)"):
        ingested(first, tmp_path)


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_damage_is_a_refusal_or_an_error_for_people(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    place = pack(folder / f"a.{kind}", FILES)
    content = bytearray(place.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    place.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        files = open_files(SourceParams.model_validate({"role": "raw", "path": str(place)}), max_expansion=200)
        paths = files.in_order(files.scan().files)
        found = [files.read(path, 10**6) for path in paths]
    except PipelineError:
        return
    assert all(isinstance(one, bytes | Rejection) for one in found)
