"""export: every model gives the same probabilities in another runtime, for any number of images."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from pipeline.models.baseline_fits import Rows
from pipeline.models.baseline_layers import Pixels
from pipeline.models.baselines import BASELINES, FEATURES, Baseline
from pipeline.models.building import build_model
from pipeline.models.export import MODEL_FORMATS, _quiet, export_model
from pipeline.models.exportable import TWINS
from pipeline.models.files import TrainedModel
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.models.onnx_files import load_onnx
from pipeline.training.baselines import features_and_labels, fitted
from tests.examples import params, picture, striped

SIZE = 28
CLASSES = ("apple", "fig", "süß")
DROPOUT = {"blocks": 0.2, "head": 0.2}
PIXELS, COLOURS = {"name": "pixels", "side": 8}, {"name": "colours", "bins": 4}
LAYERS = {
    "depth": 2,
    "width": 8,
    "kernel": 3,
    "activation": "relu",
    "batch_norm": True,
    "dropout": DROPOUT,
}
CNN = {**LAYERS, "name": "cnn", "dense": [16]}
FOREST = {"name": "random_forest", "features": PIXELS, "n_estimators": 30, "min_samples_leaf": 1}
BOOSTING = {"name": "gradient_boosting", "features": PIXELS, "max_iter": 20, "max_leaf_nodes": 15, "learning_rate": 0.1}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": CNN,
    "resnet": {**LAYERS, "name": "resnet", "blocks": 2, "activation": "silu"},
    "block_cnn": {"name": "block_cnn", "depth": 2, "width": 16, "kernels": [5], "shortcuts": [False, True],
                  "activation": "relu", "batch_norm": True, "dropout": DROPOUT},
    "mlp": {"name": "mlp", "depth": 2, "width": 16, "activation": "tanh", "batch_norm": True, "dropout": DROPOUT},
    "mobilenet_v2": {"name": "mobilenet_v2", "weights": "w", "sha256": "0" * 64, "frozen": True, "input": 32,
                     "dropout": {"head": 0.0}},
    "efficientnet_lite0": {"name": "efficientnet_lite0", "trained": "head", "input": 32, "dropout": {"head": 0.0}},
    "factory": {"name": "factory", "factory": "tests.own_networks:build", "arguments": {"width": 8}},
    "majority_class": {"name": "majority_class"},
    "nearest_centroid": {"name": "nearest_centroid", "features": PIXELS},
    "logistic_regression": {"name": "logistic_regression", "features": COLOURS, "c": 1.0},
    "random_forest": FOREST,
    "gradient_boosting": BOOSTING,
    "random_forest of colours": {**FOREST, "features": COLOURS},
    "gradient_boosting of embeddings": {**BOOSTING, "features": {"name": "embedding", "input": 32}},
    "gradient_boosting of odd windows": {**BOOSTING, "features": {"name": "pixels", "side": 5}},
}  # fmt: skip
FORMATS = list(MODEL_FORMATS)


def pictures(seed: int, count: int = 120) -> torch.Tensor:
    """Pictures (n, 3, SIZE, SIZE) as the loader hands them over."""
    made = np.stack([striped(number % 3, 1000 * seed + number, side=SIZE) for number in range(count)])
    return torch.from_numpy(made).permute(0, 3, 1, 2)


def trained(values: dict[str, Any]) -> TrainedModel:
    """A model of these params: a baseline that was fitted, or a network of random weights."""
    chosen = params(**{"ingest.size": SIZE, "train.model": values})
    model = chosen.train.model
    if isinstance(model, Baseline):
        labels = torch.arange(120) % 3
        seen, truth = features_and_labels(model, [(pictures(1), labels)], 1, lambda _: None)
        rows = Rows(seen, truth, np.ones(120, np.float32), np.ones(120, np.bool_))
        return TrainedModel(fitted(model, rows, 3, seed=1, threads=1), CLASSES, chosen.ingest, model)
    assert isinstance(model, Network)
    network = build_model(model, 3, SIZE, np.full(3, 0.2), np.full(3, 0.2), seed=1).eval()
    return TrainedModel(network, CLASSES, chosen.ingest, model)


@torch.inference_mode()
def probabilities(model: TrainedModel, pixels: torch.Tensor) -> Any:
    return model.network(pixels).softmax(dim=1).numpy()


def test_every_model_is_tried() -> None:
    assert {values["name"] for values in MODELS.values()} == {
        *NETWORKS,
        *(name for name, row in BASELINES.items() if row.fit is not None),
    }
    assert {values["features"]["name"] for values in MODELS.values() if "features" in values} == set(FEATURES)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_a_file_gives_the_models_probabilities(name: str, format_name: str) -> None:
    model, chosen, pixels = trained(MODELS[name]), MODEL_FORMATS[format_name], pictures(2)
    run, expected = chosen.run(export_model(model, chosen)), probabilities(model, pixels)
    for count in (1, 3, len(pixels)):
        np.testing.assert_allclose(run(pixels[:count].numpy()), expected[:count], atol=1e-5, rtol=0)


class Alone(torch.nn.Module):
    """A layer as a graph of its own."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: torch.Tensor) -> Any:
        return self.layer(images)


@pytest.mark.parametrize("side", [3, 8])
def test_features_of_pixels_agree_to_the_last_bit(side: int) -> None:
    """A tree turns on it: thresholds lie halfway between features, where other features lie as well."""
    noise = torch.from_numpy(np.stack([picture(seed, 28, 28) for seed in range(40)])).permute(0, 3, 1, 2)
    onnx, twin = MODEL_FORMATS["onnx"], Alone(TWINS[Pixels](Pixels(side), 28)).eval()
    with _quiet():
        found = onnx.run(onnx.write(twin, 28, {}))(noise.numpy())
    np.testing.assert_array_equal(found, Pixels(side)(noise).numpy())


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_model_is_the_same_file(format_name: str) -> None:
    model, chosen = trained(FOREST), MODEL_FORMATS[format_name]
    data = export_model(model, chosen)
    assert export_model(model, chosen) == data
    assert __file__.rpartition("/tests/")[0].encode() not in data


def test_an_onnx_file_is_a_model_with_its_classes_and_pictures() -> None:
    model, pixels = trained(CNN), pictures(2)
    found = load_onnx(export_model(model, MODEL_FORMATS["onnx"]))
    assert (found.classes, found.ingest, found.params, found.size) == (CLASSES, model.ingest, model.params, SIZE)
    np.testing.assert_allclose(probabilities(found, pixels), probabilities(model, pixels), atol=1e-6)


def test_metadata_say_classes_size_and_normalisation() -> None:
    from pipeline.models.export import onnx_session

    texts = onnx_session(export_model(trained(CNN), MODEL_FORMATS["onnx"])).get_modelmeta().custom_metadata_map
    assert (json.loads(texts["classes"]), json.loads(texts["size"])) == (list(CLASSES), SIZE)
    assert json.loads(texts["normalisation"])["std"] == pytest.approx([0.2] * 3)
    assert json.loads(texts["pipeline"])["ingest"]["fit"] == "pad"


def test_what_is_no_exported_model_is_refused() -> None:
    data = export_model(trained({"name": "majority_class"}), MODEL_FORMATS["onnx"])
    with pytest.raises(DataError, match="it is not an ONNX file, or it is damaged"):
        load_onnx(data[: len(data) // 2])
    with pytest.raises(DataError, match="it does not say what its classes are"):
        load_onnx(data.replace(b'{"classes"', b'{"klasses"'))
    other = export_model(trained({"name": "majority_class"}), MODEL_FORMATS["onnx"]).replace(
        b'"size": 28', b'"size": 32'
    )
    with pytest.raises(DataError, match=r"it takes and gives .*28, 28"):
        load_onnx(other)
