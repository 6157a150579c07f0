"""Numbers of images, from rows to a model, its file, its predictions and other programs' files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from pipeline.data.dataset import numbers_of as labels_of
from pipeline.data.formats.rows import Exported, class_column
from pipeline.data.predictions import predict_rows
from pipeline.data.prepared import classes_of as prepared_classes
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import BALANCED
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import checked_predictions, classes_of
from pipeline.models.baseline_fits import Rows
from pipeline.models.baselines import BASELINES, baseline_of
from pipeline.models.export import MODEL_FORMATS, export_model, metadata_of
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.onnx_files import load_onnx
from pipeline.problem.framing import Numeric
from pipeline.problem.quantities import Quantity, text_of
from pipeline.stages.evaluate.stage import evaluate
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.stage import FitProgress, train
from pipeline.store.shards import ShardReader
from pipeline.tools.predict import _answer
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.checks import check_rows
from pipeline.training.fit_data import FitParams
from pipeline.training.loop import TrainingLoop
from pipeline.training.loss_functions import LOSSES, Losses, guessing_loss, row_losses
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns
from tests.levers import NUMBERS, example
from tests.stored import SIZE, stored

LIGHT = Quantity(("light",))
CHANGES: dict[str, Any] = {
    **NUMBERS,
    "problem": {"name": "regression", "column": "light"},
    "evaluate.bootstrap": 100,
    "train.model.width": 4,
    "train.model.dropout.blocks": 0.0,
    "train.learning_rate": 0.02,
    "train.epochs": 12,
    "train.patience": None,
    "train.batch_size": 32,
}


def rows(folder: Path, count: int = 150) -> pd.DataFrame:
    """Noisy pictures whose number, in the hundreds, is how light they are; half are of dev."""
    generator = np.random.default_rng(2)
    light = generator.uniform(20, 200, count)
    pictures = [
        np.clip(one + generator.normal(0, 20, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8) for one in light.tolist()
    ]
    splits = np.resize(["train", "dev", "train", "dev", "train_dev"], count)
    labels = [text_of(round(1000 + 3 * one, 2)) for one in light.tolist()]
    return stored(folder, pictures).assign(label=labels, split=splits, source="web", role="production")


def fit(folder: Path, manifest: pd.DataFrame, **changes: Any) -> bytes:
    chosen, reader = params(**{**CHANGES, **changes}), ShardReader(folder)
    balanced = with_columns(manifest[manifest["split"] == "train"].assign(copy=np.int32(0), weight=1.0), BALANCED)
    ingest = chosen.ingest.model_copy(update={"size": SIZE})
    settings = FitParams(chosen.train, chosen.augment.variants, ingest, chosen.evaluate.optimizing, chosen.problem)
    progress = FitProgress(Checkpoint(folder / "checkpoint.pt"), folder / "members")
    return train(balanced, manifest, reader, reader, manifest.head(0), settings, progress, Engine(1)).model


Trained = tuple[TrainedModel, bytes, pd.DataFrame, ShardReader]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("numbers")
    manifest = rows(folder)
    data = fit(folder, manifest)
    return load_model(data), data, manifest, ShardReader(folder)


def r2_on_dev(model: TrainedModel, manifest: pd.DataFrame, reader: ShardReader) -> float:
    found = predict_rows(model, manifest[manifest["split"] == "dev"], reader, 1, Engine(1), "test")
    return metric_of(params(**{**NUMBERS, "evaluate.optimizing": "r2"}).evaluate.optimizing, LIGHT).value(
        checked_predictions(found, classes_of(found))
    )


def test_a_network_learns_numbers_and_gives_their_unit(trained: Trained) -> None:
    model, data, manifest, reader = trained
    assert model.classes == LIGHT
    assert isinstance(model.classes, Quantity)
    assert isinstance(model.framing, Numeric)
    train_numbers = manifest.loc[manifest["split"] == "train", "label"].astype(float)
    assert model.framing.mean == pytest.approx(train_numbers.mean())
    assert model.framing.deviation == pytest.approx(train_numbers.std(ddof=0))
    assert save_model(model) == data
    assert r2_on_dev(model, manifest, reader) > 0.9


def test_an_evaluation_has_errors_in_the_unit(trained: Trained) -> None:
    _, data, manifest, reader = trained
    chosen = params(**CHANGES)
    outputs = evaluate(manifest, reader, data, None, chosen.evaluate, 1, chosen.train.model, Engine(1))
    dev = outputs.metrics["dev"]
    assert dev["low"] < dev["mean_absolute_error"] == dev["optimizing"] < dev["high"] < 60
    assert dev["mean_absolute_error"] <= dev["root_mean_squared_error"]
    assert outputs.per_class["images"].sum() == (manifest["split"] == "dev").sum()


@pytest.mark.parametrize("name", [*MODEL_FORMATS])
def test_other_programs_get_the_number(trained: Trained, name: str) -> None:
    model, chosen = trained[0], MODEL_FORMATS[name]
    data = export_model(model, chosen)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, SIZE, SIZE), dtype=np.uint8)
    with torch.inference_mode():
        own = model.network(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(chosen.run(data)(pixels), own, rtol=1e-5)
    assert metadata_of(model)["framing"]["name"] == "numeric"
    if name == "onnx":
        back = load_onnx(data)
        assert (back.classes, back.outputs, back.framing) == (LIGHT, "numbers", model.framing)
        np.testing.assert_allclose(back.network(torch.from_numpy(pixels)).numpy(), own, rtol=1e-5)


def test_predictions_print_the_number(trained: Trained) -> None:
    answer = _answer("1.jpg", np.array([1234.56789], np.float32), trained[0], lambda found: found.argmax(axis=1), 3)
    assert answer.as_line(6) == "1.jpg   light 1234.57"
    assert json.loads(json.dumps(answer.as_json())) == {"path": "1.jpg", "light": 1234.57}


@pytest.mark.parametrize("name", ["average", "ridge", "random_forest", "gradient_boosting"])
def test_baselines_of_numbers_are_scikit_learns(name: str) -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(0, 1, (150, 12)).astype(np.float32)
    numbers = (500 + 40 * features[:, 0] + generator.normal(0, 5, 150)).astype(np.float32)
    weights = generator.uniform(0.5, 2, 150).astype(np.float32)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    expected: dict[str, Any] = {
        "average": lambda: np.full(150, np.median(numbers)),
        "ridge": lambda: (
            Ridge(alpha=1.0 / numbers.std() ** 0)
            .fit((features - mean) / deviation, numbers, sample_weight=weights)
            .predict((features - mean) / deviation)
        ),
        "random_forest": lambda: (
            RandomForestRegressor(2, min_samples_leaf=1, random_state=3)
            .fit(features, numbers.astype(np.float64), sample_weight=weights)
            .predict(features)
        ),
        "gradient_boosting": lambda: (
            HistGradientBoostingRegressor(
                max_iter=2, max_leaf_nodes=3, learning_rate=0.1, early_stopping=False, random_state=3
            )
            .fit(features, numbers.astype(np.float64), sample_weight=weights)
            .predict(features)
        ),
    }
    row = BASELINES[name]
    assert row.fit_numbers is not None
    tensors = row.fit_numbers(example(row), Rows(features, numbers, weights, np.ones(150, np.bool_)), 3)
    found = baseline_of(example(row), tensors)[1](torch.from_numpy(features))  # type: ignore[index]
    np.testing.assert_allclose(found.numpy()[:, 0], expected[name](), rtol=1e-4)


def test_a_baseline_is_fitted_saved_and_loaded(tmp_path: Path) -> None:
    manifest = rows(tmp_path)
    forest = {"name": "random_forest", "features": {"name": "pixels", "side": 2}, "n_estimators": 10}
    data = fit(tmp_path, manifest, **{"train.model": {**forest, "min_samples_leaf": 1}})
    model = load_model(data)
    assert save_model(model) == data
    assert r2_on_dev(model, manifest, ShardReader(tmp_path)) > 0.9


def losses(loss: dict[str, Any], deviation: float = 2.0) -> Any:
    chosen = params(**{**NUMBERS, "train.loss": loss})
    metric = metric_of(chosen.evaluate.optimizing, LIGHT)
    object.__setattr__(metric, "deviation", deviation)
    return row_losses(chosen.train.loss, 0.0, metric)


def test_losses_are_their_formulas_in_standard_deviations() -> None:
    predicted, numbers = torch.tensor([[3.0], [0.0], [9.0]]), torch.tensor([1.0, 1.0, 1.0])
    errors = torch.tensor([1.0, -0.5, 4.0])
    torch.testing.assert_close(losses({"name": "squared_error"})(predicted, numbers), errors**2 / 2)
    torch.testing.assert_close(losses({"name": "absolute_error"})(predicted, numbers), errors.abs())
    torch.testing.assert_close(
        losses({"name": "huber", "delta": 2.0})(predicted, numbers),
        torch.nn.functional.huber_loss(errors, torch.zeros(3), reduction="none", delta=2.0),
    )
    with pytest.raises(ParamsError, match=r"train\.loss cross_entropy is about classes, and evaluate\.optimizing"):
        row_losses(LOSSES["cross_entropy"].params(name="cross_entropy"), 0.0, metric_of(
            params(**NUMBERS).evaluate.optimizing, LIGHT))  # fmt: skip


def test_guessing_is_as_bad_as_the_best_constant() -> None:
    numbers = np.array([0.0, 0.0, 0.0, 8.0])
    assert guessing_loss(LOSSES["squared_error"].params(name="squared_error"), numbers) == pytest.approx(0.5)
    assert guessing_loss(LOSSES["absolute_error"].params(name="absolute_error"), numbers) == pytest.approx(
        2 / numbers.std()
    )


def test_mixup_mixes_the_numbers() -> None:
    """A network that gives the mean pixel has no error on mixed pictures whose number is that mean."""

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(1))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean(dim=(1, 2, 3))[:, None] * self.factor

    chosen: TrainParams = params(**{**NUMBERS, "train.mixing": {"name": "mixup", "alpha": 1.0}}).train
    one = losses({"name": "absolute_error"})
    pixels = torch.arange(0, 80, 10, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 4, 4).contiguous()
    numbers = pixels.float().mean(dim=(1, 2, 3))
    [step] = TrainingLoop(Mean(), chosen, Losses(one, one)).epoch(0, [(pixels, numbers, torch.ones(8))], lambda _: 0.0)
    assert float(step.loss) == pytest.approx(0, abs=1e-5)
    assert sorted(step.labels.tolist()) != numbers.tolist()


def test_rows_need_two_numbers_and_dev_may_have_others() -> None:
    check_rows({"1": 5, "2": 5}, {"7": 3}, 4, outputs="numbers")
    with pytest.raises(DataError, match="all images of train have the same number, 1"):
        check_rows({"1": 5}, {"1": 3}, 4, outputs="numbers")
    np.testing.assert_array_equal(labels_of(np.array(["2.5", "3"]), LIGHT), np.array([2.5, 3], np.float32))


def test_exported_rows_have_their_number() -> None:
    manifest = with_columns(pd.DataFrame({"id": ["a"], "label": ["2.5"], "weight": [1.0]}), BALANCED)
    one = Exported("dev", manifest, ["a"], lambda _: b"", [0])
    assert one.facts(0, LIGHT)["number"] == 2.5
    assert "class" not in one.facts(0, LIGHT)
    assert class_column(LIGHT)[0] == "number"
    assert prepared_classes(manifest, params(**CHANGES).problem) == LIGHT
