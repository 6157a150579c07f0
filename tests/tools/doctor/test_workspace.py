"""`pipeline doctor` on a whole workspace: sound, without DVC, with a merge conflict, with hostile files."""

import importlib.metadata
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.repo import Repo

from pipeline.errors import StorageError
from pipeline.tools import revisions
from tests.running import run, run_cold, write_params
from tests.tools.doctor.workspaces import Doctor, damage, object_of, shard_of, states, wrong

WELL = {"locks", "git", "surroundings", "sources", "dvc files", "cache", "shards", "checksums", "leftovers"}


def test_a_sound_workspace_is_well(project: Path, doctor: Doctor) -> None:
    ended = doctor()
    assert ended.code == 0, ended.out
    assert set(states(ended)) == WELL
    assert wrong(ended) == set()
    assert doctor("--fix").code == 0
    # It is a process of the pipeline itself, and so is who started it.
    assert "no DVC command and no stage is running here" in run_cold(project, "python", "-m", "pipeline", "doctor")
    assert run(project, "git", "status", "--porcelain") == ""


def test_a_merge_conflict_is_named_and_nothing_of_the_cache_is_touched(project: Path, doctor: Doctor) -> None:
    Path("dvc.lock").write_text(f"<<<<<<< HEAD\n{Path('dvc.lock').read_text()}=======\n>>>>>>> other\n")
    damaged = object_of(shard_of(project))
    damage(damaged)
    ended = doctor("--fix")
    assert ended.code == 9
    assert wrong(ended) == {"dvc files", "cache"}
    assert "dvc.lock holds both sides of a merge conflict" in ended.out
    assert "git checkout --theirs dvc.lock" in ended.out
    assert "first fix DVC's files" in ended.out
    assert damaged.exists()


@pytest.mark.parametrize(
    ("content", "state"),
    [(b"", "is empty"), (bytes(40), "is empty"), (b"[]\n", "is damaged"), (b"stages: [", "is damaged")],
    ids=str,
)
def test_a_damaged_lock_is_named_and_the_whole_file_beside_it_is_not(
    project: Path, doctor: Doctor, content: bytes, state: str
) -> None:
    Path("dvc.lock").write_bytes(content)
    ended = doctor()
    assert ended.code == 9
    assert f"dvc.lock {state}" in ended.out
    assert "git restore dvc.lock" in ended.out
    assert "git checkout dvc.yaml" not in ended.out


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_lock_that_lost_its_end_is_told(project: Path, doctor: Doctor, share: float) -> None:
    whole = Path("dvc.lock").read_bytes()
    Path("dvc.lock").write_bytes(whole[: int(share * len(whole))])
    ended = doctor()
    assert ended.code == 9
    assert "git restore dvc.lock" in ended.out
    # Cut between two stages, it is as whole as any.
    Path("dvc.lock").write_bytes(whole[: whole.rindex(b"\n  ingest@") + 1])
    assert "dvc.lock has lost the stages" in doctor().out


def test_a_damaged_file_of_dvc_is_named(project: Path, doctor: Doctor) -> None:
    Path("data.dvc").write_text("outs: {")
    ended = doctor()
    assert ended.code == 9
    assert "DVC cannot read data.dvc" in ended.out
    assert "git checkout data.dvc" in ended.out


def test_a_damaged_database_of_dvc_is_an_error_that_says_what_to_remove(project: Path, doctor: Doctor) -> None:
    run(project, "dvc", "data", "status")
    with Repo() as repository:
        (file,) = Path(repository.site_cache_dir, "hashes/local").glob("*.db")
    file.write_bytes(b"no database")
    ended = doctor()
    assert ended.code == 6
    assert "DVC cannot open its database" in ended.err
    assert "If it is damaged, remove it" in ended.err
    # As do the commands that look at earlier runs.
    with pytest.raises(StorageError, match="DVC cannot open its database"), revisions.repository():
        pass


def test_without_dvc_the_rest_is_looked_at(workspace: Path, doctor: Doctor) -> None:
    os.mkfifo("images/web/a/pipe")
    ended = doctor("--fix")
    assert ended.code == 9
    assert wrong(ended) == {"dvc", "sources"}
    assert "`dvc init`" in ended.out


def test_a_project_without_git_is_looked_at(project: Path, doctor: Doctor) -> None:
    shutil.rmtree(".git")
    with Path(".dvc/config").open("a") as file:
        file.write("[core]\n    no_scm = true\n")
    ended = doctor()
    assert (ended.code, wrong(ended)) == (0, set()), ended.out + ended.err


def test_what_the_pipeline_stands_on_is_looked_at(
    project: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["numpy>=999", "no-such-package", "pandas>=1; extra == 'dev'", "pip"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needed)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    write_params(project, **{"ingest.size": 1, "split.min_per_class": -1})
    ended = doctor()
    assert states(ended)["surroundings"] in {"4 wrong", "5 wrong"}
    for text in ("numpy ", "no-such-package is missing", "5 MB are free", "ingest.size", "split.min_per_class"):
        assert text in ended.out
    assert "sources       ok: not checked" in ended.out
    monkeypatch.setenv("PATH", "")
    assert "there is no command `python`" in doctor().out


def test_dvc_passes_by_what_the_doctor_lists(project: Path, doctor: Doctor) -> None:
    folder = Path("images/web/a")
    os.mkfifo(folder / "x [1].png")
    (folder / ".hidden").symlink_to("nowhere")
    (folder / "outside.png").symlink_to(__file__)
    unsaid = os.fsdecode(b"images/web/a/\xff.png")
    Path(unsaid).touch()
    ended = doctor()
    assert ended.code == 9
    assert states(ended)["sources"] == "4 wrong"
    assert f"{folder / 'x [1].png'}: a pipe (FIFO): DVC waits for ever to read it" in ended.out
    ended = doctor("--fix")
    assert ended.code == 9
    assert r"remove it or give it another name: images/web/a/\udcff.png" in ended.out
    assert ended.err == "error: 1 problem found\n"
    Path(unsaid).unlink()
    assert doctor().code == 0
    assert Path(".dvcignore").read_text().splitlines()[-3:] == [
        "/images/web/a/.hidden",
        "/images/web/a/outside.png",
        r"/images/web/a/x\ \[1\].png",
    ]
    assert "up to date" in run(project, "dvc", "status", "ingest")
    run(project, "dvc", "repro", "--force", "ingest@web")
    rejected = Path("data/ingest/web/rejected.csv").read_text()
    assert '"a/x [1].png","not_a_regular_file"' in rejected
    assert '"a/outside.png","link_leaves_source"' in rejected


def test_a_shallow_clone_is_told(
    project: Path, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "shallow" not in doctor().out
    run(project, "git", "commit", "--quiet", "--allow-empty", "--message", "Second")
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", f"file://{project}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    ended = doctor()
    assert "this is a shallow clone" in ended.out
    assert "`git fetch --unshallow`" in ended.out
