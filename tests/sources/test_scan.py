"""Source folders: what is read, refused and ignored; and the folders that the sample is written to."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import MissingInputError, StorageError
from pipeline.sources.scan import Scan, images_in_class_folders, scan
from tests.examples import full_disk


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


REFUSED: dict[str, tuple[str, Callable[[str], object]]] = {
    "cat/gone.png": ("dangling_link", lambda name: Path(name).symlink_to("nowhere.png")),
    "cat/itself.png": ("dangling_link", lambda name: Path(name).symlink_to("itself.png")),
    "cat/outside.png": ("link_leaves_source", lambda name: Path(name).symlink_to("../../secret.png")),
    "cat/pipe.png": ("not_a_regular_file", os.mkfifo),
    "cat/socket.png": ("not_a_regular_file", lambda name: os.mknod(name, stat.S_IFSOCK)),
    "cat/\udcff.png": ("name_not_utf8", lambda name: Path(name).write_text("")),
    "cat/up": ("linked_folder", lambda name: Path(name).symlink_to("..")),
    "emu": ("link_leaves_source", lambda name: Path(name).symlink_to("../other")),
}
IGNORED = {
    ".git/cat/1.png": "hidden",
    ".git/cat/2.png": "hidden",
    "@eaDir/cat/1.png@SynoEAStream": "system_file",
    "#recycle/cat/1.png": "system_file",
    "$RECYCLE.BIN/S-1-5-21/desktop.ini": "system_file",
    "lost+found/#123": "system_file",
    "System Volume Information/IndexerVolumeGuid": "system_file",
    "__MACOSX/cat/1.png": "system_file",
    "desktop.ini": "system_file",
    "cat/.DS_Store": "hidden",
    "cat/.@__thumb/default1.png": "hidden",
    "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": "system_file",
    "cat/Thumbs.db": "system_file",
}


def test_a_scan_sorts_files_into_those_to_read_to_refuse_and_to_ignore(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret.png").write_text("")
    Path("other").mkdir()
    for name in [
        "src/loose.txt",
        "src/dog/b/2.png",
        "src/dog/1.png",
        "src/cat/Ü 1.png",
        *(f"src/{n}" for n in IGNORED),
    ]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    Path("src/cat/linked.png").symlink_to("../dog/1.png")
    monkeypatch.chdir("src")
    for name, (_, make) in REFUSED.items():
        make(name)
    expected = Scan(
        files=("cat/linked.png", "cat/Ü 1.png", "dog/1.png", "dog/b/2.png", "loose.txt"),
        refused=tuple(sorted((name.replace("\udcff", "\\udcff"), reason) for name, (reason, _) in REFUSED.items())),
        ignored=tuple(sorted(IGNORED.items())),
    )
    assert scan(Path()) == expected
    Path("../link").symlink_to("src")
    assert scan(Path("../link")) == expected


def test_links_in_an_ignored_folder_are_rows_and_lead_nowhere() -> None:
    for name in ("src/.old/deep", "other/below"):
        Path(name).mkdir(parents=True)
    Path("other/below/1.png").touch()
    Path("src/.old/link").symlink_to("../../other")
    Path("src/.old/deep/up").symlink_to("..")
    Path("src/.old/\udcff").touch()
    Path("src/.link").symlink_to("../other")
    expected = [".link", ".old/\\udcff", ".old/deep/up", ".old/link"]
    assert scan(Path("src")) == Scan((), (), tuple((path, "hidden") for path in expected))


def test_a_folder_of_a_system_that_may_not_be_read_is_ignored_as_one(tmp_path: Path) -> None:
    Path("src/cat/lost+found").mkdir(parents=True)
    Path("src/cat/1.png").touch()
    tmp_path.chmod(0o755)
    Path("src/cat/lost+found").chmod(0o000)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        assert scan(Path("src")) == Scan(("cat/1.png",), (), (("cat/lost+found/", "system_file"),))
    finally:
        os.seteuid(user)
        Path("src/cat/lost+found").chmod(0o755)


def test_a_source_must_be_a_folder() -> None:
    Path("file").write_text("")
    with pytest.raises(
        MissingInputError, match=r"^the source folder file is not a folder: correct its path under `sou"
    ):
        scan(Path("file"))
    with pytest.raises(
        MissingInputError, match=r"^the source folder nowhere is missing: correct its path under `source"
    ):
        scan(Path("nowhere"))


@pytest.mark.parametrize("closed", ["src", "src/cat"])
def test_a_folder_that_may_not_be_read_is_an_error(closed: str, tmp_path: Path) -> None:
    Path("src/cat").mkdir(parents=True)
    tmp_path.chmod(0o755)
    Path(closed).chmod(0o000)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read every folder, nobody may not
        with pytest.raises(StorageError, match=rf"^{closed}: Permission denied\. Fix the permissions, then run"):
            scan(Path("src"))
    finally:
        os.seteuid(user)
        Path(closed).chmod(0o755)


def test_images_that_do_not_fit_are_an_error() -> None:
    with full_disk(1000), pytest.raises(StorageError, match=r"^images: File too large\. Allow larger files"):
        images_in_class_folders("").write({"cat/1.png": b"x", "cat/2.png": bytes(2000)}, Path("images"))
