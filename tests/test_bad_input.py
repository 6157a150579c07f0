"""What users get wrong: each ends with a message and the right exit code, and leaves older results alone."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.workers.engine import Engine
from tests.running import Ended, environment, pipeline, write_params

Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: pipeline(capsys, monkeypatch, *arguments)


def run_until(stage: str) -> None:
    """Every stage before this one."""
    for name, key in (("ingest", "phone"), ("ingest", "web"), ("curate", None), ("split", None), ("balance", None)):
        if name == stage:
            return
        run_stage(name, load_params(), Engine(1), key)


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_source_folder_that_is_missing(workspace: Path, command: Command) -> None:
    shutil.rmtree("images/web")
    assert_refused(command("ingest", "web"), 4, "the source folder images/web is missing", "under `sources`")


def test_a_source_path_that_is_a_file(workspace: Path, command: Command) -> None:
    shutil.rmtree("images/web")
    Path("images/web").write_text("not a folder")
    assert_refused(command("ingest", "web"), 5, "images/web is neither a folder nor a supported archive", "zip")


def test_a_source_folder_that_is_empty(workspace: Path, command: Command) -> None:
    shutil.rmtree("images/web")
    Path("images/web").mkdir()
    assert_refused(command("ingest", "web"), 5, "images/web has no files", "one folder per class")


def test_a_source_folder_without_class_folders(workspace: Path, command: Command) -> None:
    picture = next(Path("images/web/a").iterdir()).read_bytes()
    shutil.rmtree("images/web")
    Path("images/web").mkdir()
    Path("images/web/cat.png").write_bytes(picture)
    assert_refused(command("ingest", "web"), 5, "images/web has no class folders, and 1 files outside of class folders")


def test_a_source_of_rubbish(workspace: Path, command: Command) -> None:
    for number in range(9):
        Path(f"images/web/a/broken{number}.jpg").write_text("not a picture")
    ended = command("ingest", "web")
    assert_refused(ended, 5, "9 of 79 files in images/web were rejected (9 not_an_image)", "ingest.max_rejected is 10%")
    assert not Path("data/ingest/web/manifest.arrow").exists()


def test_one_class_only(workspace: Path, command: Command) -> None:
    for label in ("b", "c"):
        shutil.rmtree(f"images/web/{label}")
        shutil.rmtree(f"images/phone/{label}")
    run_until("split")
    assert_refused(command("split"), 5, "needs at least two classes, but the images have 1 (a)")


def test_classes_without_production_images(workspace: Path, command: Command) -> None:
    shutil.rmtree("images/phone/b")
    shutil.rmtree("images/phone/c")
    run_until("split")
    assert_refused(command("split"), 5, "without production images", ": b, c.", "Add production images")


def test_too_few_production_images(workspace: Path, command: Command) -> None:
    write_params(workspace, **{"split.min_per_class": 50})
    run_until("split")
    ended = command("split")
    assert_refused(ended, 5, "the splits are too small", "split.min_per_class is 50", "class a", "class c")
    assert ended.err.count("production images in dev") == ended.err.count("production images in test") == 3


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"ingest.sise": 32}, ["ingest.sise: no such param, did you mean size?"]),
        ({"train.epochs": "12"}, ["train.epochs: ", "valid integer", "got '12'"]),
        ({"split.production": {"train": 0.5, "dev": 0.5, "test": 0.5}}, ["must sum to 1, got 1.5"]),
        ({"ingest.fit": "zoom", "balance.seed": -1}, ["breaks 2 rules", "ingest.fit", "balance.seed"]),
    ],
)
def test_wrong_params(workspace: Path, command: Command, change: dict[str, Any], messages: list[str]) -> None:
    write_params(workspace, **change)
    assert_refused(command("split"), 3, *messages)


def test_two_sources_with_one_name(workspace: Path, command: Command) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("sources:\n", "sources:\n  web: {role: raw, path: x}\n"))
    assert_refused(command("ingest", "web"), 3, "not valid YAML", 'duplicate key "web"')


def test_a_source_that_params_do_not_name(workspace: Path, command: Command) -> None:
    assert_refused(command("ingest", "camera"), 3, "sources has no entry 'camera'", "names ")


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("curate", "sources not ingested yet: phone, web; run `dvc repro ingest`"),
        ("split", "data/curate/manifest.arrow is missing: run `dvc repro curate`"),
        ("balance", "data/split/manifest.arrow is missing: run `dvc repro split`"),
        ("augment", "data/balance/manifest.arrow is missing: run `dvc repro balance`"),
        ("train", "data/augment/manifest.arrow is missing: run `dvc repro augment`"),
        ("evaluate", "data/split/manifest.arrow is missing: run `dvc repro split`"),
        ("diagnose", "data/evaluate/predictions.arrow is missing: run `dvc repro evaluate`"),
        ("final-evaluation", "data/split/test.arrow is missing: run `dvc repro split`"),
    ],
)
def test_a_stage_before_its_inputs(workspace: Path, command: Command, stage: str, missing: str) -> None:
    assert_refused(command(stage), 4, missing)


@pytest.mark.parametrize("kept", [0, 7, 100, 1000])
def test_a_truncated_manifest(workspace: Path, command: Command, kept: int) -> None:
    run_until("balance")
    manifest = Path("data/split/manifest.arrow")
    manifest.write_bytes(manifest.read_bytes()[:kept])
    assert_refused(command("balance"), 5, "data/split/manifest.arrow is damaged", "`dvc repro split`")


def test_a_truncated_shard(workspace: Path, command: Command) -> None:
    run_until("augment")
    shard = max(Path("data/ingest/phone/shards").iterdir(), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-300])
    assert_refused(command("augment"), 5, f"{shard} is damaged", "`dvc repro ingest`")


def test_a_shard_that_is_gone(workspace: Path, command: Command) -> None:
    run_until("augment")
    shutil.rmtree("data/ingest/phone/shards")
    assert_refused(command("augment"), 4, "is not under data/ingest: run `dvc repro`")


def test_a_folder_that_cannot_be_written(workspace: Path, command: Command) -> None:
    run_until("split")
    Path("data/split").write_text("a file where a folder must go")
    assert_refused(command("split"), 6, "data/split")


@pytest.mark.parametrize("stage", [["ingest", "web"], ["split"]])
def test_a_disk_that_is_full(workspace: Path, stage: list[str]) -> None:
    """A limit on the size of files is met in the middle of a write, as a full disk is."""
    run_until("balance")
    before = files_under(workspace / "data")
    write_params(workspace, **{"ingest.size": 64, "split.seed": 2})
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *stage, "--workers", "1"],
        cwd=workspace,
        # Its coverage file would meet the limit too.
        env={name: value for name, value in environment(workspace).items() if not name.startswith("COVERAGE")},
        preexec_fn=lambda: limit_file_size(2000),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 6
    assert "File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert files_under(workspace / "data") == before


def limit_file_size(limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def assert_refused(ended: Ended, code: int, *messages: str) -> None:
    assert ended.code == code
    assert ended.err.startswith("error: ")
    assert [message for message in messages if message not in ended.err] == []
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_no_message_names_an_absolute_path(workspace: Path, command: Command) -> None:
    shutil.rmtree("images/web")
    assert os.fspath(workspace) not in command("ingest", "web").err
