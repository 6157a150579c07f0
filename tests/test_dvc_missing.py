"""A clone without the sources, through real DVC and real Git: what DVC's cache has must do."""

import shutil
from pathlib import Path

import pytest

from tests.dvc_projects import ALWAYS, commit, copied_repository, stages_run
from tests.running import run, write_params, write_tiny_sources

pytestmark = pytest.mark.slow
SOURCES = {"web": {"role": "raw", "path": "../images/web"}, "phone": {"role": "production", "path": "../images/phone"}}
TARGET = "curate"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose results were pushed; its sources lie beside it."""
    place = tmp_path_factory.mktemp("team")
    folder = copied_repository(place / "first")
    write_tiny_sources(place)
    write_params(folder, sources=SOURCES)
    run(folder, "dvc", "remote", "add", "--quiet", "--default", "shared", str(place / "remote"))
    run(folder, "dvc", "repro", TARGET)
    commit(folder, "Run")
    run(folder, "dvc", "push", "--quiet")
    return folder


@pytest.fixture
def clone(pushed: Path, tmp_path: Path) -> Path:
    """A fresh clone of it, with no sources beside it."""
    run(tmp_path, "git", "clone", "--quiet", str(pushed), "clone")
    return tmp_path / "clone"


@pytest.mark.parametrize("options", [["--allow-missing"], ["--pull", "--allow-missing"]], ids=" ".join)
def test_nothing_is_made_anew_where_the_sources_are_not(clone: Path, options: list[str]) -> None:
    printed = run(clone, "dvc", "repro", *options, TARGET)
    assert stages_run(printed) == ALWAYS
    assert "inventory: not here: phone, web; the results of the last run are used for them." in printed
    assert run(clone, "git", "status", "--porcelain") == ""


def test_a_change_of_params_runs_what_it_can(clone: Path) -> None:
    write_params(clone, sources=SOURCES, **{"split.seed": 9})
    printed = run(clone, "dvc", "repro", "--pull", "--allow-missing", "split")
    assert stages_run(printed) == [*ALWAYS, "split"]


def test_what_was_pulled_does_for_a_plain_repro(clone: Path) -> None:
    run(clone, "dvc", "pull", "--quiet", "--with-deps", TARGET, check=False)
    printed = run(clone, "dvc", "repro", TARGET)
    assert stages_run(printed) == ["data/dvc.yaml:code", "data/dvc.yaml:sample", "data/dvc.yaml:inventory"]
    assert "145 files in 2 sources; not here: phone, web; the results of the last run are used for them" in printed
    assert run(clone, "git", "status", "--porcelain") == ""


def test_without_the_cache_the_lists_are_missed_by_name(clone: Path) -> None:
    printed = run(clone, "dvc", "repro", TARGET, check=False)
    assert "Their lists are not in DVC's cache either: `dvc fetch data/dvc.yaml:inventory`" in printed
    assert "ERROR: failed to reproduce 'data/dvc.yaml:inventory'" in printed
    write_tiny_sources(clone.parent)
    shutil.rmtree(clone.parent / "images/web")
    printed = run(clone, "dvc", "repro", "--allow-missing", TARGET, check=False)
    assert "error: the sources web are missing, and their lists of the last run are not in DVC's cache" in printed
    run(clone, "dvc", "fetch", "data/dvc.yaml:inventory")
    printed = run(clone, "dvc", "repro", "--allow-missing", TARGET)
    assert stages_run(printed) == ALWAYS
    assert "145 files in 2 sources; not here: web;" in printed


def test_a_path_that_no_run_knew_is_an_error(clone: Path) -> None:
    run(clone, "dvc", "pull", "--quiet", "--with-deps", TARGET, check=False)
    write_params(clone, sources={**SOURCES, "web": {**SOURCES["web"], "path": "../images/wbe"}})
    printed = run(clone, "dvc", "repro", "--allow-missing", TARGET, check=False)
    assert "error: the source" in printed
    assert "../images/wbe" in printed


def test_other_params_of_ingest_need_the_source(clone: Path) -> None:
    run(clone, "dvc", "pull", "--quiet", "--with-deps", TARGET, check=False)
    write_params(clone, sources=SOURCES, **{"ingest.size": 8})
    printed = run(clone, "dvc", "repro", "--allow-missing", TARGET, check=False)
    assert "error: " in printed
    assert "images/" in printed


def test_a_source_that_dvc_tracks_must_be_of_the_version_of_the_last_run(clone: Path) -> None:
    write_tiny_sources(clone)
    write_params(clone)
    run(clone, "dvc", "add", "--quiet", "images")
    run(clone, "dvc", "repro", TARGET)
    shutil.rmtree(clone / "images")
    printed = run(clone, "dvc", "repro", TARGET)
    assert stages_run(printed) == ALWAYS
    assert "145 files in 2 sources; not here: phone, web;" in printed
    record = clone / "images.dvc"
    record.write_text(record.read_text() + "# another version\n")
    printed = run(clone, "dvc", "repro", TARGET, check=False)
    assert (
        "the source images/phone is missing, and `dvc add` tracks images: restore it with `dvc checkout images.dvc`"
        in printed
    )
