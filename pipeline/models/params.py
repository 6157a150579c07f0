"""Params of the stage train: which model is fitted."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section

MAX_WIDTH = 512
MAX_UNITS = 4096

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
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
    width: Annotated[int, Field(ge=1, le=MAX_UNITS)]
    activation: Activation
    batch_norm: bool
    dropout: Dropout


class HeadDropout(Section):
    """Share of the features that is set to 0 before the output layer while training."""

    head: DropoutRate


class MobileNetV2(Section):
    """Layers that were trained on ImageNet (Sandler et al., 2018), and an output layer of our own.

    weights: a file of torchvision's names: its .pth, or the same as .safetensors.
    sha256: of that file; it is not looked into before it fits.
    frozen: only the output layer is trained; false: all layers are.
    input: pixels a side that pictures are scaled to; it was trained with 224.
    """

    name: Literal["mobilenet_v2"]
    weights: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    frozen: bool
    input: Annotated[int, Field(ge=32, le=512)]
    dropout: HeadDropout


class PixelFeatures(Section):
    """The picture averaged down to `side` pixels a side."""

    name: Literal["pixels"]
    side: Annotated[int, Field(ge=1, le=64)]


class ColourFeatures(Section):
    """Shares of pixels by colour, each channel cut into `bins`; places do not count."""

    name: Literal["colours"]
    bins: Annotated[int, Field(ge=2, le=8)]


Features = Annotated[PixelFeatures | ColourFeatures, Field(discriminator="name")]


class MajorityClass(Section):
    """Calls every image the class that train has most images of, repeats not counted."""

    name: Literal["majority_class"]


class NearestCentroid(Section):
    """Calls an image the class whose mean features are nearest."""

    name: Literal["nearest_centroid"]
    features: Features


class LogisticRegression(Section):
    """A linear model on standardised features; a smaller `c` keeps its weights smaller."""

    name: Literal["logistic_regression"]
    features: Features
    c: Annotated[float, Field(gt=0, le=1e6)]


class RandomForest(Section):
    """Trees on random rows and features, averaged (Breiman, 2001)."""

    name: Literal["random_forest"]
    features: Features
    n_estimators: Annotated[int, Field(ge=1, le=2000)]
    min_samples_leaf: Annotated[int, Field(ge=1)]


class GradientBoosting(Section):
    """Small trees, each of which mends what those before it got wrong (Friedman, 2001); a tree a class and round."""

    name: Literal["gradient_boosting"]
    features: Features
    max_iter: Annotated[int, Field(ge=1, le=2000)]
    max_leaf_nodes: Annotated[int, Field(ge=2, le=1024)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]


Network = Cnn | Resnet | Mlp | MobileNetV2
Baseline = MajorityClass | NearestCentroid | LogisticRegression | RandomForest | GradientBoosting
Model = Network | Baseline
AnyModel = Annotated[Model, Field(discriminator="name")]
