"""The runner replaces all outputs of a stage or none, whatever fails."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageError
from pipeline.project.runner import write_all
from pipeline.sources.scan import images_in_class_folders
from pipeline.stage import Stage
from pipeline.store import artifacts as storage
from tests.examples import full_disk
from tests.project.test_runner import files

pytestmark = pytest.mark.usefixtures("empty_project")


@dataclass(frozen=True)
class ThreeOutputs:
    first: Any
    second: Any
    third: Any
    summary: str = ""


STAGE = Stage(
    name="three",
    function=ThreeOutputs,
    writes={
        "first": storage.text("data/three/first.txt"),
        "second": storage.report("reports/three/second.json"),
        "third": images_in_class_folders("data/three/third"),
    },
)
OLD = ThreeOutputs("old", {"old": 1}, {"cat/old.png": b"old"})
OLD_FILES = {
    "data/three/first.txt": b"old",
    "reports/three/second.json": b'{\n  "old": 1\n}\n',
    "data/three/third/cat/old.png": b"old",
}


def test_all_outputs_are_replaced_and_nothing_half_written_stays() -> None:
    write_all(STAGE, OLD)
    assert files() == OLD_FILES
    write_all(STAGE, ThreeOutputs("new", {}, {"dog/new.png": b"new"}))
    assert files() == {
        "data/three/first.txt": b"new",
        "reports/three/second.json": b"{}\n",
        "data/three/third/dog/new.png": b"new",
    }
    assert {path.name for path in Path("data/three").iterdir()} == {"first.txt", "third"}


class Interrupted(dict[str, bytes]):
    """Images whose writing is stopped by Ctrl-C."""

    def items(self) -> Any:
        yield "cat/1.png", b"1"
        signal.raise_signal(signal.SIGINT)


FAILURES: dict[str, tuple[ThreeOutputs, type[BaseException]]] = {
    "no room for the first": (ThreeOutputs("x" * 5000, {}, {}), StorageError),
    "no room for the second": (ThreeOutputs("new", {"new": "x" * 5000}, {}), StorageError),
    "no room for the third": (ThreeOutputs("new", {}, {"a/1.png": b"1", "a/2.png": bytes(5000)}), StorageError),
    "a number that JSON lacks": (ThreeOutputs("new", {"new": float("nan")}, {}), ValueError),
    "a bug": (ThreeOutputs("new", {}, None), AttributeError),
    "Ctrl-C": (ThreeOutputs("new", {}, Interrupted()), KeyboardInterrupt),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_write_that_fails_leaves_all_old_outputs_and_nothing_else(failure: str) -> None:
    outputs, error = FAILURES[failure]
    write_all(STAGE, OLD)
    with full_disk(4000), pytest.raises(error):
        write_all(STAGE, outputs)
    assert files() == OLD_FILES
    assert not list(Path().rglob(".*"))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_first_write_that_fails_leaves_nothing(failure: str) -> None:
    outputs, error = FAILURES[failure]
    with full_disk(4000), pytest.raises(error):
        write_all(STAGE, outputs)
    assert files() == {}


LEFT_BEHIND: dict[str, Callable[[], object]] = {
    "half a file": lambda: Path("data/three/.first.txt.partial").write_bytes(b"ol"),
    "half a folder": lambda: Path("data/three/.third.partial/cat/old.png").mkdir(parents=True),
    "a folder where a file will be": lambda: Path("data/three/.first.txt.partial").mkdir(),
    "a file where a folder will be": lambda: Path("data/three/.third.partial").write_bytes(b""),
    "an old folder that stepped aside": lambda: Path("data/three/third").rename("data/three/.third.old"),
}


@pytest.mark.parametrize("leave", LEFT_BEHIND.values(), ids=LEFT_BEHIND.keys())
def test_what_a_killed_run_left_does_not_hinder_the_next(leave: Callable[[], object]) -> None:
    write_all(STAGE, OLD)
    leave()
    write_all(STAGE, OLD)
    assert files() == OLD_FILES
    assert not list(Path().rglob(".*"))


def test_a_file_in_the_way_of_a_folder_is_said_in_words() -> None:
    write_all(STAGE, OLD)
    Path("reports/three/second.json").unlink()
    Path("reports/three").rmdir()
    Path("reports/three").write_text("a file")
    with pytest.raises(
        StorageError,
        match=r"^reports/three/second\.json: (File exists|Not a directory)\. A file is in the place of a folder",
    ):
        write_all(STAGE, OLD)
    assert Path("data/three/first.txt").read_text() == "old"
    assert not list(Path().rglob(".*"))
