"""Params of the stage train: the model, and how it is fitted."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.models import AnyModel
from pipeline.params.section import EACH_ONCE, Count, Label, Section, Seed

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
    smoothing: Smoothing
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


class TrainParams(Section):
    """The model and how it is fitted.

    warmup_epochs: the learning rate rises evenly from 0 over so many epochs; the schedule has the rest.
    l1, l2: added to the loss are l1 times the sum of the weights' sizes and l2 / 2 times that of their
        squares; biases and norms are left out.
    label_smoothing: so much of each label is spread evenly over all classes (Szegedy et al., 2016).
    class_weights: a row of the class counts so many times in the loss, on top of balance's weights.
    clip_norm: gradients longer than this are shortened to it; null: none are.
    patience: epochs without a better dev metric before training stops; null: it runs through.
    keep: the weights of the epoch that was best on dev, or of the last one.
    precision: of the layers' arithmetic; weights and predictions are float32 in any case.
    threads: a param, not an engine setting: sums are split by it, so it shows in the last digits.
    """

    seed: Seed
    model: AnyModel
    optimizer: Annotated[AnyOptimizer, Field(discriminator="name")]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    schedule: Annotated[AnySchedule, Field(discriminator="name")]
    warmup_epochs: Annotated[float, Field(ge=0)]
    batch_size: Count
    epochs: Count
    patience: Count | None
    keep: Literal["best", "last"]
    l1: Decay
    l2: Decay
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    mixing: Annotated[AnyMixing, Field(discriminator="name")]
    class_weights: Annotated[Mapping[Label, Annotated[float, Field(gt=0, le=1000)]], EACH_ONCE]
    clip_norm: Annotated[float, Field(gt=0)] | None
    precision: Literal["float32", "bfloat16", "float16"]
    threads: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _schedule_has_epochs(self) -> Self:
        left = self.epochs - self.warmup_epochs
        if left <= 0:
            raise ValueError(
                f"warmup_epochs must be below epochs, got {self.warmup_epochs:g} and {self.epochs}: "
                "the full learning rate would never be reached"
            )
        first = {"step": "every", "sgdr": "first"}.get(self.schedule.name)
        if first is not None and getattr(self.schedule, first) >= left:
            raise ValueError(
                f"schedule.{first} must be below the {left:g} epochs after warm-up, got "
                f"{getattr(self.schedule, first)}: the schedule would never take its first step"
            )
        return self
