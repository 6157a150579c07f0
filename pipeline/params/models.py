"""Params of the stage train: which model is fitted."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section

MOST_WIDTH = 512

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
DropoutRate = Annotated[float, Field(ge=0, lt=1)]


class Dropout(Section):
    """Share of what is set to 0 while training: whole channels after each block, features before the output layer.

    The output layer itself is never dropped: its numbers are the answer.
    """

    blocks: DropoutRate
    head: DropoutRate


class Cnn(Section):
    """Blocks of convolution, norm, activation and pooling; each halves the picture and doubles the width."""

    name: Literal["cnn"]
    depth: Annotated[int, Field(ge=1, le=6)]
    width: Width
    kernel: Literal[1, 3, 5, 7]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class Resnet(Section):
    """Residual blocks of two convolutions beside a shortcut (He et al., 2015).

    depth: stages; each but the first halves the picture and doubles the width.
    blocks: residual blocks a stage.
    """

    name: Literal["resnet"]
    depth: Annotated[int, Field(ge=1, le=6)]
    blocks: Annotated[int, Field(ge=1, le=8)]
    width: Width
    kernel: Literal[1, 3, 5, 7]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class Mlp(Section):
    """Fully connected layers on all pixels: what a network knows that does not know of neighbours.

    depth: hidden layers, of `width` units each. Dropout takes single units.
    """

    name: Literal["mlp"]
    depth: Annotated[int, Field(ge=1, le=8)]
    width: Annotated[int, Field(ge=1, le=4096)]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


Network = Cnn | Resnet | Mlp
AnyModel = Annotated[Network, Field(discriminator="name")]
