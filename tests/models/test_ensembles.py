"""Ensembles as one network: what they combine, what they share, and that they are stored and exported like others."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.models.ensembles import FACTS, Average, EnsembleNetwork, EnsembleOf, ImageFacts, LogLinear, ensemble_of
from pipeline.models.export import MODEL_FORMATS, export_model
from pipeline.models.files import TrainedModel, load_model, needs_own_code, save_model
from pipeline.models.layers import split_frozen
from pipeline.models.onnx_files import load_onnx
from pipeline.store.checksums import BLANK, find, with_checksum
from tests.models.test_export import BOOSTING, CNN, MODELS, pictures, probabilities, trained

HEAD = MODELS["efficientnet_lite0"]


def average(*weights: float) -> Average:
    return Average(torch.tensor(weights))


def gated(members: int, seed: int = 1) -> LogLinear:
    """A pool whose weights depend on the image."""
    drawn = torch.Generator().manual_seed(seed)
    weights = torch.rand(members, 1 + FACTS, generator=drawn) / 4
    return LogLinear(weights, torch.rand(3, generator=drawn), torch.full((FACTS,), 0.2), torch.full((FACTS,), 0.1))


def ensemble(members: Sequence[TrainedModel], pool: Any) -> TrainedModel:
    network = ensemble_of([member.network for member in members], pool)
    made_of = EnsembleOf(tuple(member.params for member in members), pool.name)  # type: ignore[misc]
    return TrainedModel(network, members[0].classes, members[0].ingest, made_of)


def other_head(model: TrainedModel, seed: int) -> TrainedModel:
    """The same backbone behind another output layer."""
    torch.manual_seed(seed)
    layers = [*model.network.children()]
    return TrainedModel(nn.Sequential(*layers[:-1], nn.Linear(1280, 3)), model.classes, model.ingest, model.params)


def cell(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_probabilities_are_averaged_by_weight() -> None:
    one, other = trained(CNN), trained(BOOSTING)
    found = probabilities(ensemble([one, other], average(0.75, 0.25)), pictures(2))
    expected = 0.75 * probabilities(one, pictures(2)) + 0.25 * probabilities(other, pictures(2))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_log_probabilities_are_added_by_weight_and_class() -> None:
    found = cell([[[0.5, 0.5], [0.9, 0.1]]]).log()
    pool = LogLinear(cell([[1.0], [2.0]]), cell([0.0, 0.3]), torch.zeros(0), torch.ones(0))
    expected = cell([[0.5 * 0.81, 0.5 * 0.01 * np.exp(0.3)]])
    np.testing.assert_allclose(
        pool(found, torch.zeros(1, 3, 4, 4)).exp().numpy(), (expected / expected.sum()).numpy(), rtol=1e-5
    )


def test_a_gate_weighs_members_by_the_image() -> None:
    """The first member is heard where the picture is bright, the second where it is dark."""
    weights = torch.zeros(2, 1 + FACTS)
    weights[0, 0], weights[0, 1] = 0.5, 0.5
    weights[1, 0], weights[1, 1] = 0.5, -0.5
    pool = LogLinear(weights, torch.zeros(2), cell([0.5, 0, 0, 0]), cell([0.5, 1, 1, 1]))
    found = cell([[[0.9, 0.1], [0.2, 0.8]]] * 2).log()
    bright, dark = torch.full((3, 4, 4), 255), torch.zeros(3, 4, 4)
    chosen = pool(found, torch.stack([bright, dark]).to(torch.uint8)).exp().numpy()
    np.testing.assert_allclose(chosen, [[0.9, 0.1], [0.2, 0.8]], atol=1e-5)


def test_facts_of_an_image_are_what_they_say() -> None:
    stripes = torch.zeros(3, 4, 4, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    red = torch.zeros(3, 4, 4, dtype=torch.uint8)
    red[0] = 255
    found = ImageFacts()(torch.stack([stripes, red]))
    np.testing.assert_allclose(found[0], [0.5, 0.5, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(found[1], [1 / 3, 0.0, 4 / 9, 0.0], atol=1e-6)


def test_members_share_frozen_layers_and_others_do_not() -> None:
    one = trained(HEAD)
    both = ensemble([one, other_head(one, 5), trained(CNN)], average(0.5, 0.25, 0.25))
    network = both.network
    assert isinstance(network, EnsembleNetwork)
    assert (network.stem_of, len(network.stems)) == ([0, 0, 1], 2)
    alone = len(save_model(one))
    assert len(save_model(both)) < 1.1 * alone
    wider = trained({**HEAD, "input": 64})
    assert ensemble([one, wider], average(0.5, 0.5)).network.stem_of == [0, 1]


POOLS: dict[str, Any] = {"average": average(0.5, 0.2, 0.2, 0.1), "gated": gated(4)}


@pytest.mark.parametrize("pool", POOLS)
def test_a_file_of_many_members_is_one_model(pool: str) -> None:
    backbone = trained(HEAD)
    model = ensemble([backbone, trained(BOOSTING), other_head(backbone, 3), trained(CNN)], POOLS[pool])
    file = save_model(model)
    found = load_model(file)
    assert (found.params, found.classes) == (model.params, model.classes)
    np.testing.assert_array_equal(probabilities(found, pictures(2)), probabilities(model, pictures(2)))
    assert save_model(found) == file
    assert not needs_own_code(file)


@pytest.mark.parametrize("format_name", MODEL_FORMATS)
def test_it_is_exported_as_one_graph(format_name: str) -> None:
    model = ensemble([trained(CNN), trained(BOOSTING)], gated(2))
    chosen = MODEL_FORMATS[format_name]
    data = export_model(model, chosen)
    run, expected = chosen.run(data), probabilities(model, pictures(2))
    for count in (1, 5):
        np.testing.assert_allclose(run(pictures(2)[:count].numpy()), expected[:count], atol=1e-5, rtol=0)
    if format_name == "onnx":
        assert load_onnx(data).params == model.params


def test_a_member_of_own_code_needs_its_function() -> None:
    own = trained(MODELS["factory"])
    model = ensemble([own, trained(CNN)], average(0.5, 0.5))
    file = save_model(model)
    assert needs_own_code(file)
    assert b"own_networks" not in file
    with pytest.raises(DataError, match="no model file names code to be run"):
        load_model(file)
    found = load_model(file, own.params)  # type: ignore[arg-type]
    np.testing.assert_array_equal(probabilities(found, pictures(2)), probabilities(model, pictures(2)))


CHANGES: dict[str, tuple[str, Any]] = {
    "no members": ("members", []),
    "a member of no kind": ("members", [{"name": "ensemble", "members": []}] * 2),
    "a member that is larger than the file": ("members", [{**MODELS["mlp"], "width": 4096}] * 2),
    "one stem for two members": ("stems", [0]),
    "stems in no order": ("stems", [1, 0]),
    "a stem that is no number": ("stems", ["0", "1"]),
    "stems that are not shared": ("stems", [0, 7]),
    "a way to combine that is not known": ("pool", "median"),
    "another way to combine": ("pool", "log_linear"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_header_of_something_else_is_refused(change: str) -> None:
    file = save_model(ensemble([trained(CNN), trained({**CNN, "width": 4})], average(0.5, 0.5)))
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    about = json.loads(header["__metadata__"]["pipeline"])
    key, value = CHANGES[change]
    about["model"][key] = value
    about["checksum"] = BLANK.decode()
    header["__metadata__"]["pipeline"] = json.dumps(about, sort_keys=True)
    text = json.dumps(header).encode()
    changed = len(text).to_bytes(8, "little") + text + file[end:]
    place = find(changed, 8, 8 + len(text))
    assert place is not None
    with pytest.raises(DataError, match="the model file is damaged or of another version"):
        load_model(with_checksum(changed, place))


def test_halves_of_a_network_are_the_whole() -> None:
    network = trained(HEAD).network
    stem, head = split_frozen(network)
    np.testing.assert_array_equal(head(stem(pictures(2)[:3])).detach(), network(pictures(2)[:3]).detach())
