"""Baselines: models without a neural network. Their params, how scikit-learn fits them, and their tensors.

A fitted one is `Sequential(features, classifier)`, tensors from pixels to logits, so that it is stored, loaded and used
as networks are; scikit-learn would store pickles, which run code when they are read.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

P = TypeVar("P", bound="Baseline")
F = TypeVar("F", bound="Features")
Tensors = dict[str, "Tensor"]
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


@dataclass(frozen=True)
class Rows:
    """Features (n, f) float32, class numbers (n,), weights in the loss (n,), and whether a row is an original (n,)."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    first: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BaselineRow(Choice[P]):
    """A baseline.

    fit: (params, rows, classes, seed) -> the tensors of its classifier; every class has a row.
    classifier: those tensors -> a layer from features (n, f) to logits (n, k).
    finds_label_issues: whether it looks at pictures, so that it may disagree with a label.
    """

    fit: Callable[[P, Rows, int, int], Tensors]
    classifier: Callable[[Tensors], "nn.Module"]
    finds_label_issues: bool = True


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


def _majority(params: MajorityClass, rows: Rows, classes: int, seed: int) -> Tensors:
    import torch

    counts = np.bincount(rows.labels[rows.first], minlength=classes)
    return {"logits": torch.from_numpy(np.log(np.maximum(counts, 0.5) / len(rows.labels)).astype(np.float32))}


def _centroids(params: NearestCentroid, rows: Rows, classes: int, seed: int) -> Tensors:
    import torch

    weights = rows.weights.astype(np.float64)
    sums = np.zeros((classes, rows.features.shape[1]))
    np.add.at(sums, rows.labels, rows.features * weights[:, None])
    centroids = sums / np.bincount(rows.labels, weights, classes)[:, None]
    spread = float((weights[:, None] * (rows.features - centroids[rows.labels]) ** 2).sum() / weights.sum())
    variance = max(spread / rows.features.shape[1], 1e-12)
    return {
        "centroids": torch.from_numpy(centroids.astype(np.float32)),
        "variance": torch.tensor(variance, dtype=torch.float32),
    }


def _logistic(params: LogisticRegression, rows: Rows, classes: int, seed: int) -> Tensors:
    import torch
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression as Logistic

    mean, deviation = rows.features.mean(axis=0), np.maximum(rows.features.std(axis=0), 1e-6)
    with warnings.catch_warnings():
        # Cut short, it is a baseline all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = Logistic(C=params.c, max_iter=300)
        fitted.fit((rows.features - mean) / deviation, rows.labels, sample_weight=rows.weights)
    weights, intercepts = fitted.coef_ / deviation, fitted.intercept_
    intercepts = intercepts - weights @ mean
    if len(weights) == 1:  # of two classes it has the second one's alone
        weights, intercepts = np.concatenate([0 * weights, weights]), np.concatenate([0 * intercepts, intercepts])
    return {
        "weights": torch.from_numpy(np.ascontiguousarray(weights, np.float32)),
        "intercepts": torch.from_numpy(intercepts.astype(np.float32)),
    }


def _forest(params: RandomForest, rows: Rows, classes: int, seed: int) -> Tensors:
    from sklearn.ensemble import RandomForestClassifier

    from pipeline.models.trees import votes

    forest = RandomForestClassifier(params.n_estimators, min_samples_leaf=params.min_samples_leaf, random_state=seed)
    forest.fit(rows.features, rows.labels, sample_weight=rows.weights)
    return votes([tree.tree_ for tree in forest.estimators_])


def _boosting(params: GradientBoosting, rows: Rows, classes: int, seed: int) -> Tensors:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from pipeline.models.trees import amounts

    boosting = HistGradientBoostingClassifier(
        learning_rate=params.learning_rate,
        max_iter=params.max_iter,
        max_leaf_nodes=params.max_leaf_nodes,
        early_stopping=False,
        random_state=seed,
    )
    boosting.fit(rows.features, rows.labels, sample_weight=rows.weights)
    return amounts(boosting, classes)


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
        BaselineRow(MajorityClass, _majority, _always, finds_label_issues=False),
        BaselineRow(NearestCentroid, _centroids, _nearest),
        BaselineRow(LogisticRegression, _logistic, _linear),
        BaselineRow(RandomForest, _forest, _trees),
        BaselineRow(GradientBoosting, _boosting, _trees),
    )
)
