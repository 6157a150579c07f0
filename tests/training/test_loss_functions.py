"""Each loss function is its formula, learns, goes on after a stop, and acts together with smoothing and weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.stages.train.params import TrainParams
from pipeline.training.loop import TrainingLoop
from pipeline.training.loss_functions import LOSSES, RowLosses, losses_of, row_losses
from pipeline.training.losses import near_zero
from pipeline.training.training import Stopped
from tests.examples import params
from tests.fits import SGD, Epochs, fitted, images, measured, metric_named, network_for, train_params, weighted, weights

COSTS = {"0": {"1": 6.0}, "1": {"0": 2.0}}
MEAN_COST = {"name": "mean_cost", "costs": COSTS, "otherwise": 1.0}
# The same as a table, over the mean of its mistakes.
TABLE = np.array([[0, 6, 1], [2, 0, 1], [1, 1, 0]]) / 2
EXAMPLES: dict[str, dict[str, Any]] = {
    "cross_entropy": {"name": "cross_entropy"},
    "focal": {"name": "focal", "gamma": 2.0},
    "cost_sensitive": {"name": "cost_sensitive", "strength": 3.0},
}
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 1, 0])


def costly(**changes: Any) -> TrainParams:
    """Params of tests with a metric that has costs."""
    loss = changes.pop("loss")
    section = params(**{"train.loss": loss, "evaluate.optimizing": MEAN_COST}).train
    return train_params(**changes).model_copy(update={"loss": section.loss})


def losses(loss: dict[str, Any], smoothing: float = 0.0) -> RowLosses:
    train = costly(loss=loss, label_smoothing=smoothing)
    return row_losses(train.loss, train.label_smoothing, metric_named(MEAN_COST))


def formula(name: str, smoothing: float) -> Tensor:
    """In plain words, by hand."""
    chances = LOGITS.softmax(dim=1)
    shares = nn.functional.one_hot(LABELS, 3) * (1 - smoothing) + smoothing / 3
    entropy = -(shares * chances.log()).sum(dim=1)
    match name:
        case "focal":
            return -(shares * (1 - chances) ** 2 * chances.log()).sum(dim=1)
        case "cost_sensitive":
            return entropy + 3 * (torch.tensor(TABLE[LABELS.numpy()]).float() * chances).sum(dim=1)
    return entropy


def test_every_loss_is_tried() -> None:
    assert list(EXAMPLES) == [name for name, row in LOSSES.items() if row.make is not None]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_loss_is_its_formula(name: str, smoothing: float) -> None:
    torch.testing.assert_close(losses(EXAMPLES[name], smoothing)(LOGITS, LABELS), formula(name, smoothing))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_loss_learns_and_twice_alike(name: str) -> None:
    train = costly(epochs=8, patience=None, loss=EXAMPLES[name])
    first, second = (fitted(train, optimizing=MEAN_COST) for _ in range(2))
    assert measured(first.network, images(40, seed=3)) > 0.9
    assert weights(first.network) == weights(second.network)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_stopped_fit_goes_on_with_its_loss(name: str) -> None:
    train = costly(epochs=3, patience=None, loss=EXAMPLES[name])
    whole = fitted(train, optimizing=MEAN_COST)
    saved: list[Any] = []
    asked = iter([False] * 9 + [True])
    with pytest.raises(Stopped):
        fitted(train, optimizing=MEAN_COST, save=saved.append, stopping=lambda: next(asked))
    resumed = fitted(train, optimizing=MEAN_COST, state=saved[-1])
    assert weights(resumed.network) == weights(whole.network)
    assert resumed.epochs == whole.epochs


def test_the_curve_of_train_is_cross_entropy_under_every_loss() -> None:
    """So that it can be held against dev's, and what reads curves knows what guessing has."""
    rows, still = weighted(images(30, seed=1)), {"optimizer": SGD, "learning_rate": 1e-9, "epochs": 1}
    found = [
        fitted(costly(**still, loss=loss), rows=rows, optimizing=MEAN_COST).epochs[0]["train/loss"]
        for loss in EXAMPLES.values()
    ]
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


def test_focal_forgets_rows_that_are_right_and_sure() -> None:
    logits = torch.tensor([[9.0, 0, 0], [0.1, 0, 0]])
    sure, unsure = losses({"name": "focal", "gamma": 2.0})(logits, torch.tensor([0, 0]))
    plain_sure, plain_unsure = losses({"name": "cross_entropy"})(logits, torch.tensor([0, 0]))
    assert sure / unsure < 1e-4 * plain_sure / plain_unsure


@pytest.mark.parametrize("gamma", [0.01, 0.5, 10.0])
def test_focal_has_a_slope_where_a_row_is_certain(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0, 0], [0, 200.0, 0]], requires_grad=True)
    losses({"name": "focal", "gamma": gamma})(logits, torch.tensor([0, 0])).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_costs_move_the_answer_away_from_the_dear_mistake() -> None:
    """Rows that cannot be told apart, half of them a 0 and half a 1: to call a 0 a 1 costs three times as much."""
    labels, answers = torch.tensor([0, 1]), []
    for loss in (EXAMPLES["cross_entropy"], EXAMPLES["cost_sensitive"]):
        logit = torch.zeros(1, 3, requires_grad=True)
        optimizer = torch.optim.SGD([logit], lr=0.3)
        for _ in range(200):
            optimizer.zero_grad()
            losses(loss)(logit.expand(2, 3), labels).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        answers.append(float(logit.detach().softmax(dim=1)[0, 0]))
    assert answers[0] == pytest.approx(0.5, abs=0.01)
    assert answers[1] > 0.6


def test_the_unit_of_costs_changes_nothing() -> None:
    dear = {**MEAN_COST, "costs": {"0": {"1": 600.0}, "1": {"0": 200.0}}, "otherwise": 100.0}
    train = costly(loss=EXAMPLES["cost_sensitive"])
    found = [row_losses(train.loss, 0.0, metric_named(costs))(LOGITS, LABELS) for costs in (MEAN_COST, dear)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", EXAMPLES)
def test_weights_of_rows_multiply_any_loss(name: str) -> None:
    """A batch of one row that weighs three times as much moves the weights three times as far."""
    train = costly(loss=EXAMPLES[name], optimizer={**SGD, "momentum": 0.0}, batch_size=16)
    moved = []
    for weight in (1.0, 3.0):
        network = network_for(train).eval()
        rows = weighted(images(6, seed=1), torch.full((18,), weight))
        before = [parameter.detach().clone() for parameter in network.parameters()]
        loop = TrainingLoop(network, train, losses_of(train.loss, 0.0, metric_named(MEAN_COST)))
        batch = next(iter(Epochs(rows, 16, seed=1).epoch(0)))
        next(iter(loop.epoch(0, [batch], lambda _: 1e-3)))
        pairs = zip(network.parameters(), before, strict=True)
        moved.append(torch.cat([(after - old).flatten() for after, old in pairs]))
    torch.testing.assert_close(moved[1], 3 * moved[0], rtol=1e-3, atol=1e-6)


def test_a_loss_by_costs_needs_a_metric_with_costs() -> None:
    cost_sensitive = {"train.loss": {"name": "cost_sensitive", "strength": 1.0}}
    words = "train.loss cost_sensitive takes its costs from evaluate.optimizing, which is accuracy: set it to mean_cost"
    with pytest.raises(ParamsError, match=words):
        params(**cost_sensitive)
    assert params(**cost_sensitive, **{"evaluate.optimizing": MEAN_COST}).train.loss.name == "cost_sensitive"
    with pytest.raises(ParamsError, match=words):
        row_losses(_cost_sensitive(), 0.0, metric_named("accuracy"))


def test_costs_of_nothing_are_refused() -> None:
    free = {"name": "mean_cost", "costs": {}, "otherwise": 0.0}
    with pytest.raises(ParamsError, match="no mistake costs anything"):
        row_losses(_cost_sensitive(), 0.0, metric_named(free))


def _cost_sensitive() -> Any:
    return LOSSES["cost_sensitive"].params(name="cost_sensitive", strength=1.0)


def test_an_l1_penalty_makes_weights_small_and_the_curve_says_how_many() -> None:
    plain, sparse = (fitted(train_params(epochs=6, patience=None, l1=l1)) for l1 in (0.0, 0.003))
    assert "train/near_zero" not in plain.epochs[-1]
    found = sparse.epochs[-1]["train/near_zero"]
    assert sparse.epochs[sparse.epoch]["train/near_zero"] == near_zero(sparse.network)
    assert found > 3 * near_zero(plain.network)


def test_near_zero_is_below_a_hundredth_of_the_largest_weight_of_the_layer() -> None:
    first, second = nn.Linear(4, 1), nn.Linear(2, 1)
    first.weight.data = torch.tensor([[100.0, 0.9, -1.1, 0.0]])
    second.weight.data = torch.tensor([[0.001, 0.0009]])
    assert near_zero(nn.Sequential(first, second)) == 2 / 6
