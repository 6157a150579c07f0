"""Fitting a tiny set: it is learnt, twice alike, stopped in time, and the best epoch is what stays."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from pipeline.data.order import KeyedOrder
from pipeline.errors import DataError
from pipeline.models.prediction import predict
from pipeline.training.losses import entropies, weighted_mean
from pipeline.training.training import fit
from tests.examples import picture, striped
from tests.fits import (
    CLASSES,
    DEV,
    SGD,
    TRAIN,
    Epochs,
    fitted,
    images,
    loader,
    measured,
    metric_named,
    network_for,
    train_params,
    weighted,
    weights,
)


def test_same_params_and_data_give_the_same_weights_and_numbers() -> None:
    torch.manual_seed(1)
    first = fitted(train_params(epochs=3))
    torch.manual_seed(2)
    second = fitted(train_params(epochs=3))
    assert weights(first.network) == weights(second.network)
    assert first.epochs == second.epochs


def test_another_seed_trains_otherwise() -> None:
    assert weights(fitted(train_params(epochs=1, seed=1)).network) != weights(
        fitted(train_params(epochs=1, seed=2)).network
    )


def test_longer_run_starts_as_the_shorter_one() -> None:
    assert fitted(train_params(epochs=4)).epochs[:2] == fitted(train_params(epochs=2)).epochs


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_epochs_without_a_better_dev_metric(patience: int) -> None:
    still = {"model.batch_norm": False, "model.dropout.blocks": 0.0}
    found = fitted(train_params(learning_rate=1e-12, epochs=20, patience=patience, **still))
    assert len(found.epochs) == 1 + patience
    assert found.epoch == 0
    assert found.epochs[-1] == pytest.approx(found.epochs[0])


def test_a_metric_that_is_minimised_counts_patience_downwards() -> None:
    found = fitted(train_params(epochs=3, patience=1), optimizing="log_loss")
    losses = [epoch["dev/optimizing"] for epoch in found.epochs]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert found.epoch == 2


def test_training_ends_with_the_last_epoch_when_dev_keeps_improving() -> None:
    assert len(fitted(train_params(epochs=3, patience=50)).epochs) == 3


COSTS = {"name": "mean_cost", "costs": {"0": {"1": 5.0}}, "otherwise": 1.0}
RECALL = {"name": "class_recall", "label": 1}


@pytest.mark.parametrize(
    "optimizing", ["accuracy", "balanced_accuracy", "macro_f1", "macro_pr_auc", "log_loss", COSTS, RECALL], ids=str
)
def test_weights_are_those_of_the_epoch_that_was_best_on_dev(optimizing: Any) -> None:
    # On pure noise the metric goes up and down by chance, so that the last epoch is not the best.
    noise = np.stack([picture(number) for number in range(60)])
    dev = TensorDataset(torch.from_numpy(noise).permute(0, 3, 1, 2), torch.arange(60) % CLASSES)
    found = fitted(train_params(epochs=10, patience=None), dev=dev, optimizing=optimizing)
    metrics = [epoch["dev/optimizing"] for epoch in found.epochs]
    best = max(metrics) if metric_named(optimizing).maximise else min(metrics)
    assert len(set(metrics)) > 1
    assert found.epoch == metrics.index(best)
    assert measured(found.network, dev, optimizing) == pytest.approx(best)


def test_fitted_network_is_ready_to_predict() -> None:
    found = fitted(train_params(epochs=1))
    assert not any(layer.training for layer in found.network.modules())
    assert {parameter.device.type for parameter in found.network.parameters()} == {"cpu"}


def test_epochs_report_losses_and_metrics_of_train_and_dev() -> None:
    found = fitted(train_params(epochs=2))
    assert [list(epoch) for epoch in found.epochs] == [
        ["train/loss", "train/optimizing", "dev/loss", "dev/optimizing"]
    ] * 2
    logits = [found.network(pixels) for pixels, _ in loader(DEV)]
    loss = nn.functional.cross_entropy(torch.cat(logits), DEV.tensors[1])
    assert found.epochs[found.epoch]["dev/loss"] == pytest.approx(float(loss.detach()), rel=1e-4)


def test_progress_counts_training_batches() -> None:
    train = train_params(epochs=2)
    steps: list[int] = []
    batches = Epochs(TRAIN, 16, seed=1)
    fit(network_for(train), batches, loader(DEV), train, metric_named("accuracy"), CLASSES, steps.append)
    assert steps == [1] * 2 * 6  # 90 images in batches of 16


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        pytest.param({"name": "sgd", "momentum": 0.99, "nesterov": False}, 10.0, id="sgd runs away"),
        pytest.param(SGD, 0.01, id="nothing to start from"),
    ],
)
def test_loss_that_is_no_number_names_the_learning_rate(optimizer: dict[str, Any], rate: float) -> None:
    train = train_params(optimizer=optimizer, learning_rate=rate, epochs=30, patience=30, **{"model.batch_norm": False})
    network = network_for(train)
    with torch.no_grad():
        # Large weights, so that the first steps overflow; weights that are infinite have no loss at all.
        network.get_parameter("1.weight").mul_(1e18 if rate > 1 else float("inf"))
    message = rf"^the loss is (nan|inf) in epoch \d+, batch \d+: lower train\.learning_rate \(it is {rate:g}\), or "
    with pytest.raises(DataError, match=message):
        fitted(train, network)


class Watched(Dataset[Any]):
    """Rows that note in which order they are asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(TRAIN)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        self.asked.append(number)
        pixels, label, weight = TRAIN[number]
        return pixels, label, weight


def test_each_epoch_sees_every_row_once_in_the_order_of_its_key() -> None:
    train, rows = train_params(epochs=3), Watched()
    batches = Epochs(rows, 16, seed=9)
    fit(network_for(train), batches, loader(DEV), train, metric_named("accuracy"), CLASSES, lambda _: None)
    seen = [rows.asked[start : start + len(rows)] for start in range(0, 3 * len(rows), len(rows))]
    assert seen == [order_of(len(rows), 9, epoch) for epoch in range(3)]


def order_of(rows: int, seed: int, epoch: int) -> list[int]:
    order = KeyedOrder(rows, seed)
    order.set_epoch(epoch)
    return list(order)


def test_loss_is_that_of_rows_repeated_by_their_weight() -> None:
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 1])
    repeated = [0, 0, 0, 1, 2, 2, 3, 3]
    expected = nn.functional.cross_entropy(logits[repeated], labels[repeated], reduction="sum") / 4
    loss = weighted_mean(entropies(logits, labels), torch.tensor([3.0, 1.0, 2.0, 2.0]))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        weighted_mean(entropies(logits, labels), torch.ones(4)), nn.functional.cross_entropy(logits, labels)
    )


def test_weights_of_rows_reach_the_network() -> None:
    halves = torch.tensor([0.5, 1.5]).repeat(len(TRAIN) // 2)
    plain, unequal = (fitted(train_params(epochs=1), rows=rows) for rows in (TRAIN, weighted(images(30, 1), halves)))
    assert weights(plain.network) != weights(unequal.network)


def test_rows_that_weigh_nothing_teach_nothing() -> None:
    noise = torch.randint(0, 3, (len(TRAIN),), generator=torch.Generator().manual_seed(1))
    mislabelled = TensorDataset(TRAIN.tensors[0], noise, torch.zeros(len(TRAIN)))
    params_without_decay = train_params(epochs=1, optimizer=SGD)
    network = network_for(params_without_decay)
    before = {name: value.clone() for name, value in network.named_parameters()}
    fitted(params_without_decay, network, rows=mislabelled)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_class_weights_lift_the_small_class() -> None:
    """Ten of fifteen images of class 2 look like forty of class 0: only by weight are they the more likely."""
    looks_like = np.repeat([0, 1, 2, 0, 2], [100, 75, 40, 5, 10])
    labels = np.repeat([0, 1, 0, 2, 2], [100, 75, 40, 5, 10])
    pixels = np.stack([striped(int(bar), 5000 + row) for row, bar in enumerate(looks_like)])
    rows = TensorDataset(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels))
    balancing = len(labels) / (CLASSES * np.bincount(labels)[labels])

    def recall(weights_of_rows: Tensor) -> float:
        train = train_params(epochs=10, patience=10)
        found = fitted(train, dev=rows, optimizing="balanced_accuracy", rows=weighted(rows, weights_of_rows))
        called = predict(found.network, loader(rows), 1, lambda _: None).argmax(axis=1)
        return float((called[labels == 2] == 2).mean())

    assert recall(torch.ones(len(labels))) < 0.2
    assert recall(torch.from_numpy(balancing.astype(np.float32))) > 0.6
