"""Each lever of params.train does what it says, and every member of each choice trains."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError
from pipeline.training.checks import check_last_batch, check_rows
from pipeline.training.losses import penalised, penalty, row_weights
from pipeline.training.mixing import CutMix, Mixed, Mixing, Mixup, mix
from pipeline.training.optimizers import build_optimizer
from tests.fits import (
    ADAMW,
    CLASSES,
    DEV,
    SGD,
    SIZE,
    TRAIN,
    fitted,
    images,
    measured,
    network_for,
    train_params,
    weights,
)
from tests.training.members import (
    CHOICES,
    MEMBERS,
    MODELS,
    NETWORKS,
    OPTIMIZERS,
    named,
)

MEMBERS += [("precision", "float32"), ("precision", "bfloat16")]


@pytest.mark.parametrize("lever", CHOICES)
def test_every_member_of_each_choice_is_tried(lever: str) -> None:
    tried, table = CHOICES[lever]
    # A pretrained network needs a file of weights: tests/models/test_mobilenet.py.
    assert list(tried) == [name for name in table if getattr(table[name], "load", None) is None]


@pytest.mark.parametrize(("lever", "value"), MEMBERS, ids=named)
def test_every_member_learns_what_can_be_learnt_and_twice_alike(lever: str, value: Any) -> None:
    train = train_params(**{"epochs": 8, "patience": None, lever: value})
    assert measured(fitted(train).network, images(40, seed=3)) > 0.9
    short = train.model_copy(update={"epochs": 2})
    first, second = fitted(short), fitted(short)
    assert weights(first.network) == weights(second.network)
    assert first.epochs == second.epochs


# Dropout


@pytest.mark.parametrize("model", NETWORKS)
def test_the_output_layer_is_never_dropped(model: dict[str, Any]) -> None:
    network = network_for(train_params(model={**model, "dropout": {"blocks": 0.5, "head": 0.5}}))
    layers = list(network.children())
    assert isinstance(layers[-1], nn.Linear)
    assert isinstance(layers[-2], nn.Dropout)
    assert layers[-1].out_features == CLASSES
    with torch.no_grad():
        assert (network.train()(TRAIN.tensors[0]) != 0).all()


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("where", ["blocks", "head"])
def test_dropout_stands_where_params_say(model: dict[str, Any], where: str) -> None:
    shares = {"blocks": 0.0, "head": 0.0, where: 0.3}
    network = network_for(train_params(model={**model, "dropout": shares}))
    found = [layer for layer in network.modules() if isinstance(layer, nn.Dropout | nn.Dropout2d)]
    assert [layer.p for layer in found] == [0.3] * (2 if where == "blocks" else 1)
    of_channels = where == "blocks" and model["name"] != "mlp"
    assert all(isinstance(layer, nn.Dropout2d) == of_channels for layer in found)


# Norms, depth, width


@pytest.mark.parametrize("model", NETWORKS)
def test_batch_norm_stands_after_every_layer_or_nowhere(model: dict[str, Any]) -> None:
    layers = list(network_for(train_params(model=model)).modules())
    weighty = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in layers) - 1
    norms = sum(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in layers)
    assert norms == (weighty if model["batch_norm"] else 0)


@pytest.mark.parametrize("lever", ["depth", "width"])
@pytest.mark.parametrize("model", MODELS)
def test_deeper_and_wider_networks_have_more_weights(model: str, lever: str) -> None:
    values = {"name": model, **MODELS[model]}
    small, large = (
        sum(weight.numel() for weight in network_for(train_params(model={**values, lever: value})).parameters())
        for value in (values[lever], values[lever] + 1)
    )
    assert large > small


def test_too_deep_resnet_is_told_the_most_that_works() -> None:
    with pytest.raises(ParamsError, match=r"train\.model\.depth 6 halves pictures of 16 pixels .* at most 5$"):
        network_for(train_params(model={"name": "resnet", **MODELS["resnet"], "depth": 6}))
    network = network_for(train_params(model={"name": "resnet", **MODELS["resnet"], "depth": 5}))
    assert network(TRAIN.tensors[0][:2]).shape == (2, CLASSES)


# L1, L2 and weight decay


@pytest.mark.parametrize("model", NETWORKS)
def test_penalties_pull_weights_and_leave_biases_and_norms_alone(model: dict[str, Any]) -> None:
    network = network_for(train_params(model=model))
    found = penalty(network, l1=0.1, l2=0.01)
    assert isinstance(found, Tensor)
    found.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            assert parameter.grad is None, name
        else:
            torch.testing.assert_close(parameter.grad, 0.1 * parameter.sign() + 0.01 * parameter)
    assert penalty(network, l1=0, l2=0) == 0


def test_decay_of_adamw_takes_weights_alone() -> None:
    network = network_for(train_params())
    optimizer = build_optimizer(network, train_params(optimizer={**ADAMW, "weight_decay": 0.3}).optimizer, 0.1)
    decayed, rest = optimizer.param_groups
    assert {id(weight) for weight in decayed["params"]} == {id(weight) for weight in penalised(network)}
    assert len(decayed["params"]) + len(rest["params"]) == len(list(network.parameters()))
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)


@pytest.mark.parametrize("decoupled", [True, False])
def test_nadam_is_torchs_with_either_decay(decoupled: bool) -> None:
    """Decoupled, a weight without a gradient shrinks by rate times decay; otherwise its decay is its gradient."""
    network = nn.Linear(2, 2, bias=False)
    before = network.weight.detach().clone()
    chosen = {"name": "nadam", **OPTIMIZERS["nadam"], "weight_decay": 0.3, "decoupled": decoupled}
    optimizer = build_optimizer(network, train_params(optimizer=chosen).optimizer, 0.1)
    peer = nn.Linear(2, 2, bias=False)
    peer.load_state_dict(network.state_dict())
    torchs = torch.optim.NAdam(
        peer.parameters(), lr=0.1, betas=(0.9, 0.99), weight_decay=0.3, decoupled_weight_decay=decoupled
    )
    for each, steps in ((network, optimizer), (peer, torchs)):
        each.weight.grad = torch.zeros_like(each.weight)
        steps.step()
    assert torch.equal(network.weight, peer.weight)
    shrunk = torch.allclose(network.weight, before * (1 - 0.1 * 0.3))
    assert shrunk == decoupled


@pytest.mark.parametrize(("lever", "strong"), [("l1", 0.05), ("l2", 0.5)])
def test_strong_penalties_make_weights_small(lever: str, strong: float) -> None:
    sizes = [
        sum(
            float(weight.detach().square().sum())
            for weight in penalised(fitted(train_params(optimizer=SGD, learning_rate=0.05, **{lever: value})).network)
        )
        for value in (0.0, strong)
    ]
    assert sizes[1] < sizes[0] / 1.5


# Labels and rows


def test_smoothed_labels_keep_the_network_from_certainty() -> None:
    certain, smooth = (fitted(train_params(label_smoothing=value, epochs=12, patience=None)) for value in (0.0, 0.5))
    confidence = [
        float(found.network(DEV.tensors[0]).softmax(dim=1).max(dim=1).values.mean().detach())
        for found in (certain, smooth)
    ]
    assert confidence[1] < 0.8 < confidence[0]


def test_class_weights_multiply_and_keep_the_mean() -> None:
    labels = np.array([0, 0, 1, 2])
    found = row_weights(np.array([1, 1, 2, 0.5], np.float32), labels, ("a", "b", "c"), {"a": 3.0})
    np.testing.assert_allclose(found / found[2], [1.5, 1.5, 1, 0.25])
    assert found.mean() == pytest.approx(4.5 / 4)
    with pytest.raises(ParamsError, match=r"^train\.class_weights names z, which train does not have: .* a, b, c$"):
        row_weights(np.ones(4, np.float32), labels, ("a", "b", "c"), {"z": 2.0})


def mixed(params: Mixing, epoch: int = 0, batch: int = 0) -> Mixed:
    found = mix(TRAIN.tensors[0], params, 7, epoch, batch)
    assert found is not None
    return found


def test_mixup_blends_pairs_by_one_share() -> None:
    found = mixed(Mixup(name="mixup", alpha=1.0))
    pixels = TRAIN.tensors[0].float()
    torch.testing.assert_close(found.pixels, found.share * pixels + (1 - found.share) * pixels[found.partners])
    assert sorted(found.partners.tolist()) == list(range(len(pixels)))


@pytest.mark.parametrize("batch", range(6))
def test_cutmix_counts_the_pixels_that_it_pastes(batch: int) -> None:
    pixels = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1).expand(20, 3, SIZE, SIZE)
    found = mix(pixels, CutMix(name="cutmix", alpha=1.0), 7, 0, batch)
    assert found is not None
    for row, partner in enumerate(found.partners.tolist()):
        own = (found.pixels[row] == row).float().mean().item()
        assert own == pytest.approx(1.0 if partner == row else found.share)


def test_mixing_is_keyed_by_epoch_and_batch() -> None:
    chosen = Mixup(name="mixup", alpha=1.0)
    shares = {(epoch, batch): mixed(chosen, epoch, batch).share for epoch in range(3) for batch in range(3)}
    assert len(set(shares.values())) == 9
    assert shares == {place: mixed(chosen, *place).share for place in reversed(shares)}


# Gradients, epochs, precision


def test_gradients_are_shortened_to_the_norm() -> None:
    train = train_params(clip_norm=0.01, epochs=1, optimizer={**SGD, "momentum": 0.0}, learning_rate=1.0, keep="last")
    network = network_for(train)
    before = copy.deepcopy(network.state_dict())
    found = fitted(train, network)
    moved = sum(
        float((value - before[name]).square().sum().detach()) for name, value in found.network.named_parameters()
    )
    assert 0 < math.sqrt(moved) <= 0.01 * 6 * 1.001  # 90 rows in batches of 16


def test_without_patience_training_runs_through_and_the_last_weights_may_stay() -> None:
    still = {"learning_rate": 1e-12, "epochs": 5, "patience": None, "model.batch_norm": False}
    best, last = (fitted(train_params(**still, keep=keep)) for keep in ("best", "last"))
    assert len(best.epochs) == len(last.epochs) == 5
    assert (best.epoch, last.epoch) == (0, 4)


def test_half_precision_without_a_gpu_is_refused_with_what_works() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ParamsError, match=r"^train\.precision float16 needs a GPU, .*: set it to float32 or bfloat16$"):
        fitted(train_params(precision="float16"))


class Hungry(nn.Module):
    """A layer that asks for more memory than any machine has."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.empty(2**60) + features


def test_memory_that_ran_out_names_what_needs_it() -> None:
    train = train_params()
    with pytest.raises(ParamsError, match=r"^memory ran out in a training step: lower train\.batch_size \(it is 16\)"):
        fitted(train, nn.Sequential(network_for(train), Hungry()))


def test_what_cannot_be_trained_is_said_before_it_begins() -> None:
    check_rows({"a": 1, "b": 1}, {"a": 1}, 2)
    with pytest.raises(
        DataError, match=r"^train has no rows of c \(2 images in dev\), so no model can learn them\. Add"
    ):
        check_rows({"a": 1, "b": 1}, {"a": 1, "c": 2}, 1)
    with pytest.raises(DataError, match=r"^train has one class, a: a classifier needs at least two$"):
        check_rows({"a": 2}, {"a": 1}, 1)
    with pytest.raises(DataError, match=r"^dev has no images"):
        check_rows({"a": 1, "b": 1}, {}, 1)
    with pytest.raises(ParamsError, match=r"^train\.batch_size is 3, and train has 2 rows: lower it to at most 2$"):
        check_rows({"a": 1, "b": 1}, {"a": 1}, 3)


def test_a_last_batch_of_one_row_is_said_where_batch_norm_cannot_take_it() -> None:
    mlp = network_for(train_params(model={"name": "mlp", **MODELS["mlp"]}))
    before = weights(mlp)
    with pytest.raises(ParamsError, match=r"^train\.batch_size 8 leaves one of 17 rows for the last batch"):
        check_last_batch(mlp, 17, SIZE, 8)
    check_last_batch(mlp, 18, SIZE, 8)
    check_last_batch(network_for(train_params()), 17, SIZE, 8)  # of pictures with many pixels, one is enough
    assert weights(mlp) == before


def test_weights_that_break_in_the_last_step_are_noticed_on_dev() -> None:
    train = train_params(epochs=1, batch_size=90, optimizer=SGD, l1=1e30, **{"model.batch_norm": False})
    with pytest.raises(DataError, match=r"^dev's loss is (nan|inf) after epoch 0: lower train\.learning_rate"):
        fitted(train)
