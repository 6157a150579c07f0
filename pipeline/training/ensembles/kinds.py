"""Params of ensembles, and the table of ways to average weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue

from pipeline.registry import Choice, Registry, one_of
from pipeline.section import OpenShare, Section

if TYPE_CHECKING:
    from pipeline.training.kept_weights import KeptWeights

A = TypeVar("A", bound="Averaging")

Folds = Annotated[int, Field(ge=2, le=10)]
# if_better: the ensemble, if its log loss is below that of the single model beyond noise; else the single model.
Use = Literal["if_better", "always"]


class Ensemble(Section):
    """Params of any ensemble."""

    name: str


class NoEnsemble(Ensemble):
    """One model."""

    name: Literal["none"]


class Averaging(Section):
    """Params of any way to average the weights of one training."""

    name: str


class Ema(Averaging):
    """The exponential moving average of the weights after each step (Tarvainen and Valpola, 2017)."""

    name: Literal["ema"]
    decay: OpenShare


class Swa(Averaging):
    """The mean of the weights at the ends of epochs (stochastic weight averaging, Izmailov et al., 2018).

    start: the share of the epochs after which it begins.
    """

    name: Literal["swa"]
    start: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class AveragingRow(Choice[A]):
    """A way to average weights: (params, epochs) -> what is told of each step and epoch."""

    kept: Callable[[A, int], "KeptWeights"]


def _ema(params: Ema, epochs: int) -> "KeptWeights":
    from pipeline.training.kept_weights import MovingAverage

    return MovingAverage(params.decay)


def _swa(params: Swa, epochs: int) -> "KeptWeights":
    from pipeline.training.kept_weights import EpochAverage

    return EpochAverage(int(params.start * epochs))


AVERAGES: Registry[AveragingRow[Any]] = Registry((AveragingRow(Ema, _ema), AveragingRow(Swa, _swa)))


class AverageWeights(Ensemble):
    """One network with the average of the weights that one training went through: free at prediction."""

    name: Literal["average_weights"]
    method: Annotated[Averaging, one_of(AVERAGES)]
    use: Use = "if_better"


class Snapshots(Ensemble):
    """The networks at the ends of the last `count` cycles of the schedule sgdr, averaged (Huang et al., 2017)."""

    name: Literal["snapshots"]
    count: Annotated[int, Field(ge=2, le=50)] = 5
    use: Use = "if_better"


class WithMembers(Ensemble):
    """Params of an ensemble of unlike members.

    members: of each what it has otherwise than train: a param of train, or a place in one such as model.width ->
        its value; {}: nothing.
    seeds: each member is fitted with so many seeds, train.seed and those after it.
    folds: out of fold, each part of train is predicted by models that were fitted to the others.
    """

    members: Annotated[list[Mapping[str, JsonValue]], Field(min_length=1, max_length=50)]
    seeds: Annotated[int, Field(ge=1, le=50)] = 1
    folds: Folds = 3
    use: Use = "if_better"


class Voting(WithMembers):
    """The members' probabilities, averaged by weights that a greedy selection found out of fold (Caruana et al., 2004).

    max_members: the ensemble has at most so many different ones.
    """

    name: Literal["voting"]
    max_members: Annotated[int, Field(ge=2, le=50)] = 8


class Stacking(WithMembers):
    """A model on the members' log-probabilities, fitted to out-of-fold predictions (Wolpert, 1992; Breiman, 1996).

    gate: facts: a member's weight may depend on the brightness, contrast, colours and sharpness of the image.
    """

    name: Literal["stacking"]
    gate: Literal["none", "facts"] = "none"


class Bagging(Ensemble):
    """The same model on random draws of train's groups, probabilities averaged (Breiman, 1996)."""

    name: Literal["bagging"]
    count: Annotated[int, Field(ge=2, le=100)] = 8
    folds: Folds = 3
    use: Use = "if_better"


class Boosting(Ensemble):
    """Models in turn, each with more weight on what the one before misclassified (SAMME, Zhu et al., 2009).

    learning_rate: share of each model's weight, and so of the change of rows' weights.
    """

    name: Literal["boosting"]
    rounds: Annotated[int, Field(ge=2, le=100)] = 5
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    folds: Folds = 3
    use: Use = "if_better"
