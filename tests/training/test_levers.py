"""Each lever of params.train does what it says, and every member of each choice trains."""

import copy
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError
from pipeline.models.networks import NETWORKS as TABLE_OF_NETWORKS
from pipeline.registry import Registry
from pipeline.stages.train.params import TrainParams
from pipeline.training.losses import penalised, penalty, row_weights
from pipeline.training.mixing import MIXINGS as TABLE_OF_MIXINGS
from pipeline.training.mixing import CutMix, Mixed, Mixing, Mixup, mix
from pipeline.training.optimizers import OPTIMIZERS as TABLE_OF_OPTIMIZERS
from pipeline.training.optimizers import build_optimizer
from pipeline.training.schedules import SCHEDULES as TABLE_OF_SCHEDULES
from pipeline.training.schedules import Schedule, rate_factor
from pipeline.training.training import Stopped, check_last_batch, check_rows
from tests.fits import (
    ADAMW,
    CLASSES,
    DEV,
    SGD,
    SIZE,
    TRAIN,
    fitted,
    images,
    loader,
    measured,
    network_for,
    train_params,
    weights,
)

SHAPE = {"width": 4, "activation": "relu", "batch_norm": True, "dropout": {"blocks": 0.1, "head": 0.1}}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"depth": 2, "kernel": 3, "dense": [8], **SHAPE},
    "resnet": {"depth": 2, "blocks": 1, "kernel": 3, **SHAPE},
    "mlp": {"depth": 2, **SHAPE, "width": 32},
}
OWN = {"factory": {"factory": "tests.own_networks:build", "arguments": {"width": 16}, "normalise": "train"}}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.9, "momentum": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.99},
    "adamw": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01},
    "nadam": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "decoupled": True},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"every": 4, "factor": 0.5},
    "cosine": {"final": 0.1},
    "sgdr": {"first": 2, "factor": 2, "final": 0.0},
}
MIXINGS: dict[str, dict[str, Any]] = {"none": {}, "mixup": {"alpha": 0.2}, "cutmix": {"alpha": 0.2}}
CHOICES: dict[str, tuple[dict[str, dict[str, Any]], Registry[Any]]] = {
    "model": ({**MODELS, **OWN}, TABLE_OF_NETWORKS),
    "optimizer": (OPTIMIZERS, TABLE_OF_OPTIMIZERS),
    "schedule": (SCHEDULES, TABLE_OF_SCHEDULES),
    "mixing": (MIXINGS, TABLE_OF_MIXINGS),
}
MEMBERS: list[tuple[str, Any]] = [
    (lever, {"name": name, **rest}) for lever, (table, _) in CHOICES.items() for name, rest in table.items()
]
MEMBERS += [("precision", "float32"), ("precision", "bfloat16")]


def named(value: Any) -> str:
    return str(value["name"] if isinstance(value, dict) else value)


NETWORKS = [
    pytest.param({"name": name, **rest, "batch_norm": batch_norm}, id=f"{name}, norm {batch_norm}")
    for name, rest in MODELS.items()
    for batch_norm in (True, False)
]


def schedule(name: str, **extra_columns: Any) -> Schedule:
    return train_params(epochs=100, schedule={"name": name, **SCHEDULES[name], **extra_columns}).schedule


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


# Learning rate


def rates(chosen: Schedule, epochs: int, warmup: float = 0.0, batches: int = 1) -> list[float]:
    places = [(epoch, batch) for epoch in range(epochs) for batch in range(batches)]
    return [rate_factor(chosen, warmup, epochs, epoch, batch, batches) for epoch, batch in places]


def torchs(schedule_class: Any, epochs: int, **arguments: Any) -> list[float]:
    """The rates that torch's own schedule gives, by epoch, from 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = schedule_class(optimizer, **arguments), []
    for _ in range(epochs):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(schedule("constant"), [1.0] * 14, id="constant"),
        pytest.param(schedule("step"), torchs(torch.optim.lr_scheduler.StepLR, 14, step_size=4, gamma=0.5), id="step"),
        pytest.param(
            schedule("cosine"),
            torchs(torch.optim.lr_scheduler.CosineAnnealingLR, 14, T_max=14, eta_min=0.1),
            id="cosine",
        ),
        pytest.param(
            schedule("sgdr"),
            torchs(torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, 14, T_0=2, T_mult=2),
            id="warm restarts",
        ),
    ],
)
def test_schedules_are_those_of_torch(chosen: Schedule, expected: list[float]) -> None:
    assert rates(chosen, 14) == pytest.approx(expected)


def test_rates_of_batches_lie_between_those_of_epochs() -> None:
    fine = rates(schedule("cosine"), 5, batches=10)
    assert fine == sorted(fine, reverse=True)
    assert fine[::10] == pytest.approx(rates(schedule("cosine"), 5))


def test_warm_restarts_start_with_the_full_rate() -> None:
    found = rates(schedule("sgdr"), 14, batches=4)
    assert [place / 4 for place, rate in enumerate(found) if rate == pytest.approx(1)] == [0, 2, 6]


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_evenly_and_the_schedule_follows(name: str) -> None:
    found = rates(schedule(name), 12, warmup=2.0, batches=5)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    left = [_shifted(schedule(name), 10, place) for place in range(50)]
    assert found[10:] == pytest.approx(left)


def _shifted(chosen: Schedule, epochs: int, place: int) -> float:
    return rate_factor(chosen, 0.0, epochs, place // 5, place % 5, 5)


def test_the_rate_reaches_the_optimizer() -> None:
    seen: list[float] = []
    train = train_params(epochs=4, schedule={"name": "step", "every": 1, "factor": 0.1}, learning_rate=0.01)
    fitted(train, save=lambda state: seen.append(state["loop"]["optimizer"]["param_groups"][0]["lr"]))
    assert seen == pytest.approx([0.01, 0.001, 0.0001, 0.00001])


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


# Going on after a stop


def resumable(**changes: Any) -> TrainParams:
    """All that draws, counts or remembers."""
    every = {
        "mixing": {"name": "mixup", "alpha": 0.5},
        "schedule": {"name": "cosine", "final": 0.0},
        "warmup_epochs": 1.5,
    }
    return train_params(**{**every, "epochs": 5, "patience": None, "l2": 0.001, **changes})


@pytest.mark.parametrize("optimizer", [{"name": name, **rest} for name, rest in OPTIMIZERS.items()], ids=named)
def test_training_that_goes_on_ends_with_the_weights_of_one_that_never_stopped(optimizer: dict[str, Any]) -> None:
    train = resumable(optimizer=optimizer)
    kept: list[bytes] = []

    def save(state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kept.append(buffer.getvalue())

    whole = fitted(train, save=save)
    assert len(kept) == len(whole.epochs) == 5
    for data in kept:
        resumed = fitted(train, state=torch.load(io.BytesIO(data), weights_only=True))
        assert weights(resumed.network) == weights(whole.network)
        assert (resumed.epochs, resumed.epoch) == (whole.epochs, whole.epoch)


@pytest.mark.parametrize("optimizing", ["accuracy", "log_loss"])
def test_training_that_goes_on_in_the_middle_of_an_epoch_does_so_too(optimizing: str) -> None:
    """With the same numbers of that epoch, of which a part was seen before the stop."""
    train = resumable(epochs=3)
    kept: list[bytes] = []

    def save(state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kept.append(buffer.getvalue())

    whole = fitted(train, optimizing=optimizing, save=save, due=lambda: True)
    states = [torch.load(io.BytesIO(data), weights_only=True) for data in kept]
    batches = math.ceil(len(TRAIN) / train.batch_size)
    # After each batch, and after each epoch once more.
    places = [(epoch, batch) for epoch in range(3) for batch in [*range(1, batches + 1), 0]]
    assert [(len(state["epochs"]) - (state["batches"] == 0), state["batches"]) for state in states] == places
    for state in states[: 2 * (batches + 1)]:
        resumed = fitted(train, optimizing=optimizing, state=state)
        assert weights(resumed.network) == weights(whole.network)
        assert (resumed.epochs, resumed.epoch) == (whole.epochs, whole.epoch)


def test_a_fit_that_is_stopped_between_any_two_batches_goes_on_to_the_same_weights() -> None:
    """Of train, of dev, or between two epochs; it saves its state, and nothing after that."""
    train = resumable(epochs=2)
    whole = fitted(train)
    places = 2 * (math.ceil(len(TRAIN) / train.batch_size) + len(loader(DEV)) + 1)
    for place in range(places):
        kept: list[bytes] = []

        def save(state: dict[str, Any], kept: list[bytes] = kept) -> None:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            kept.append(buffer.getvalue())

        asked = itertools.count()
        with pytest.raises(Stopped):
            fitted(train, save=save, stopping=lambda asked=asked, place=place: next(asked) == place)
        assert next(asked) == place + 1
        resumed = fitted(train, state=torch.load(io.BytesIO(kept[-1]), weights_only=True))
        assert weights(resumed.network) == weights(whole.network)
        assert resumed.epochs == whole.epochs
    asked = itertools.count()
    fitted(train, stopping=lambda: next(asked) < 0)
    assert next(asked) == places  # there are no others


def test_patience_counts_the_epochs_before_the_stop() -> None:
    still = {"learning_rate": 1e-12, "epochs": 20, "patience": 3, "model.batch_norm": False}
    states: list[dict[str, Any]] = []
    whole = fitted(train_params(**still), save=lambda state: states.append(copy.deepcopy(state)))
    assert [len(fitted(train_params(**still), state=state).epochs) for state in states] == [len(whole.epochs)] * 4


def test_weights_that_break_in_the_last_step_are_noticed_on_dev() -> None:
    train = train_params(epochs=1, batch_size=90, optimizer=SGD, l1=1e30, **{"model.batch_norm": False})
    with pytest.raises(DataError, match=r"^dev's loss is (nan|inf) after epoch 0: lower train\.learning_rate"):
        fitted(train)
