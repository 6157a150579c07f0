"""ingest over a folder of everything that goes wrong: each file ends where it belongs, and the counts add up."""

import os
from pathlib import Path

import pytest

from pipeline import catalogue
from tests.examples import write_source
from tests.hostile import FILES, loads_at_the_second_time, write_hostile
from tests.stages.ingest.ingesting import run

LIMITS = {
    "ingest.max_rejected": 1.0,
    "ingest.max_bytes": 1_000_000,
    "ingest.max_memory_mb": 256,
    "ingest.max_seconds": 1,
}


def test_the_pngs_trap_is_one() -> None:
    """Pillow refuses it at first, and would give grey rows at the second load."""
    assert loads_at_the_second_time(FILES["second load.png"][0])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("hostile") / "src"
    return root, write_hostile(root)


def test_each_hostile_file_ends_where_it_belongs(hostile: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, expected = hostile
    done = run(root, tmp_path, LIMITS, workers=2)
    rejected = done.outputs.rejected
    found = dict.fromkeys(done.manifest["path"], "") | dict(zip(rejected["path"], rejected["reason"], strict=True))
    assert found == expected
    assert (rejected["detail"].str.len() > 0).all()
    counts = done.outputs.metrics
    assert counts["files"] == len(expected) + 2
    assert counts["files"] == counts["accepted"] + counts["rejected"] + counts["ignored"]
    assert counts["codec_warnings"] == 1
    assert done.manifest["id"].is_unique
    assert set(done.manifest["label"]) >= {"<script>alert(1)", "x\\..\\y"}
    # As a person opens it: a row a file, whatever its name.
    done.content()
    assert len(catalogue.INGEST_REJECTED.read(done.folder / "rejected")) == counts["rejected"]
    assert catalogue.INGESTED.read(done.folder / "manifest")["path"].tolist() == done.manifest["path"].tolist()
    assert run(root, tmp_path, LIMITS, workers=1).content() == done.content()


def test_a_file_within_the_limit_of_bytes_and_beyond_that_of_memory_costs_itself(tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 2})
    (tmp_path / "src/cat/zeros.png").touch()
    os.truncate(tmp_path / "src/cat/zeros.png", 400_000_000)
    done = run(tmp_path / "src", tmp_path, {**LIMITS, "ingest.max_bytes": 10**9})
    assert done.outputs.rejected[["path", "reason"]].values.tolist() == [["cat/zeros.png", "too_large"]]
    assert len(done.manifest) == 2
