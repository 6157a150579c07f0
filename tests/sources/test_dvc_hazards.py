"""Folders with what DVC hangs on, fails on or follows to outside: all named, nothing opened."""

import errno
import os
import socket
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.ignore import DvcIgnorePatterns
from dvc.pathspec_math import PatternInfo
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.dvc_hazards import added_root, hazards, shown
from pipeline.tools.doctor.folders import examine_folders, ignore_pattern


def make(kind: str, place: Path) -> None:
    """One entry of a folder, of a kind that its name says."""
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(place))
        case "link to a device":
            place.symlink_to("/dev/zero")
        case "link to a pipe":
            os.mkfifo(place.with_name("target"))
            place.symlink_to("target")
        case "dangling link":
            place.symlink_to("nowhere")
        case "link in a loop":
            place.symlink_to(place.name)
        case "link to outside":
            place.symlink_to(__file__)


KINDS = {
    "pipe": "a pipe (FIFO): DVC waits for ever to read it",
    "socket": "a socket: DVC cannot read it",
    "link to a device": "a link to a device: DVC reads it without end",
    "link to a pipe": "a link to a pipe (FIFO): DVC waits for ever to read it",
    "dangling link": "a broken link (No such file or directory): DVC fails on it",
    "link in a loop": "a broken link (Too many levels of symbolic links): DVC fails on it",
    "link to outside": "a link that leaves the folder: DVC takes what lies behind it for its content",
}


@pytest.mark.parametrize("name", ["x.jpg", ".hidden"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_hazard_is_named(tmp_path: Path, kind: str, name: str) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    make(kind, folder / name)
    found = {hazard.path: hazard for hazard in hazards(tmp_path)}
    assert str(found[folder / name]) == f"{folder / name}: {KINDS[kind]}"
    assert found[folder / name].leaves == (kind == "link to outside")
    assert set(found) - {folder / name} == ({folder / "target"} if kind == "link to a pipe" else set())


def test_what_dvc_can_meet_is_no_hazard(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "a/inside").symlink_to("1.jpg")
    (tmp_path / "a/folder outside").symlink_to("/etc")
    (tmp_path / "a/loop").symlink_to("../a")
    (tmp_path / "a/😀 [1]\n#!.jpg").touch()
    assert hazards(tmp_path) == []


def test_names_that_are_not_utf_8_are_shown_on_one_line(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.jpg")).touch()
    (tmp_path / os.fsdecode(b"b\xfe\n")).mkdir()
    (tmp_path / os.fsdecode(b"b\xfe\n") / os.fsdecode(b"\xff")).touch()
    found = [str(hazard) for hazard in hazards(tmp_path)]
    assert found == [
        f"{tmp_path}/{name}: its name is not UTF-8: DVC fails on it" for name in (r"a\udcff.jpg", r"b\udcfe\n")
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o000)
    (tmp_path / "folder").mkdir(0o000)
    assert [hazard.reason.split(":")[0] for hazard in hazards(tmp_path)] == [
        "not readable",
        "a folder that cannot be listed (Permission denied)",
    ]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    (hazard,) = hazards(tmp_path)
    text = f"{tmp_path}: a folder that cannot be listed (Permission denied): DVC leaves it out without a message"
    assert str(hazard) == text


def test_a_source_that_is_one_file_is_looked_at_itself(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.zip"):
        assert hazards(tmp_path / name) == []
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.zip").symlink_to("pipe")
    (tmp_path / "table.csv").touch()
    assert [str(hazard) for hazard in hazards(tmp_path / "pipe")] == [f"{tmp_path}/pipe: {KINDS['pipe']}"]
    assert [hazard.reason for hazard in hazards(tmp_path / "pipe.zip")] == [KINDS["pipe"]]
    assert hazards(tmp_path / "table.csv") == []


def test_the_folder_that_dvc_tracks_is_found_above_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/images/web").mkdir(parents=True)
    assert added_root(Path("data/images/web")) is None
    Path("data/images.dvc").touch()
    Path("data/images/phone.dvc").mkdir()
    assert added_root(Path("data/images/web")) == added_root(Path("data/images")) == Path("data/images")
    assert added_root(Path("data/images/phone")) == Path("data/images")
    os.mkfifo("data/images/pipe")
    part = examine_folders([Path("data/images/web"), Path("data/images/phone")], tmp_path, lambda _: False)
    assert [problem.what for problem in part.problems] == [
        "data/images/pipe: a pipe (FIFO): DVC waits for ever to read it"
    ]
    assert examine_folders([Path("data/images")], tmp_path, lambda _: True).problems == []


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0\n\r"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)


@given(st.lists(names, min_size=1, max_size=3), st.lists(names, min_size=1, max_size=3))
def test_a_pattern_stands_for_one_path_alone(parts: list[str], others: list[str]) -> None:
    path, other = "/".join(parts), "/".join(others)
    if shown(Path(path)) != path:
        return
    patterns = DvcIgnorePatterns([PatternInfo(ignore_pattern(path), "")], "/root", localfs.sep)
    folder, _, name = f"/root/{path}".rpartition("/")
    assert patterns.matches(folder, name)
    folder, _, name = f"/root/{other}".rpartition("/")
    assert patterns.matches(folder, name) == (other == path or other.startswith(f"{path}/"))
