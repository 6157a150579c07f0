"""Optimizers: their params, how torch makes each, and what advice needs to know of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from pipeline.errors import ParamsError
from pipeline.registry import Choice, Registry
from pipeline.section import Section

if TYPE_CHECKING:
    import torch
    from torch import nn

P = TypeVar("P", bound="Optimizer")

Decay = Annotated[float, Field(ge=0)]
# The attribute of a module, and the key of a group of parameters, with their share of the learning rate.
FACTOR = "learning_rate_factor"
# Of the running means that an optimizer keeps.
Smoothing = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Section):
    """Params of any optimizer."""

    name: str


class Sgd(Optimizer):
    """Stochastic gradient descent; `nesterov` looks ahead along the momentum (Sutskever et al., 2013)."""

    name: Literal["sgd"]
    momentum: Smoothing
    nesterov: bool

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "nesterov needs momentum above 0: set momentum, for example to 0.9, or set nesterov to false"
            )
        return self


class RmsProp(Optimizer):
    """Steps divided by a running mean of the gradient's size (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"]
    alpha: Smoothing
    momentum: Smoothing


class Adam(Optimizer):
    """Running means of the gradient (beta1) and of its square (beta2) (Kingma and Ba, 2015)."""

    name: Literal["adam"]
    beta1: Smoothing
    beta2: Smoothing


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), on weights, not on biases and norms."""

    name: Literal["adamw"]
    beta1: Smoothing
    beta2: Smoothing
    weight_decay: Decay


class NAdam(Optimizer):
    """Adam that looks ahead along the momentum, as Nesterov's does (Dozat, 2016); torch's schedule of the momentum.

    weight_decay: on weights, not on biases and norms. decoupled: taken off the weights themselves, as by AdamW; false:
        added to their gradients.
    """

    name: Literal["nadam"]
    beta1: Smoothing
    beta2: Smoothing
    weight_decay: Decay
    decoupled: bool


@dataclass(frozen=True)
class OptimizerRow(Choice[P]):
    """An optimizer.

    build: (network, params, learning rate) -> torch's optimizer of the parameters that are trained.
    adam_is_next: whether AdamW at its usual rate is worth a try instead.
    """

    build: Callable[["nn.Module", P, float], "torch.optim.Optimizer"]
    adam_is_next: bool = False


def build_optimizer(network: "nn.Module", params: Optimizer, rate: float) -> "torch.optim.Optimizer":
    """The optimizer of the parameters that are trained, at a learning rate."""
    return OPTIMIZERS.of(params).build(network, params, rate)


def _sgd(network: "nn.Module", params: Sgd, rate: float) -> "torch.optim.Optimizer":
    from torch.optim import SGD

    return SGD(_groups(network), lr=rate, momentum=params.momentum, nesterov=params.nesterov)


def _rmsprop(network: "nn.Module", params: RmsProp, rate: float) -> "torch.optim.Optimizer":
    from torch.optim import RMSprop

    return RMSprop(_groups(network), lr=rate, alpha=params.alpha, momentum=params.momentum)


def _adam(network: "nn.Module", params: Adam, rate: float) -> "torch.optim.Optimizer":
    from torch.optim import Adam

    return Adam(_groups(network), lr=rate, betas=(params.beta1, params.beta2))


def _adamw(network: "nn.Module", params: AdamW, rate: float) -> "torch.optim.Optimizer":
    from torch.optim import AdamW

    return AdamW(_groups(network, params.weight_decay), lr=rate, betas=(params.beta1, params.beta2))


def _nadam(network: "nn.Module", params: NAdam, rate: float) -> "torch.optim.Optimizer":
    from torch.optim import NAdam

    return NAdam(
        _groups(network, params.weight_decay),
        lr=rate,
        betas=(params.beta1, params.beta2),
        decoupled_weight_decay=params.decoupled,
    )


def _groups(network: "nn.Module", decay: float | None = None) -> list[dict[str, Any]]:
    """Groups of the parameters that are trained, by the factor of their rate, and by whether they decay.

    Args:
        decay: of weights; biases and norms do not decay. None: no parameter has a decay of its own.
    """
    from pipeline.training.losses import penalised

    weights = {id(parameter) for parameter in penalised(network)}
    factors = learning_rate_factors(network)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            place = factors.get(id(parameter), 1.0), decay is not None and id(parameter) in weights
            groups.setdefault(place, []).append(parameter)
    # Those of the full rate first, weights before the rest: in one order, whatever the network.
    return [
        {"params": groups[factor, decays], FACTOR: factor}
        | ({} if decay is None else {"weight_decay": decay if decays else 0.0})
        for factor, decays in sorted(groups, key=lambda place: (-place[0], not place[1]))
    ]


def learning_rate_factors(network: "nn.Module") -> dict[int, float]:
    """Parameter's id -> its share of the learning rate: of the innermost module around it that has such an attribute.

    Raises:
        ParamsError: one is no number above 0.
    """
    found: dict[int, float] = {}
    for name, module in network.named_modules():
        factor = getattr(module, FACTOR, None)
        if factor is None:
            continue
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise ParamsError(f"{FACTOR} of the network's module {name} is {factor!r}: it must be a number above 0")
        found.update(dict.fromkeys(map(id, module.parameters()), float(factor)))
    return found


OPTIMIZERS: Registry[OptimizerRow[Any]] = Registry(
    (
        OptimizerRow(Sgd, _sgd, adam_is_next=True),
        OptimizerRow(RmsProp, _rmsprop, adam_is_next=True),
        OptimizerRow(Adam, _adam),
        OptimizerRow(AdamW, _adamw),
        OptimizerRow(NAdam, _nadam),
    )
)
