"""Baselines: models without a neural network. Their params, and the table of them; baseline_fits.py fits them.

A fitted one is `Sequential(features, classifier)`, tensors from pixels to logits, so that it is stored, loaded and used
as networks are; scikit-learn would store pickles, which run code when they are read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.errors import listing
from pipeline.models.baseline_fits import (
    Rows,
    Tensors,
    average,
    boosting_of_classes,
    boosting_of_numbers,
    centroids,
    forest_of_classes,
    forest_of_numbers,
    logistic,
    majority,
    ridge,
)
from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import nn
P = TypeVar("P", bound="Baseline")
F = TypeVar("F", bound="Features")
# Of EfficientNet-Lite0; here, because torch is not imported for params.
EMBEDDING_NUMBERS = 1280


class Features(Section):
    """Params of a baseline's features."""

    name: str


class PixelFeatures(Features):
    """The picture averaged down to `side` pixels per side."""

    name: Literal["pixels"]
    side: Annotated[int, Field(ge=1, le=64)]


class ColourFeatures(Features):
    """A colour histogram with `bins` bins per channel."""

    name: Literal["colours"]
    bins: Annotated[int, Field(ge=2, le=8)]


class EmbeddingFeatures(Features):
    """What EfficientNet-Lite0, trained on ImageNet, makes of the picture, scaled to `input` pixels per side."""

    name: Literal["embedding"]
    input: Annotated[int, Field(ge=32, le=512)]


@dataclass(frozen=True)
class FeaturesRow(Choice[F]):
    """What a baseline sees: params -> a layer from pixels (n, 3, size, size) of 0 to 255 to features (n, f)."""

    layer: Callable[[F], "nn.Module"]


def _pixels(params: PixelFeatures) -> "nn.Module":
    from pipeline.models.baseline_layers import Pixels

    return Pixels(params.side)


def _colours(params: ColourFeatures) -> "nn.Module":
    from pipeline.models.baseline_layers import Colours

    return Colours(params.bins)


def _embedding(params: EmbeddingFeatures) -> "nn.Module":
    from pipeline.models.efficientnet import backbone

    return backbone(params.input)


FEATURES: Registry[FeaturesRow[Any]] = Registry(
    (
        FeaturesRow(PixelFeatures, _pixels),
        FeaturesRow(ColourFeatures, _colours),
        FeaturesRow(EmbeddingFeatures, _embedding),
    )
)
AnyFeatures = Annotated[Features, one_of(FEATURES)]


class Baseline(Section):
    """Params of any baseline."""

    name: str

    @property
    def frozen_numbers(self) -> int | None:
        """The number of features per picture, if they come from a frozen network; else None."""
        features = getattr(self, "features", None)
        return EMBEDDING_NUMBERS if isinstance(features, EmbeddingFeatures) else None


class MajorityClass(Baseline):
    """Predicts the largest class of train for every image; repeats do not count."""

    name: Literal["majority_class"]


class NearestCentroid(Baseline):
    """Predicts the class whose mean features are nearest."""

    name: Literal["nearest_centroid"]
    features: AnyFeatures


class LogisticRegression(Baseline):
    """Logistic regression on standardised features; a smaller `c` regularises more."""

    name: Literal["logistic_regression"]
    features: AnyFeatures
    c: Annotated[float, Field(gt=0, le=1e6)]


class RandomForest(Baseline):
    """Trees on random rows and features, averaged (Breiman, 2001)."""

    name: Literal["random_forest"]
    features: AnyFeatures
    n_estimators: Annotated[int, Field(ge=1, le=2000)]
    min_samples_leaf: Annotated[int, Field(ge=1)]


class GradientBoosting(Baseline):
    """Small trees, each fitted to the errors of those before it (Friedman, 2001); one tree per class and round."""

    name: Literal["gradient_boosting"]
    features: AnyFeatures
    max_iter: Annotated[int, Field(ge=1, le=2000)]
    max_leaf_nodes: Annotated[int, Field(ge=2, le=1024)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]


class Average(Baseline):
    """Predicts one number for every image: the mean or the median of train's; repeats do not count."""

    name: Literal["average"]
    value: Literal["mean", "median"]


class Ridge(Baseline):
    """Linear regression on standardised features; a larger `alpha` regularises more (Hoerl and Kennard, 1970)."""

    name: Literal["ridge"]
    features: AnyFeatures
    alpha: Annotated[float, Field(gt=0, le=1e9)]


@dataclass(frozen=True)
class BaselineRow(Choice[P]):
    """A baseline.

    fit: (params, rows, classes, seed) -> the tensors of its classifier; every class has a row. None: of numbers alone.
    classifier: those tensors -> a layer from features (n, f) to logits (n, k), or to numbers (n, 1).
    finds_label_issues: whether it looks at pictures, so that it may disagree with a label.
    fit_numbers: (params, rows, seed) -> the tensors of one that gives numbers; None: of classes alone.
    """

    fit: Callable[[P, Rows, int, int], Tensors] | None
    classifier: Callable[[Tensors], "nn.Module"]
    finds_label_issues: bool = True
    fit_numbers: Callable[[P, Rows, int], Tensors] | None = None


def features_of(params: Baseline) -> "nn.Module":
    """The layer that computes a baseline's features."""
    seen = getattr(params, "features", PixelFeatures(name="pixels", side=1))
    return FEATURES.of(seen).layer(seen)


def baseline_of(params: Baseline, tensors: Tensors) -> "nn.Module":
    """The baseline of params with the tensors of its classifier.

    Raises:
        TypeError, ValueError: the tensors are not those of such a baseline.
    """
    import torch
    from torch import nn

    from pipeline.models.baseline_layers import Trees

    features, classifier = features_of(params), BASELINES.of(params).classifier(tensors)
    if isinstance(classifier, Trees):
        width = features(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).shape[1]
        classifier.check(width)
    return nn.Sequential(features, classifier).eval()


def _always(tensors: Tensors) -> "nn.Module":
    from pipeline.models.baseline_layers import Always

    return Always(**tensors)


def _nearest(tensors: Tensors) -> "nn.Module":
    from pipeline.models.baseline_layers import Centroids

    return Centroids(**tensors)


def _linear(tensors: Tensors) -> "nn.Module":
    from pipeline.models.baseline_layers import Linear

    return Linear(**tensors)


def _trees(tensors: Tensors) -> "nn.Module":
    from pipeline.models.baseline_layers import Trees

    return Trees(**tensors)


BASELINES: Registry[BaselineRow[Any]] = Registry(
    (
        BaselineRow(MajorityClass, majority, _always, finds_label_issues=False),
        BaselineRow(NearestCentroid, centroids, _nearest),
        BaselineRow(LogisticRegression, logistic, _linear),
        BaselineRow(RandomForest, forest_of_classes, _trees, fit_numbers=forest_of_numbers),
        BaselineRow(GradientBoosting, boosting_of_classes, _trees, fit_numbers=boosting_of_numbers),
        BaselineRow(Average, None, _always, finds_label_issues=False, fit_numbers=average),
        BaselineRow(Ridge, None, _linear, finds_label_issues=False, fit_numbers=ridge),
    )
)


def baseline_has_one_class(model: str) -> str:
    """What to say of a baseline that is to learn several labels."""
    return (
        f"model {model} gives each image one class: with problem multi_label, take a network, such as cnn, resnet or "
        "efficientnet_lite0"
    )


def baseline_problem(model: str, numbers: bool) -> str | None:
    """What to say of a baseline that does not learn what is asked: numbers, or classes; None: it does, or is none."""
    if model not in BASELINES or (BASELINES[model].fit_numbers if numbers else BASELINES[model].fit) is not None:
        return None
    known = [row.name for row in BASELINES.values() if (row.fit_numbers if numbers else row.fit) is not None]
    asked, given = ("a number", "a class") if numbers else ("a class", "a number")
    asks = f"model {model} gives each image {given}, and problem asks for {asked}"
    return f"{asks}: take {one_or_other(known)}, or a network"


def one_or_other(names: list[str]) -> str:
    """Names to choose from, as a sentence lists them."""
    return listing(names, 20).replace(", ", " or ", 1) if len(names) == 2 else f"one of {listing(names, 20)}"
