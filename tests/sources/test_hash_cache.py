"""Hashes of files, remembered by stamps: the right ones after any change, and no second reading without one."""

import hashlib
import math
import os
import time
from pathlib import Path

import pytest

from pipeline.sources.hash_cache import UNREADABLE, file_hashes
from pipeline.store.reading import sha256_of
from pipeline.workers.engine import Engine

LATER = time.time_ns() + 3_600_000_000_000


def hashes(root: Path, memory: Path, now: int = LATER, most: float = math.inf) -> dict[str, str]:
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())
    most_of = lambda path: most if path != "a/2" else math.inf  # noqa: E731
    found = file_hashes(root, paths, most_of, memory, now, Engine(1), "hash")
    return dict(zip(paths, found.to_pylist(), strict=True))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src/a").mkdir(parents=True)
    for name in ("a/1", "a/2", "b"):
        (tmp_path / "src" / name).write_bytes(name.encode())
    return tmp_path / "src"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []

    def noted(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("pipeline.sources.hash_cache.sha256_of", noted)
    return names


def test_what_nobody_has_touched_is_not_read_again(root: Path, tmp_path: Path, read: list[str]) -> None:
    first = hashes(root, tmp_path / "memory")
    assert first == {name: sha256(name.encode()) for name in ("a/1", "a/2", "b")}
    assert hashes(root, tmp_path / "memory") == first
    assert read == ["1", "2", "b"]


def test_what_is_too_large_is_not_read(root: Path, tmp_path: Path, read: list[str]) -> None:
    os.truncate(root / "a/1", 2**40)
    os.truncate(root / "a/2", 2**20)
    found = hashes(root, tmp_path / "memory", most=2**20)
    assert found == {"a/1": f"too_many_bytes {2**40}", "a/2": sha256(b"a/2".ljust(2**20, b"\0")), "b": sha256(b"b")}
    assert list(found) == ["a/1", "a/2", "b"]
    assert hashes(root, tmp_path / "memory", most=2**20) == found
    assert read == ["2", "b"]
    os.truncate(root / "a/1", 1)
    assert hashes(root, tmp_path / "memory", most=2**20)["a/1"] == sha256(b"a")


def test_a_change_that_keeps_size_and_time_is_seen(root: Path, tmp_path: Path, read: list[str]) -> None:
    hashes(root, tmp_path / "memory")
    before = (root / "b").stat()
    (root / "b").write_bytes(b"c")
    os.utime(root / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes(root, tmp_path / "memory")["b"] == sha256(b"c")
    (root / "a/1").unlink()
    (root / "new").write_bytes(b"new")
    assert hashes(root, tmp_path / "memory") == {"a/2": sha256(b"a/2"), "b": sha256(b"c"), "new": sha256(b"new")}
    assert read == ["1", "2", "b", "b", "new"]


def test_a_young_file_is_read_again(root: Path, tmp_path: Path, read: list[str]) -> None:
    for _ in range(2):
        hashes(root, tmp_path / "memory", now=time.time_ns())
    assert read == ["1", "2", "b"] * 2


def test_a_damaged_memory_costs_time_alone(root: Path, tmp_path: Path) -> None:
    first = hashes(root, tmp_path / "memory")
    whole = (tmp_path / "memory").read_bytes()
    for damaged in (b"", whole[:100], b"no Arrow file"):
        (tmp_path / "memory").write_bytes(damaged)
        assert hashes(root, tmp_path / "memory") == first


def test_what_cannot_be_read_is_said_and_not_remembered(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to("nowhere")
    assert hashes(root, tmp_path / "memory")["link"] == UNREADABLE
    (root / "nowhere").write_bytes(b"here")
    assert hashes(root, tmp_path / "memory")["link"] == sha256(b"here")


def test_a_folder_without_files_has_no_hashes(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert hashes(tmp_path / "src", tmp_path / "memory") == {}
    assert hashes(tmp_path / "src", tmp_path / "memory") == {}
