"""How a network is fitted: optimizers, schedules, mixing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.section import Count, Section

Decay = Annotated[float, Field(ge=0)]


# Of the running means that an optimizer keeps.
Smoothing = Annotated[float, Field(ge=0, lt=1)]


class Sgd(Section):
    """Stochastic gradient descent; `nesterov` looks ahead along the momentum (Sutskever et al., 2013)."""

    name: Literal["sgd"]
    momentum: Smoothing
    nesterov: bool

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0: give momentum 0.9, say, or set nesterov to false")
        return self


class RmsProp(Section):
    """Steps divided by a running mean of the gradient's size (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"]
    alpha: Smoothing
    momentum: Smoothing


class Adam(Section):
    """Running means of the gradient (beta1) and of its square (beta2) (Kingma and Ba, 2015)."""

    name: Literal["adam"]
    beta1: Smoothing
    beta2: Smoothing


class AdamW(Section):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), on weights, not on biases and norms."""

    name: Literal["adamw"]
    beta1: Smoothing
    beta2: Smoothing
    weight_decay: Decay


class Constant(Section):
    """The learning rate stays."""

    name: Literal["constant"]


class Step(Section):
    """The learning rate is multiplied by `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, lt=1)]


class Cosine(Section):
    """Half a cosine from the learning rate down to `final` times it, over all epochs."""

    name: Literal["cosine"]
    final: Annotated[float, Field(ge=0, lt=1)]


class Sgdr(Section):
    """Cosines that start anew (warm restarts; Loshchilov and Hutter, 2017).

    The first takes `first` epochs, each further one `factor` times as many as the one before.
    """

    name: Literal["sgdr"]
    first: Count
    factor: Annotated[int, Field(ge=1, le=10)]
    final: Annotated[float, Field(ge=0, lt=1)]


class NoMixing(Section):
    """Each picture is one picture."""

    name: Literal["none"]


class Mixup(Section):
    """Pictures and labels blended in pairs, by a share from Beta(alpha, alpha) (Zhang et al., 2018)."""

    name: Literal["mixup"]
    alpha: Annotated[float, Field(gt=0, le=10)]


class CutMix(Section):
    """A box of another picture, of an area from Beta(alpha, alpha), and so much of its label (Yun et al., 2019)."""

    name: Literal["cutmix"]
    alpha: Annotated[float, Field(gt=0, le=10)]


AnyOptimizer = Sgd | RmsProp | Adam | AdamW


AnySchedule = Constant | Step | Cosine | Sgdr


AnyMixing = NoMixing | Mixup | CutMix
