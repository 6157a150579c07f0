"""MobileNetV2: weights files of torchvision's names fit, others and hostile ones are refused with their reason."""

import io
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.layers import Normalise
from pipeline.models.mobilenet import Backbone, load_backbone
from tests.examples import params
from tests.fits import DEV, TRAIN, fitted, network_for, train_params, weights

NAME = "weights.pth"


def model(**changes: Any) -> dict[str, Any]:
    values = {
        "weights": f"/some/where/{NAME}",
        "sha256": "0" * 64,
        "frozen": True,
        "input": 32,
        "dropout": {"head": 0.2},
    }
    return {"name": "mobilenet_v2", **values, **changes}


def network(**changes: Any) -> nn.Module:
    return network_for(train_params(model=model(**changes)))


def tensors() -> dict[str, Tensor]:
    """Such weights as torchvision's file holds: those of another start, and an output layer for 1,000 classes."""
    torch.manual_seed(5)
    own = {name: value.clone() for name, value in backbone(network()).state_dict().items()}
    drawn = {name: torch.rand(value.shape) if value.is_floating_point() else value for name, value in own.items()}
    return {**drawn, "classifier.1.weight": torch.zeros(1000, 1280), "classifier.1.bias": torch.zeros(1000)}


def backbone(of: nn.Module) -> Backbone:
    return next(layer for layer in of.modules() if isinstance(layer, Backbone))


def as_zip(values: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def as_legacy(values: Any) -> bytes:
    """As torch wrote files before 1.6; torchvision's weights of MobileNetV2 are one."""
    buffer = io.BytesIO()
    torch.save(values, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Any], bytes]] = {"zip": as_zip, "legacy": as_legacy, "safetensors": save_tensors}


def test_layers_are_those_of_torchvisions_file() -> None:
    found = backbone(network()).state_dict()
    assert len(found) == 312  # 314 in torchvision's file, two of them its output layer's
    assert sum(value.numel() for value in network().parameters()) == 2_223_872 + 3 * 1281
    shapes = {"features.1.conv.1.weight": [16, 32, 1, 1], "features.17.conv.2.weight": [320, 960, 1, 1]}
    assert {name: list(found[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize("form", FORMATS)
def test_weights_are_taken_from_every_kind_of_file(form: str) -> None:
    wanted, loaded = tensors(), network()
    load_backbone(loaded, FORMATS[form](wanted), NAME)
    for name, value in backbone(loaded).state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_it_has_the_normalisation_of_its_weights() -> None:
    layer = next(layer for layer in network().modules() if isinstance(layer, Normalise))
    torch.testing.assert_close(layer.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(layer.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_layers_stay_in_weights_and_statistics(frozen: bool) -> None:
    chosen = train_params(model=model(frozen=frozen), epochs=1, batch_size=45)
    start = network_for(chosen)
    before = weights(backbone(start))
    found = fitted(chosen, start)
    assert (weights(backbone(found.network)) == before) == frozen
    assert weights(found.network)["4.weight"] != weights(network_for(chosen))["4.weight"]


def test_loaded_model_is_the_saved_one_and_names_no_folder() -> None:
    chosen = params(**{"ingest.size": 16, "train.model": model()})
    start = network()
    load_backbone(start, save_tensors(tensors()), NAME)
    data = save_model(TrainedModel(start.eval(), ("a", "b", "c"), chosen.ingest, chosen.train.model))
    loaded = load_model(data)
    assert b"/some/where" not in data
    assert loaded.params == chosen.train.model.model_copy(update={"weights": NAME})
    with torch.no_grad():
        assert torch.equal(loaded.network(DEV.tensors[0]), start(DEV.tensors[0]))
    assert save_model(loaded) == data


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.0001, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_said_to_be(form: str, share: float) -> None:
    whole = FORMATS[form](tensors())
    with pytest.raises(
        DataError, match=r"^weights\.pth (is cut short or damaged|is not a weights file, or it is cut short)"
    ):
        load_backbone(network(), whole[: int(len(whole) * share)], NAME)


REFUSED = r"^weights\.pth is a pickle that asks for more than tensors \(posix\.mkdir\), and was not run: do not use"


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("was_here",)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"features.0.0.weight": Hostile()}
    with warnings.catch_warnings(action="ignore"):
        data = pickle.dumps(values, protocol=2) if form == "bare" else FORMATS[form](values)
    with pytest.raises(DataError, match=REFUSED):
        load_backbone(network(), data, NAME)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param(
            {"conv1.weight": torch.zeros(64, 3, 7, 7)},
            r"architecture than MobileNetV2 .*: it lacks features\.0\.0\.weight, .*; it has conv1\.weight,",
            id="a resnet's",
        ),
        pytest.param(
            {**tensors(), "features.0.0.weight": torch.zeros(16, 3, 3, 3)},
            r"architecture than .*: features\.0\.0\.weight has shape \[16, 3, 3, 3\], not \[32, 3, 3, 3\]$",
            id="another width",
        ),
        pytest.param({"a": 1}, r"^weights\.pth holds no table of named tensors", id="numbers"),
        pytest.param([torch.zeros(2)], r"^weights\.pth holds no table of named tensors", id="a list"),
    ],
)
def test_weights_of_another_architecture_are_told_what_differs(values: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_backbone(network(), as_zip(values), NAME)


def test_noise_is_said_to_be_no_weights_file() -> None:
    pixels = TRAIN.tensors[0].numpy().tobytes()
    for noise in (b"", b"rubbish", pixels, b"\x80" + bytes(range(200)), b"PK\x03\x04rubbish"):
        with pytest.raises(DataError, match=r"^weights\.pth is (not a weights file|cut short or damaged|a pickle)"):
            load_backbone(network(), noise, NAME)
