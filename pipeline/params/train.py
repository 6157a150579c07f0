"""Params of the stage train: the network and how it is fitted."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Count, Section, Seed

MOST_WIDTH = 512


class Cnn(Section):
    """Blocks of convolution, norm, activation and pooling; each doubles the width."""

    name: Literal["cnn"]
    depth: Annotated[int, Field(ge=1, le=6)]
    width: Annotated[int, Field(ge=1, le=MOST_WIDTH)]
    kernel: Literal[1, 3, 5, 7]
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_norm: bool


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]


class AdamW(Section):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    name: Literal["adamw"]
    weight_decay: Annotated[float, Field(ge=0)]


class TrainParams(Section):
    """The model and how it is fitted; `patience` counts epochs without a better dev metric.

    `threads` is a param, not an engine setting: sums are split by it, so it shows in the last digits.
    """

    seed: Seed
    model: Cnn
    optimizer: Annotated[Sgd | AdamW, Field(discriminator="name")]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    batch_size: Count
    epochs: Count
    patience: Count
    threads: Annotated[int, Field(ge=1, le=256)]
