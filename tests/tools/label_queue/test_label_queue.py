"""`pipeline label-queue` from images to tasks, and the answers back into the manifest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import catalogue
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.store.vectors import Embeddings
from pipeline.workers.engine import Engine
from tests.examples import REPOSITORY, encoded, striped
from tests.running import Ended, pipeline, run_stages, write_params, write_tiny_sources
from tests.sources.test_label_studio import EXPORT, PREFIX

Queue = Callable[..., Ended]
LABELS = {
    "name": "label_studio", "file": "export.json", "image": "image", "prefix": PREFIX, "choice": "fruit",
    "disagreement": "reject", "unlisted": "unlabelled",
}  # fmt: skip
SOURCES = {
    "web": {"role": "raw", "path": "images/web"},
    "phone": {"role": "production", "path": "images/phone"},
    "new": {"role": "production", "path": "images/new", "labels": LABELS},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which curate ran: three sources, of which one has no labels yet."""
    folder = tmp_path_factory.mktemp("queue")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny_sources(folder)
        for number, one in enumerate(EXPORT):
            path = folder / "images/new" / one["data"]["id"].removeprefix("phone/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(striped(number % 3, seed=7_000 + number)))
        (folder / "images/new/export.json").write_text("[]")
        write_params(folder, **{"sources": SOURCES})
        run_stages("ingest", "embed", "curate")
    return folder


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def queue(workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Queue:
    return lambda *arguments: pipeline(capsys, monkeypatch, "label-queue", *arguments)


def ids(path: str = "label-queue.json") -> list[str]:
    tasks: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return [one["data"]["id"] for one in tasks]


def answer() -> None:
    shutil.copy(REPOSITORY / "tests/sources/label_studio/export-1.23.2.json", "images/new/export.json")


def test_unlabelled_images_are_queued_with_an_interface_of_the_classes(queue: Queue) -> None:
    ended = queue("new", "--count", "5")
    assert ended.out == (
        "5 of 12 unlabelled images of new, which represent all of them, by their small pictures: "
        "label-queue.json; "
        "labelling interface of a new project: label-queue.xml\n"
    )
    assert len(set(ids())) == 5
    first = json.loads(Path("label-queue.json").read_text())[0]["data"]
    assert first["image"].startswith(f"{PREFIX}2026%20mai/")
    assert first["id"].startswith("new/2026 mai/")
    assert 'value="a"' in Path("label-queue.xml").read_text()


@pytest.mark.parametrize("by", ["diversity", "random"])
def test_the_same_images_are_queued_again_and_more_add_to_them(queue: Queue, by: str) -> None:
    contents = []
    for name, count in (("one.json", "4"), ("two.json", "4"), ("more.json", "9")):
        assert queue("new", "--count", count, "--by", by, "--output", name).code == 0
        contents.append(Path(name).read_bytes())
    assert contents[0] == contents[1]
    assert ids("more.json")[:4] == ids("one.json")


def test_answers_become_labels_and_what_has_a_task_is_not_queued_again(queue: Queue) -> None:
    answer()
    run_stage("ingest", load_params(), Engine(1), "new")
    manifest = catalogue.INGESTED.read(Path(catalogue.INGESTED.named(name="new").path))
    assert manifest["label"].value_counts().drop("").sum() == 8
    assert (manifest["label"] == "").sum() == 3
    rejected = catalogue.INGEST_REJECTED.read(Path(catalogue.INGEST_REJECTED.named(name="new").path))
    assert rejected[["reason", "detail"]].to_numpy().tolist() == [["several_choices", "apple + banana (task 8)"]]
    run_stage("curate", load_params(), Engine(1))
    ended = queue("new")
    assert ended.code == 5
    assert ended.err.startswith(
        "error: no image of new is left to label: in data/curate/manifest.arrow every image has"
    )


def test_with_a_model_the_least_certain_come_first(queue: Queue, workspace: Path) -> None:
    assert queue("new", "--by", "uncertainty").err.startswith(
        "error: data/train/model.safetensors is missing: run `dvc"
    )
    for stage in ("split", "balance", "augment", "train"):
        run_stage(stage, load_params(), Engine(1))
    ended = queue("new", "--count", "12", "--by", "uncertainty")
    assert "uncertain and different from one another, by their small pictures" in ended.out
    assert len(set(ids())) == 12
    unused = catalogue.SPLIT_UNUSED.read(Path(catalogue.SPLIT_UNUSED.path))
    assert sorted(unused["id"]) == sorted(ids())


def test_with_embeddings_a_linear_model_on_train_tells_what_is_uncertain(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage("split", load_params(), Engine(1))
    rows = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    labels = dict(zip(rows["sha256"], rows["label"].astype(str), strict=True))
    names = sorted(set(labels.values()) - {""})

    def of(self: Embeddings, contents: list[str]) -> Any:
        noise = np.random.default_rng(1).normal(0, 0.05, (len(contents), 8))
        # Of images without a label, the first half lies amid two classes.
        known = [
            np.eye(8)[names.index(labels[each])] if labels[each] else np.r_[0.7, 0.7, np.zeros(6)] for each in contents
        ]
        return (np.stack(known) + noise).astype(np.float16)

    monkeypatch.setattr(Embeddings, "of", of)
    ended = queue("new", "--count", "12", "--by", "uncertainty")
    assert "uncertain and different from one another, by their embeddings" in ended.out
    assert len(set(ids())) == 12


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nix", "error: sources has no entry 'nix': params.yaml names "),
        (
            "phone",
            "error: sources.phone: only production images whose labels come from Label Studio can",
        ),
    ],
)
def test_a_source_that_has_no_queue_is_an_error(queue: Queue, source: str, message: str) -> None:
    ended = queue(source)
    assert ended.code == 3
    assert ended.err.startswith(message)
    assert not Path("label-queue.json").exists()


def test_tasks_are_not_written_over_by_their_interface(queue: Queue) -> None:
    ended = queue("new", "--output", "queue.xml")
    assert ended.code == 3
    assert ended.err.startswith(
        "error: --output queue.xml is the file of the labelling interface: give the tasks' file"
    )
    assert not Path("queue.xml").exists()


def test_a_damaged_export_is_an_error(queue: Queue) -> None:
    Path("images/new/export.json").write_text("[")
    assert queue("new").err.startswith("error: images/new/export.json is damaged or not a JSON file: ")
    Path("images/new/export.json").write_text('[{"data": {"image": "\\ud800"}, "annotations": []}]')
    assert queue("new").err.startswith("error: images/new/export.json is damaged or not a JSON file: ")
