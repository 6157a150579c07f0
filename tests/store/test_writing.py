"""Files are written whole or not at all, and take the place of whatever is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.store.writing import check_writable, partial_path, put_in_place, replacing, write_bytes, write_files
from tests.examples import full_disk


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_read_only(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o444)


STOOD_THERE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "read-only file": write_read_only,
    "link": lambda path: path.symlink_to("cached"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a folder": lambda path: path.symlink_to("folder"),
    "full folder": lambda path: (path / "old").mkdir(parents=True),
}


@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("old", STOOD_THERE)
def test_what_is_whole_takes_the_place_of_anything(new: str, old: str) -> None:
    write_read_only(Path("cached"))
    Path("folder").mkdir()
    STOOD_THERE[old](Path("out"))
    partial = partial_path(Path("out"))
    if new == "folder":
        partial.mkdir()
    content = partial / "new" if new == "folder" else partial
    content.write_text("new")
    put_in_place(partial, Path("out"))
    assert not Path("out").is_symlink()
    assert {path.name: path.read_text() for path in [Path("out"), *Path("out").rglob("*")] if path.is_file()} == {
        "new" if new == "folder" else "out": "new"
    }
    assert Path("cached").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["cached", "folder", "out"]


def stop_in_a_write(half: Path) -> None:
    half.write_bytes(b"ha")
    raise KeyboardInterrupt


def test_what_a_write_that_fails_leaves_is_nothing() -> None:
    path = Path("new/folder/file")
    with full_disk(100), pytest.raises(StorageError, match="File too large"), replacing(path) as half:
        write_bytes(bytes(1000), half)
    assert [*path.parent.iterdir()] == []
    with replacing(path) as half:
        write_bytes(b"whole", half)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    with pytest.raises(KeyboardInterrupt), replacing(path) as half:
        stop_in_a_write(half)
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"whole"]


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "table.csv")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        check_writable(tmp_path / "file" / "table.csv")
    with pytest.raises(StorageError, match="is a folder: name a file"):
        check_writable(tmp_path / "new")


@pytest.mark.parametrize("place", ["null", "pipe"])
def test_no_file_takes_the_place_of_a_device_or_a_pipe(place: str) -> None:
    if place == "pipe":
        os.mkfifo(place)
    else:
        # As /dev/stdout is a link; what it leads to stays in use.
        Path(place).symlink_to("/dev/null")
    for write in (
        check_writable,
        lambda path: write_files({Path("whole"): b"new", path: b"new"}),
        lambda path: replacing(path).__enter__(),
    ):
        with pytest.raises(
            StorageError, match=f"^{place} is a pipe, a socket or a device, and would be replaced: name"
        ):
            write(Path(place))
    assert [path.name for path in Path().iterdir()] == [place]
