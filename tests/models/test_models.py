"""Networks of every shape, and networks as bytes: equal models are equal files, damaged ones are said to be."""

import json
import pickletools
from contextlib import suppress
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.layers import ACTIVATIONS, Normalise
from pipeline.models.prediction import predict
from pipeline.models.untrained_networks import Cnn
from tests.examples import params
from tests.fits import weights

MEAN, STD = np.array([0.2, 0.5, 0.8]), np.array([0.1, 0.2, 0.3])
NO_DROPOUT = {"blocks": 0.0, "head": 0.0}
CLASSES = ("apple", "fig", "pear")
INGEST = params(**{"ingest.size": 16}).ingest
FEW = settings(max_examples=20, deadline=None)


def cnn(**changes: Any) -> Cnn:
    values = {"depth": 2, "width": 4, "kernel": 3, "activation": "relu", "batch_norm": True, "dense": []}
    dropout = {"blocks": 0.25, "head": 0.0}
    return Cnn.model_validate({"name": "cnn", "dropout": dropout, **values, **changes})


def build(params: Cnn, size: int = 16, seed: int = 1, classes: int = 3) -> nn.Module:
    return build_model(params, classes, size, MEAN, STD, seed)


def pixels(count: int = 5, size: int = 16, seed: int = 1) -> Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return torch.from_numpy(values)


def probabilities(network: nn.Module, *batches: Tensor) -> Any:
    return predict(network, [(batch, torch.zeros(len(batch))) for batch in batches], 1, lambda _: None)


def trained(seed: int = 1, **changes: Any) -> TrainedModel:
    """A model whose buffers, too, are not those of a fresh one."""
    network = build(cnn(**changes), seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # dropout
        network.train()(pixels(8))
    return TrainedModel(network.eval(), CLASSES, INGEST, cnn(**changes))


def test_every_activation_of_params_is_there() -> None:
    assert set(ACTIVATIONS) == set(get_args(Cnn.model_fields["activation"].annotation))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_every_activation_gives_one_logit_a_class_and_is_used(activation: str, batch_norm: bool) -> None:
    network = build(cnn(activation=activation, batch_norm=batch_norm))
    assert network(pixels()).shape == (5, 3)
    assert sum(isinstance(layer, ACTIVATIONS[activation]) for layer in network.modules()) == 2
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == batch_norm


@given(
    depth=st.integers(1, 6), extra=st.integers(0, 40), kernel=st.sampled_from([1, 3, 5, 7]), classes=st.integers(2, 5)
)
@FEW
def test_every_depth_that_fits_gives_one_logit_a_class(depth: int, extra: int, kernel: int, classes: int) -> None:
    size = max(8, 2**depth) + extra
    network = build(cnn(depth=depth, width=1, kernel=kernel), size, classes=classes)
    assert network.eval()(pixels(2, size)).shape == (2, classes)


@pytest.mark.parametrize(
    ("depth", "size", "most"), [pytest.param(4, 8, 3, id="just too deep"), pytest.param(6, 28, 4, id="far too deep")]
)
def test_too_deep_model_is_told_the_most_that_works(depth: int, size: int, most: int) -> None:
    message = (
        rf"^train\.model\.depth {depth} halves pictures of {size} pixels \(ingest\.size\) to nothing: at most {most}$"
    )
    with pytest.raises(ParamsError, match=message):
        build(cnn(depth=depth), size)
    assert build(cnn(depth=most), size)(pixels(2, size)).shape == (2, 3)


def test_width_doubles_with_each_level() -> None:
    layers = [layer for layer in build(cnn(depth=3, width=5)).modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [5, 10, 20]


def test_dropout_acts_in_training_alone() -> None:
    network = build(cnn(dropout={"blocks": 0.5, "head": 0.0}))
    evaluated = network.eval()(pixels())
    assert torch.equal(network(pixels()), evaluated)
    assert not torch.equal(network.train()(pixels()), network(pixels()))
    assert not any(isinstance(layer, nn.Dropout2d) for layer in build(cnn(dropout=NO_DROPOUT)).modules())


def test_seed_decides_the_weights() -> None:
    assert weights(build(cnn(), seed=1)) == weights(build(cnn(), seed=1))
    assert weights(build(cnn(), seed=1)) != weights(build(cnn(), seed=2))


def test_building_neither_reads_nor_moves_the_global_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(build(cnn()))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert weights(build(cnn())) == first


def test_training_pixels_are_brought_to_mean_0_and_deviation_1() -> None:
    values = pixels(50)
    channels = values.permute(1, 0, 2, 3).reshape(3, -1).double() / 255
    found = Normalise(channels.mean(dim=1).numpy(), channels.std(dim=1).numpy())(values)
    assert found.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (found.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3


def test_channel_that_never_varies_gives_numbers() -> None:
    network = build_model(cnn(), 3, 16, np.array([0.0, 1.0, 0.5]), np.zeros(3), seed=1).eval()
    assert torch.isfinite(network(pixels())).all()
    constant = Normalise(np.array([0.2] * 3), np.zeros(3))(torch.full((1, 3, 2, 2), 51, dtype=torch.uint8))
    assert constant.abs().max() < 1e-3


def test_probabilities_sum_to_1_and_keep_the_order_of_rows() -> None:
    network, images, seen = build(cnn()), pixels(7), list[int]()
    batches = [(images[:4], torch.zeros(4)), (images[4:], torch.zeros(3))]
    found = predict(network, batches, 1, seen.append)
    assert found.shape == (7, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found[::-1], probabilities(network, images.flip(0)), rtol=1e-4)
    assert seen == [4, 3]


def test_prediction_leaves_training_mode_and_weights() -> None:
    network = build(cnn(dropout={"blocks": 0.5, "head": 0.5})).train()
    before = weights(network)
    np.testing.assert_array_equal(probabilities(network, pixels()), probabilities(network, pixels()))
    assert weights(network) == before


def test_damaged_weights_are_said_to_predict_nan() -> None:
    network = build(cnn())
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match=r"^the model predicts NaN: its weights are damaged; run `dvc repro train`"):
        probabilities(network, pixels())


@given(
    activation=st.sampled_from(list(ACTIVATIONS)),
    depth=st.integers(1, 4),
    batch_norm=st.booleans(),
    seed=st.integers(0, 99),
)
@FEW
def test_loaded_model_is_the_saved_one(activation: str, depth: int, batch_norm: bool, seed: int) -> None:
    saved = trained(seed, activation=activation, depth=depth, batch_norm=batch_norm)
    loaded = load_model(save_model(saved))
    assert (loaded.classes, loaded.size, loaded.params) == (saved.classes, saved.size, saved.params)
    np.testing.assert_array_equal(probabilities(loaded.network, pixels()), probabilities(saved.network, pixels()))
    assert save_model(loaded) == save_model(saved)


def test_loaded_model_is_ready_to_predict() -> None:
    assert not any(layer.training for layer in load_model(save_model(trained())).network.modules())


def test_equal_models_are_equal_files_and_others_are_not() -> None:
    assert save_model(trained(seed=1)) == save_model(trained(seed=1))
    assert save_model(trained(seed=1)) != save_model(trained(seed=2))


def test_file_names_what_is_needed_to_use_it() -> None:
    about = json.loads(header(save_model(trained()))["__metadata__"]["pipeline"])
    assert about.pop("checksum").startswith("crc32:")
    normalisation = about.pop("normalisation")
    np.testing.assert_allclose([normalisation["mean"], normalisation["std"]], [MEAN, STD], rtol=1e-6)
    assert about == {"classes": list(CLASSES), "ingest": INGEST.model_dump(mode="json"), "model": cnn().model_dump()}


def header(data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return values


def with_about(**changes: Any) -> bytes:
    """A model file whose header was edited, as a version without checksums wrote it."""
    data = save_model(trained())
    values = header(data)
    about = json.loads(values["__metadata__"]["pipeline"])
    del about["checksum"]
    values["__metadata__"]["pipeline"] = json.dumps({**about, **changes})
    edited = json.dumps(values).encode()
    edited += b" " * (-len(edited) % 8)
    return len(edited).to_bytes(8, "little") + edited + data[8 + int.from_bytes(data[:8], "little") :]


def pictures(**changes: Any) -> dict[str, Any]:
    return {**INGEST.model_dump(), **changes}


def test_file_holds_no_pickle() -> None:
    data = save_model(trained())
    end = 8 + int.from_bytes(data[:8], "little")
    tensors = sum(tensor.nbytes for tensor in trained().network.state_dict().values())
    assert len(data) == end + tensors
    with pytest.raises(ValueError, match="opcode"):
        list(pickletools.genops(data))


SAVED = save_model(trained())
OLDER = with_about()
DAMAGED = r"^the model file is damaged or of another version \((?s:.*)\): run `dvc repro train`$"


@given(length=st.integers(0, len(SAVED) - 1))
@example(length=0)
@example(length=7)
@example(length=8)
@example(length=len(SAVED) - 1)
@settings(max_examples=100, deadline=None)
def test_cut_file_is_said_to_be_damaged(length: int) -> None:
    with pytest.raises(DataError, match=DAMAGED):
        load_model(SAVED[:length])


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_noise_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(DataError, match=DAMAGED):
        load_model(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_about(ingest=pictures(size=2)), id="a size that the depth halves to nothing"),
        pytest.param(with_about(ingest=pictures(size="16")), id="a size in words"),
        pytest.param(with_about(ingest=pictures(size=8)), id="a size that the weights do not fit"),
        pytest.param(with_about(ingest=pictures(fit="zoom")), id="a fit that does not exist"),
        pytest.param(with_about(ingest=None), id="a file from before pictures were described"),
        pytest.param(with_about(classes=["apple"]), id="fewer classes than outputs"),
        pytest.param(with_about(classes=["apple", "fig", 3]), id="a class that is a number"),
        pytest.param(with_about(classes=["apple", "fig", "fig"]), id="a class that stands twice"),
        pytest.param(with_about(classes="abc"), id="classes that are a text"),
        pytest.param(with_about(classes=None), id="no classes"),
        pytest.param(with_about(model={"name": "transformer"}), id="a model of another version"),
        pytest.param(with_about(model=cnn(activation="tanh", depth=3).model_dump()), id="another depth"),
        pytest.param((2).to_bytes(8, "little") + b"[]", id="a list for a header"),
        pytest.param((2**63).to_bytes(8, "little") + b"{}", id="a header longer than any file"),
        pytest.param(b"\x80\x04\x95" + bytes(40), id="a pickle"),
    ],
)
def test_file_of_another_making_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(DataError, match=DAMAGED):
        load_model(data)


@given(place=st.integers(0, len(SAVED) - 1), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_one_flipped_bit_is_said_to_be_damage(place: int, bit: int) -> None:
    damaged = bytearray(SAVED)
    damaged[place] ^= 1 << bit
    with pytest.raises(DataError, match=DAMAGED):
        load_model(bytes(damaged))


def test_a_file_of_before_checksums_loads() -> None:
    assert load_model(with_about()).classes == CLASSES


@given(place=st.integers(0, len(OLDER) - 1), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_one_wrong_byte_in_a_file_without_a_checksum_is_a_data_error_or_loads(place: int, value: int) -> None:
    damaged = bytearray(OLDER)
    damaged[place] = value
    with suppress(DataError):
        assert load_model(bytes(damaged)).network(pixels()).shape[0] == 5
