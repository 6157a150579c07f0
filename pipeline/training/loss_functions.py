"""Loss functions: what training makes smaller for each row, with the source of each formula.

Of each, the objective is the mean over rows of loss times weight (balance's weight times that of the class), plus the
penalties on weights. A mixed row has the losses of both labels, by their shares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.errors import ParamsError
from pipeline.registry import Choice, Registry
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.metrics.metric import Metric

P = TypeVar("P", bound="Loss")
# Logits (n, k) and class numbers (n,), or labels (n, k) of 0 and 1 -> a loss for each row, shape (n,), >= 0.
RowLosses = Callable[["Tensor", "Tensor"], "Tensor"]


class Loss(Section):
    """Params of any loss function."""

    name: str


class CrossEntropy(Loss):
    """-log(probability of the label); where an image may have several, the mean over labels of binary cross entropy."""

    name: Literal["cross_entropy"]


class Focal(Loss):
    """Cross entropy times (1 - probability)^gamma: rows that are right and sure hardly count (Lin et al., 2017)."""

    name: Literal["focal"]
    gamma: Annotated[float, Field(gt=0, le=10)]


class CostSensitive(Loss):
    """Cross entropy plus what the prediction is expected to cost (Galdran et al., 2020).

    strength: of the costs, by the table of evaluate.optimizing, which must be mean_cost. An average mistake costs 1.
    """

    name: Literal["cost_sensitive"]
    strength: Annotated[float, Field(gt=0, le=100)]


@dataclass(frozen=True)
class LossRow(Choice[P]):
    """A loss function.

    make: (params, label smoothing, costs) -> losses of rows. costs: [actual, predicted], shape (k, k), of which the
        mean of mistakes is 1; None where no table is needed.
    needs_costs: whether evaluate.optimizing must be mean_cost, whose table it takes.
    """

    make: Callable[[P, float, "Tensor | None"], RowLosses]
    needs_costs: bool = False


def row_losses(loss: Loss, smoothing: float, optimizing: "Metric") -> RowLosses:
    """The losses of rows that params name, with labels smoothed (Szegedy et al., 2016).

    Args:
        smoothing: the share of each label that is spread over all classes, in [0, 1).

    Raises:
        ParamsError: the loss takes its costs from `optimizing`, which has none, or whose mistakes cost nothing.
    """
    import torch

    row = LOSSES.of(loss)
    if not row.needs_costs:
        return row.make(loss, smoothing, None)
    if optimizing.costs is None:
        raise ParamsError(needs_mean_cost(loss.name, optimizing.key))
    costs = torch.from_numpy(optimizing.costs).float()
    mistakes = float(costs.sum() - costs.diagonal().sum()) / (len(costs) * (len(costs) - 1))
    if mistakes == 0:
        raise ParamsError(
            f"train.loss {loss.name} has nothing to learn from: no mistake costs anything in evaluate.optimizing"
        )
    return row.make(loss, smoothing, costs / mistakes)


def needs_mean_cost(loss: str, metric: str) -> str:
    """What to say of a loss that takes its costs from a metric that has none."""
    return (
        f"train.loss {loss} takes its costs from evaluate.optimizing, which is {metric}: set it to mean_cost with a "
        "table of costs, or to mean_distance, or take another loss"
    )


def _cross_entropy(params: CrossEntropy, smoothing: float, costs: "Tensor | None") -> RowLosses:
    from pipeline.training.losses import entropies

    return lambda logits, labels: entropies(logits, labels, smoothing)


def _focal(params: Focal, smoothing: float, costs: "Tensor | None") -> RowLosses:
    """Equation 4 of Lin et al. (2017) for each class, by its share of the smoothed label."""
    import torch
    from torch import nn

    def losses(logits: "Tensor", labels: "Tensor") -> "Tensor":
        logs = logits.log_softmax(dim=1)
        classes = logits.shape[1]
        target = nn.functional.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        # 1 - p without the loss of digits near 1; its power has no finite slope at 0 where gamma is below 1.
        missing = (-torch.expm1(logs)).clamp_min(torch.finfo(logs.dtype).eps)
        return -(target * missing**params.gamma * logs).sum(dim=1)

    return losses


def _cost_sensitive(params: CostSensitive, smoothing: float, costs: "Tensor | None") -> RowLosses:
    """Equation 3 of Galdran et al. (2020): the cost of each prediction, by its probability."""
    from torch import nn

    assert costs is not None  # noqa: S101
    table = costs

    def losses(logits: "Tensor", labels: "Tensor") -> "Tensor":
        entropy = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        of_rows = table.to(logits.device)[labels]
        return entropy + params.strength * (of_rows * logits.softmax(dim=1)).sum(dim=1)

    return losses


LOSSES: Registry[LossRow[Any]] = Registry(
    (
        LossRow(CrossEntropy, _cross_entropy),
        LossRow(Focal, _focal),
        LossRow(CostSensitive, _cost_sensitive, needs_costs=True),
    )
)
