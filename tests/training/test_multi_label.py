"""Several labels per image, from rows to a model, its file, its predictions and other programs' files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.data.predictions import predict_rows
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import BALANCED
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import checked_predictions, classes_of
from pipeline.models.export import MODEL_FORMATS, export_model
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.onnx_files import load_onnx
from pipeline.problem.label_sets import LabelNames, membership, texts_of
from pipeline.stages.evaluate.stage import evaluate
from pipeline.stages.train.stage import FitProgress, train
from pipeline.store.shards import ShardReader
from pipeline.tools.predict import Answer, _answer
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit_data import FitParams
from pipeline.training.losses import entropies
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns
from tests.stored import SIZE, stored

NAMES = LabelNames(("left", "middle", "right"))
CHANGES = {
    "problem": {"name": "multi_label"},
    "balance.strategy": {"name": "none"},
    "evaluate.optimizing": "macro_f1",
    "evaluate.satisficing": {},
    "evaluate.bootstrap": 100,
    "train.model.width": 4,
    "train.model.dropout.blocks": 0.0,
    "train.learning_rate": 0.02,
    "train.epochs": 10,
    "train.patience": None,
    "train.batch_size": 32,
}


def sets(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).random((count, 3)) < [0.5, 0.4, 0.25]


def rows(folder: Path, count: int = 240) -> pd.DataFrame:
    """Pictures with a bright bar for each label that they have; half are of dev."""
    truth, generator = sets(count, 1), np.random.default_rng(2)
    pictures = []
    for flags in truth:
        pixels = generator.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
        for place in np.flatnonzero(flags):
            pixels[:, 2 + 5 * place : 5 + 5 * place] += np.uint8(150)
        pictures.append(pixels)
    manifest = stored(folder, pictures)
    splits = np.resize(["train", "dev", "train", "dev", "train_dev"], count)
    return manifest.assign(label=texts_of(truth, NAMES), split=splits, source="web", role="production")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, bytes, pd.DataFrame, ShardReader]:
    folder = tmp_path_factory.mktemp("multi_label")
    manifest, chosen = rows(folder), params(**CHANGES)
    reader = ShardReader(folder)
    balanced = with_columns(manifest[manifest["split"] == "train"].assign(copy=np.int32(0), weight=1.0), BALANCED)
    ingest = chosen.ingest.model_copy(update={"size": SIZE})
    settings = FitParams(chosen.train, chosen.augment.variants, ingest, chosen.evaluate.optimizing, chosen.problem)
    bare = manifest.head(0)
    progress = FitProgress(Checkpoint(folder / "checkpoint.pt"), folder / "members")
    outputs = train(balanced, manifest, reader, reader, bare, settings, progress, Engine(1))
    return load_model(outputs.model), outputs.model, manifest, reader


def test_several_labels_and_an_ensemble_are_not_combined(tmp_path: Path) -> None:
    manifest, chosen = rows(tmp_path), params(**CHANGES, **{"train.ensemble": {"name": "bagging"}})
    reader = ShardReader(tmp_path)
    balanced = with_columns(manifest[manifest["split"] == "train"].assign(copy=np.int32(0), weight=1.0), BALANCED)
    ingest = chosen.ingest.model_copy(update={"size": SIZE})
    settings = FitParams(chosen.train, chosen.augment.variants, ingest, chosen.evaluate.optimizing, chosen.problem)
    progress = FitProgress(Checkpoint(tmp_path / "checkpoint.pt"), tmp_path / "members")
    with pytest.raises(ParamsError, match=r"train\.ensemble is bagging, and images may have several labels"):
        train(balanced, manifest, reader, reader, manifest.head(0), settings, progress, Engine(1))


Trained = tuple[TrainedModel, bytes, pd.DataFrame, ShardReader]


def test_a_model_learns_all_labels_and_its_file_remembers_their_thresholds(trained: Trained) -> None:
    model, data, manifest, reader = trained
    assert model.classes == NAMES
    assert isinstance(model.classes, LabelNames)
    assert model.thresholds is not None
    assert save_model(model) == data
    found = predict_rows(model, manifest, reader, 1, Engine(1), "test")
    assert classes_of(found) == NAMES
    assert not [name for name in map(str, found) if name.startswith("probability_")]
    dev = found[found["split"] == "dev"]
    metric = metric_of(params(**CHANGES).evaluate.optimizing, NAMES)
    assert metric.value(checked_predictions(dev, NAMES)) > 0.9
    # Of rows that are not dev's the model's own thresholds decide.
    rest = found[found["split"] != "dev"]
    probabilities = rest[[f"label_probability_{name}" for name in NAMES]].to_numpy()
    assert rest["predicted"].tolist() == texts_of(model.thresholds.sets(probabilities), NAMES).tolist()


def test_an_evaluation_of_the_model_has_each_label_and_its_threshold(trained: Trained) -> None:
    model, data, manifest, reader = trained
    chosen = params(**CHANGES)
    outputs = evaluate(manifest, reader, data, None, chosen.evaluate, 1, chosen.train.model, Engine(1))
    assert set(outputs.metrics["thresholds"]) == {*NAMES}
    assert outputs.metrics["dev"]["macro_f1"] == outputs.metrics["optimizing"] > 0.9
    assert 0.8 < outputs.metrics["dev"]["low"] <= outputs.metrics["optimizing"] <= outputs.metrics["dev"]["high"]
    assert outputs.per_class["label"].tolist() == list(NAMES)
    assert model.several


@pytest.mark.parametrize("name", [*MODEL_FORMATS])
def test_other_programs_get_the_probability_of_each_label(trained: Trained, name: str) -> None:
    model, _, _, _ = trained
    chosen = MODEL_FORMATS[name]
    data = export_model(model, chosen)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, SIZE, SIZE), dtype=np.uint8)
    with torch.inference_mode():
        own = model.network(torch.from_numpy(pixels)).sigmoid().numpy()
    np.testing.assert_allclose(chosen.run(data)(pixels), own, atol=1e-5)
    if name == "onnx":
        back = load_onnx(data)
        assert back.thresholds == model.thresholds
        assert isinstance(back.classes, LabelNames)
        np.testing.assert_allclose(back.network(torch.from_numpy(pixels)).sigmoid().numpy(), own, atol=1e-5)


def test_an_answer_names_all_labels_above_their_thresholds(trained: Trained) -> None:
    from pipeline.models.thresholds import Thresholds
    from pipeline.problem.framing import likeliest

    model = TrainedModel(
        trained[0].network, NAMES, trained[0].ingest, trained[0].params, thresholds=Thresholds((0.5, 0.2, 0.9), "f1")
    )
    both = _answer("a.png", np.array([0.6, 0.3, 0.8], np.float32), model, likeliest, 1)
    assert both.labels == ("left", "middle")
    assert both.as_json() == {
        "path": "a.png",
        "labels": ["left", "middle"],
        "probabilities": {"right": 0.8, "left": 0.6, "middle": 0.3},
    }
    assert both.as_line(5) == "a.png  left 0.6000  middle 0.3000"
    none: Answer = _answer("a.png", np.array([0.1, 0.1, 0.1], np.float32), model, likeliest, 1)
    assert none.as_line(5) == "a.png  (none)"
    assert json.dumps(none.as_json()) == '{"path": "a.png", "labels": [], "probabilities": {"left": 0.1}}'


def test_the_loss_is_binary_cross_entropy_with_labels_smoothed_towards_a_half() -> None:
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.from_numpy(sets(6, 3)).float()
    expected = nn.functional.binary_cross_entropy(logits.sigmoid(), labels * 0.9 + 0.05, reduction="none").mean(dim=1)
    torch.testing.assert_close(entropies(logits, labels, 0.1), expected)
    numbers = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.testing.assert_close(
        entropies(logits, numbers), nn.functional.cross_entropy(logits, numbers, reduction="none")
    )


def test_a_model_is_told_of_a_label_that_train_lacks(trained: Trained) -> None:
    _, _, manifest, reader = trained
    model = trained[0]
    strange = manifest.assign(label=manifest["label"].where(manifest.index != 3, "left|top"))
    with pytest.raises(DataError, match="does not know the labels top: it was trained on left, middle, right"):
        predict_rows(model, strange, reader, 1, Engine(1), "test")
    assert membership(np.array(["left"]), NAMES).tolist() == [[True, False, False]]
