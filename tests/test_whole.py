"""All stages in this process, from images to the summary and the look at test."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import SEEN_SPLITS, TEST, TRAIN
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.tools.summary import print_summary
from pipeline.workers.engine import Engine
from tests.examples import params


@pytest.fixture(scope="module")
def folder(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage ran, whose files tests may change."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(whole_run, folder)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_model_learns_what_can_be_learnt() -> None:
    metrics = json.loads(Path(catalogue.EVALUATE_METRICS.path).read_text())
    assert metrics["train"]["accuracy"] > 0.8
    assert set(SEEN_SPLITS) < set(metrics)
    assert TEST not in metrics


def test_only_the_look_at_test_measures_test() -> None:
    predictions = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    looked_at = catalogue.TEST_PREDICTIONS.read(Path(catalogue.TEST_PREDICTIONS.path))
    assert set(predictions["split"]) == set(SEEN_SPLITS)
    assert set(looked_at["split"]) == {TEST}
    assert not set(predictions["group"]) & set(looked_at["group"])


def test_balancing_and_augmentation_touch_train_only() -> None:
    for artifact in (catalogue.BALANCED, catalogue.AUGMENTED):
        assert set(artifact.read(Path(artifact.path))["split"]) == {TRAIN}


def test_each_file_is_in_the_manifest_or_in_a_table_that_says_why_not() -> None:
    seen = {path.relative_to("images").as_posix() for path in Path("images").rglob("*.png")}
    split, test = (artifact.read(Path(artifact.path)) for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST))
    gone = [catalogue.CURATE_REMOVED, catalogue.SPLIT_EXCLUDED]
    left = [artifact.read(Path(artifact.path)) for artifact in gone]
    assert sorted(seen) == sorted(identity for table in (split, test, *left) for identity in table["id"])


def test_the_summary_shows_the_numbers_of_the_reports() -> None:
    out = io.StringIO()
    print_summary(load_params(), Console(file=out, width=200))
    metrics = json.loads(Path(catalogue.EVALUATE_METRICS.path).read_text())
    for split in SEEN_SPLITS:
        assert f"{metrics[split]['accuracy']:.4f}" in out.getvalue()
    assert f"model {'accepted' if metrics['accepted'] else 'rejected'}" in out.getvalue()
    first = Path(catalogue.DIAGNOSIS_TEXT.path).read_text().splitlines()[0]
    assert first in " ".join(out.getvalue().split())
    assert "data/train/model.safetensors" in out.getvalue()


def test_a_command_of_the_summary_is_never_broken() -> None:
    out = io.StringIO()
    print_summary(load_params(), Console(file=out, width=40))
    above_the_table = Path(catalogue.DIAGNOSIS_TEXT.path).read_text().split("\n|")[0]
    steps = [line for line in above_the_table.splitlines() if "`" in line]
    assert set(steps) <= set(out.getvalue().splitlines())


def test_the_summary_says_that_its_numbers_are_of_another_model() -> None:
    path = Path(catalogue.MODEL.path)
    model = path.read_bytes()
    told = []
    for content in (model, model + b"0"):
        path.write_bytes(content)
        out = io.StringIO()
        print_summary(load_params(), Console(file=out, width=200))
        told.append("not of one run: its predictions are of another model" in out.getvalue())
    path.write_bytes(model)
    assert told == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate.optimizing": "log_loss"}, "the metric log_loss"),
        ({"evaluate.satisficing": {}}, r"the limits of params\.yaml"),
    ],
    ids=["metric", "limits"],
)
def test_the_summary_of_other_params_is_refused(changes: dict[str, Any], message: str) -> None:
    loaded = params(**changes)
    with pytest.raises(DataError, match=rf"metrics\.json does not have {message}: run `dvc repro`"):
        print_summary(loaded, Console(file=io.StringIO()))


def test_training_again_gives_the_same_file() -> None:
    before = Path(catalogue.MODEL.path).read_bytes()
    run_stage("train", load_params(), Engine(2))
    assert Path(catalogue.MODEL.path).read_bytes() == before
