"""ingest after inventory: a file that nobody has touched is read once, to be decoded, and held against its hash."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.sources import files
from pipeline.sources import hash_cache as seen
from pipeline.stages.inventory.stage import inventory
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.workers.engine import Engine
from tests.examples import encoded, params, picture, write_source
from tests.stages.ingest.ingesting import Run, run

MEMORY = Path(catalogue.INVENTORY_MEMORY.format(name="web"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source that inventory has seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seen, "YOUNG", 0)
    write_source(tmp_path / "src", {"cat": 9, "dog": 3})
    look(tmp_path / "src")
    return tmp_path / "src"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read for their hash."""
    paths: list[str] = []
    hashed = files._sha256

    def noted(root: Path, most: int, path: str) -> Any:
        paths.append(path)
        return hashed(root, most, path)

    monkeypatch.setattr(files, "_sha256", noted)
    return paths


def look(root: Path) -> None:
    inventory({"web": params(**{"sources.web.path": str(root)}).sources["web"]}, 10**6, Engine(1))


def without_memory(root: Path, base: Path, **changes: Any) -> Run:
    MEMORY.unlink()
    return run(root, base, changes)


def test_what_inventory_remembers_is_not_read_for_its_hash(root: Path, tmp_path: Path, read: list[str]) -> None:
    done = run(root, tmp_path)
    assert read == []
    assert done.content() == without_memory(root, tmp_path).content()
    assert len(read) == 12


def test_what_was_touched_since_or_is_new_is_read(root: Path, tmp_path: Path, read: list[str]) -> None:
    before = (root / "cat/001.png").stat()
    (root / "cat/001.png").write_bytes(encoded(picture(77))[: before.st_size].ljust(before.st_size, b"\0"))
    os.utime(root / "cat/001.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    (root / "bee").mkdir()
    (root / "bee/new.png").write_bytes(encoded(picture(78)))
    (root / "dog/000.png").unlink()
    changes = {"ingest.max_rejected": 0.5}
    done = run(root, tmp_path, changes)
    assert read == ["bee/new.png", "cat/001.png"]
    assert done.content() == without_memory(root, tmp_path, **changes).content()


def test_a_folder_in_the_source_has_its_paths_in_the_memory(root: Path, tmp_path: Path, read: list[str]) -> None:
    (root / "cat").rename(root / "x")
    (root / "cat").mkdir()
    (root / "x").rename(root / "cat/deep")
    look(root)
    done = run(root, tmp_path, {"sources.web.inside": "cat"})
    assert (read, set(done.manifest["label"])) == ([], {"deep"})


def test_the_limit_of_bytes_holds_for_what_is_remembered(root: Path, tmp_path: Path) -> None:
    largest = max(root.rglob("*.png"), key=lambda path: path.stat().st_size)
    changes = {"ingest.max_bytes": largest.stat().st_size - 1, "ingest.max_rejected": 0.9}
    assert "too_many_bytes" in set(run(root, tmp_path, changes).outputs.rejected["reason"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_content_that_is_not_the_remembered_one_stops_the_run(workers: int, root: Path, tmp_path: Path) -> None:
    table = open_arrow(MEMORY)
    hashes = ["0" * 64, *table["sha256"].to_pylist()[1:]]
    write_arrow(table.set_column(5, "sha256", pa.array(hashes)), tmp_path / "memory")
    (tmp_path / "memory").replace(MEMORY)
    with pytest.raises(DataError, match=r"src/cat/000\.png has changed since inventory read it: run `dvc repro`"):
        run(root, tmp_path, workers=workers)


def test_a_damaged_memory_costs_time_alone(root: Path, tmp_path: Path, read: list[str]) -> None:
    MEMORY.write_bytes(MEMORY.read_bytes()[:100])
    run(root, tmp_path)
    assert len(read) == 12
