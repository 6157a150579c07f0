"""The table of methods to learn from unlabelled images, with their params.

Each way begins from the fit to labelled images alone, and dev says which of the fits is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.registry import Choice, Registry
from pipeline.section import Count, Section, Share
from pipeline.transforms.params import AnyTransform, PresetName

if TYPE_CHECKING:
    from torch import Tensor, nn

P = TypeVar("P", bound="Unlabelled")

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]
Transforms = Annotated[tuple[AnyTransform, ...], Field(strict=False)]


# The name of the way that uses none; who knows it alone does not depend on the code of the others.
FROM_LABELLED_ALONE = "none"


class Unlabelled(Section):
    """Params of any way."""

    name: str


class LabelledAlone(Unlabelled):
    """Images without a label teach nothing."""

    name: Literal["none"]


class PseudoLabels(Unlabelled):
    """Labels spread from labelled images to those that look like them; then the model is fitted to both.

    neighbours: of each image, in the graph over which labels spread.
    threshold: the least certainty of a label that is used: 1 minus the entropy of its distribution over that of chance.
    quota: the share of the images of each class that get its label, the most certain ones first.
    weight: of such a row in the loss, times its certainty; 1: as much as a labelled one.
    rounds: how often the labels are spread and the model is fitted; from the second on by what the model has learnt.
    max_images: of more images so many are drawn.
    """

    name: Literal["pseudo_labels"]
    neighbours: Annotated[int, Field(ge=1, le=100)] = 10
    threshold: Share = 0.0
    quota: Annotated[float, Field(gt=0, le=1)] = 1.0
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    rounds: Annotated[int, Field(ge=1, le=10)] = 1
    max_images: Count = 10_000


class Consistency(Unlabelled):
    """FixMatch (Sohn et al., 2020): what the network says of a weak variant, if it is sure, is the strong one's label.

    threshold: the least probability of a class that counts as sure.
    ratio: images without a label in each batch, as multiples of batch_size.
    weight: of their loss, beside that of the labelled rows.
    epochs: of the fit that goes on with them, as a share of train.epochs; it has no warm-up.
    weak, strong: what makes the variants; lists as in augment.transforms.
    """

    name: Literal["consistency"]
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.95
    ratio: Annotated[int, Field(ge=1, le=16)] = 1
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    epochs: Annotated[float, Field(gt=0, le=10)] = 0.75
    weak: Transforms = (PresetName(preset="light"),)
    strong: Transforms = (PresetName(preset="strong"),)


@dataclass(frozen=True)
class Labelled:
    """Images whose class is known: vectors (n, d), class numbers (n,), and how many classes there are."""

    vectors: Vectors
    labels: Codes
    classes: int


@dataclass(frozen=True)
class Proposal:
    """Labels for m images without one: class numbers, certainties in [0, 1], and the weight of each in the loss.

    All of shape (m,). A weight of 0: the label is not used.
    """

    labels: Codes
    certainties: Weights
    weights: Weights


@dataclass(frozen=True)
class UnlabelledRow(Choice[P]):
    """A way to learn from images without a label.

    propose: labels for images by their vectors, to which the model is then fitted; None: it labels none beforehand.
    joined: (network, the pictures of a batch's images without a label, params) -> a pass that takes them along; None:
        the batches have none.
    cost: (params, images without a label per labelled one) -> how many times as long as on labelled images alone a
        training takes, about (benchmarks/unlabelled.py).
    """

    propose: Callable[[P, Labelled, Vectors], Proposal] | None = None
    joined: "Callable[[nn.Module, Tensor, P], JoinedForward] | None" = None
    cost: Callable[[P, float], float] = lambda params, more: 1.0

    @property
    def learns(self) -> bool:
        """Whether images without a label are used at all."""
        return self.propose is not None or self.joined is not None


class JoinedForward:
    """Logits of a batch's labelled rows; the same pass through the network leaves the loss of the others.

    loss: of the images without a label, a mean over all of them, as it is added to the objective. used: the share of
        which the network is sure.
    """

    loss: "Tensor"
    used: "Tensor"

    def __call__(self, pixels: "Tensor") -> "Tensor":
        """Logits (n, k) of pixels (n, 3, size, size)."""
        raise NotImplementedError


def _propose(params: PseudoLabels, labelled: Labelled, asked: Vectors) -> Proposal:
    from pipeline.training.pseudo_labels import propose

    return propose(params, labelled, asked)


def _joined(network: "nn.Module", unlabelled: "Tensor", params: Consistency) -> JoinedForward:
    from pipeline.training.consistency import FixMatch

    return FixMatch(network, unlabelled, params.threshold, params.weight)


def _cost_of_fits(params: PseudoLabels, more: float) -> float:
    """Each round is a fit to all images."""
    return 1 + params.rounds * (1 + more)


def _cost_of_variants(params: Consistency, more: float) -> float:
    """An image is made twice, predicted, and trained on: about 1.5 times what a labelled one costs."""
    return 1 + params.epochs * (1 + 1.5 * params.ratio)


UNLABELLED: Registry[UnlabelledRow[Any]] = Registry(
    (
        UnlabelledRow(LabelledAlone),
        UnlabelledRow(PseudoLabels, propose=_propose, cost=_cost_of_fits),
        UnlabelledRow(Consistency, joined=_joined, cost=_cost_of_variants),
    )
)
