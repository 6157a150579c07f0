"""Loss functions: what training makes smaller for each row, with the source of each formula.

Of each, the objective is the mean over rows of loss times weight (balance's weight times that of the class), plus the
penalties on weights. A mixed row has the losses of both labels, by their shares. Numbers are counted in standard
deviations of train's, so that learning rates and penalties mean the same whatever the unit is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field

from pipeline.errors import ParamsError, listing
from pipeline.registry import Choice, Registry
from pipeline.section import Section

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
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


class SquaredError(Loss):
    """Half the square of the error of a number: the model learns the mean of the numbers that look alike."""

    name: Literal["squared_error"]


class AbsoluteError(Loss):
    """The size of the error of a number: the model learns the median, and numbers far off count little."""

    name: Literal["absolute_error"]


class Huber(Loss):
    """The squared error up to `delta` standard deviations of train's numbers, the absolute one above (Huber, 1964)."""

    name: Literal["huber"]
    delta: Annotated[float, Field(gt=0, le=100)]


@dataclass(frozen=True)
class LossRow(Choice[P]):
    """A loss function. Either `make`, of classes, or `of_errors`, of numbers.

    make: (params, label smoothing, costs) -> losses of rows. costs: [actual, predicted], shape (k, k), of which the
        mean of mistakes is 1; None where no table is needed.
    needs_costs: whether evaluate.optimizing must be mean_cost, whose table it takes.
    of_errors: (params, errors of numbers (n,) in standard deviations) -> losses of rows (n,).
    """

    make: Callable[[P, float, "Tensor | None"], RowLosses] | None = None
    needs_costs: bool = False
    of_errors: Callable[[P, "Tensor"], "Tensor"] | None = None


def row_losses(loss: Loss, smoothing: float, optimizing: "Metric") -> RowLosses:
    """The losses of rows that params name, with labels smoothed (Szegedy et al., 2016).

    Args:
        smoothing: the share of each label that is spread over all classes, in [0, 1).

    Raises:
        ParamsError: the loss takes its costs from `optimizing`, which has none, or whose mistakes cost nothing; or
            one of the two is about numbers, and the other about classes.
    """
    import torch

    row = LOSSES.of(loss)
    if row.of_errors is not None and optimizing.judges_numbers:
        return _of_numbers(partial(row.of_errors, loss), optimizing.deviation)
    if row.make is None or optimizing.judges_numbers:
        raise ParamsError(
            f"train.loss {loss.name} is about {'classes' if row.make else 'numbers'}, and evaluate.optimizing "
            f"{optimizing.key} is not: take losses of {listing(losses_for(optimizing.judges_numbers))}"
        )
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


class Losses(NamedTuple):
    """The losses of rows that steps make smaller, and those that are reported of training and of dev."""

    minimised: RowLosses
    plain: RowLosses


def losses_of(loss: Loss, smoothing: float, optimizing: "Metric") -> Losses:
    """What `row_losses` gives, and what is reported: cross entropy whatever is made smaller; of numbers, that.

    Raises:
        ParamsError: as `row_losses` does.
    """
    from pipeline.training.losses import entropies

    minimised = row_losses(loss, smoothing, optimizing)
    return Losses(minimised, minimised if optimizing.judges_numbers else entropies)


def losses_for(numbers: bool) -> list[str]:
    """The names of the losses of numbers, or of classes."""
    return [row.name for row in LOSSES.values() if (row.of_errors is not None) == numbers]


def _of_numbers(of_errors: "Callable[[Tensor], Tensor]", deviation: float) -> RowLosses:
    def losses(predicted: "Tensor", numbers: "Tensor") -> "Tensor":
        return of_errors((predicted[:, 0] - numbers) / deviation)

    return losses


def _squared(params: SquaredError, errors: "Tensor") -> "Tensor":
    return errors.square() / 2


def _absolute(params: AbsoluteError, errors: "Tensor") -> "Tensor":
    return errors.abs()


def _huber(params: Huber, errors: "Tensor") -> "Tensor":
    """Equation 2.4 of Huber (1964)."""
    sizes = errors.abs()
    inside = sizes.clamp(max=params.delta)
    return inside.square() / 2 + params.delta * (sizes - inside)


def guessing_loss(loss: Loss, numbers: "npt.NDArray[np.float64]") -> float:
    """The mean loss of always the same number, the mean or the median of numbers (n,), whichever is lower."""
    import numpy as np
    import torch

    row, deviation = LOSSES.of(loss), float(numbers.std()) or 1.0
    assert row.of_errors is not None  # noqa: S101
    errors = (torch.from_numpy((numbers - centre) / deviation) for centre in (numbers.mean(), np.median(numbers)))
    return min(float(row.of_errors(loss, each).mean()) for each in errors)


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
        LossRow(SquaredError, of_errors=_squared),
        LossRow(AbsoluteError, of_errors=_absolute),
        LossRow(Huber, of_errors=_huber),
    )
)
