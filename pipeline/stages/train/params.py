"""Params of the stage train: the model and how it is fitted."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.models.network import Network
from pipeline.models.params import AnyModel
from pipeline.registry import one_of
from pipeline.section import EACH_ONCE, Count, Label, Section, Seed
from pipeline.training.ensembles.kinds import Ensemble
from pipeline.training.ensembles.table import ENSEMBLES, problems_of
from pipeline.training.loss_functions import LOSSES, Loss
from pipeline.training.mixing import MIXINGS, Mixing
from pipeline.training.optimizers import OPTIMIZERS, Decay, Optimizer
from pipeline.training.schedules import SCHEDULES, Schedule
from pipeline.training.unlabelled import UNLABELLED, Unlabelled


class TrainParams(Section):
    """The model and how it is fitted.

    warmup_epochs: the learning rate rises evenly from 0 over so many epochs; the schedule has the rest.
    loss: what training makes smaller for each row; what is kept and reported is cross entropy and the metrics.
    l1, l2: added to the loss are l1 times the sum of the weights' sizes and l2 / 2 times that of their
        squares; biases and norms are left out.
    label_smoothing: so much of each label is spread evenly over all classes (Szegedy et al., 2016).
    class_weights: a row of the class counts so many times in the loss, on top of balance's weights.
    clip_norm: gradients longer than this are shortened to it; null: none are.
    patience: epochs without a better dev metric before training stops; null: it runs through.
    keep: the weights of the epoch that was best on dev, or of the last one.
    unlabelled: how the model learns from production images without a label.
    precision: of the layers' arithmetic; weights and predictions are float32 in any case.
    threads, devices: params, not engine settings: sums are split by them, so they show in the last digits. devices:
        processes that share the rows of each batch, each with a GPU of its own where there are GPUs.
    ensemble: several models instead of one.
    """

    seed: Seed
    model: AnyModel
    optimizer: Annotated[Optimizer, one_of(OPTIMIZERS)]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    schedule: Annotated[Schedule, one_of(SCHEDULES)]
    warmup_epochs: Annotated[float, Field(ge=0)]
    batch_size: Count
    epochs: Count
    patience: Count | None
    keep: Literal["best", "last"]
    loss: Annotated[Loss, one_of(LOSSES)]
    l1: Decay
    l2: Decay
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    mixing: Annotated[Mixing, one_of(MIXINGS)]
    class_weights: Annotated[Mapping[Label, Annotated[float, Field(gt=0, le=1000)]], EACH_ONCE]
    clip_norm: Annotated[float, Field(gt=0)] | None
    unlabelled: Annotated[Unlabelled, one_of(UNLABELLED)]
    precision: Literal["float32", "bfloat16", "float16"]
    threads: Annotated[int, Field(ge=1, le=256)]
    devices: Annotated[int, Field(ge=1, le=64)]
    ensemble: Annotated[Ensemble, one_of(ENSEMBLES)]

    @model_validator(mode="after")
    def _model_learns_so(self) -> Self:
        if UNLABELLED.of(self.unlabelled).joined is not None and not isinstance(self.model, Network):
            raise ValueError(
                f"unlabelled {self.unlabelled.name} needs a network, and model is {self.model.name}: choose "
                "pseudo_labels, which fits any model"
            )
        return self

    @model_validator(mode="after")
    def _devices_share_batches(self) -> Self:
        if self.devices == 1:
            return self
        problems = []
        if not isinstance(self.model, Network):
            problems.append(f"model is {self.model.name}, which one process fits")
        if self.ensemble.name != "none":
            problems.append(f"ensemble is {self.ensemble.name}, whose models are fitted side by side already")
        if self.unlabelled.name != "none":
            problems.append(f"unlabelled is {self.unlabelled.name}, which looks at a whole batch")
        if self.batch_size < self.devices:
            problems.append(f"batch_size is {self.batch_size}, less than a row for each")
        if problems:
            raise ValueError(f"devices is {self.devices}, but {'; '.join(problems)}: set devices to 1, or change this")
        return self

    @model_validator(mode="after")
    def _schedule_has_epochs(self) -> Self:
        left = self.epochs - self.warmup_epochs
        if left <= 0:
            raise ValueError(
                f"warmup_epochs must be below epochs, got {self.warmup_epochs:g} and {self.epochs}: "
                "the full learning rate would never be reached"
            )
        first = SCHEDULES.of(self.schedule).needs_epochs
        if first is not None and getattr(self.schedule, first) >= left:
            raise ValueError(
                f"schedule.{first} must be below the {left:g} epochs after warm-up, got "
                f"{getattr(self.schedule, first)}: the schedule would never take its first step"
            )
        return self

    @model_validator(mode="after")
    def _ensemble_can_be_made(self) -> Self:
        if problems := problems_of(self):
            raise ValueError("; ".join(f"ensemble: {problem}" for problem in problems))
        return self
