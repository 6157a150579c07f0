"""How classes relate, as model files store it: not at all, as ranks or leaves of a tree; or a number instead.

With ranks or a tree, some mistakes are worse than others. Such a model predicts the class of the least expected
distance, which is the median class of an order; any other one predicts the likeliest class.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.problem.class_tree import AnyTree, in_order, leaves, tree_distances
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.section import Section

# What a network's outputs stand for: one class of each image, any of several labels, or a number.
Outputs = Literal["classes", "labels", "numbers"]
Distances = npt.NDArray[np.float64]
# Probabilities (n, k) -> class numbers (n,).
Decide = Callable[[npt.NDArray[Any]], npt.NDArray[np.intp]]
# Expected distances that differ by less are equal: sums in another order differ in the last digits.
DIGITS = 6


class Framing(Section):
    """How classes relate."""

    name: str

    def distances(self, classes: int) -> Distances | None:
        """How far apart classes are, shape (k, k), 0 on the diagonal; None if all mistakes are alike."""
        return None

    def check(self, classes: Sequence[str]) -> None:
        """Raise ValueError unless classes, in their order, can relate so."""

    def of_classes(self, classes: Sequence[str]) -> Self:
        """The same with what it lists in the order of classes."""
        return self


class Unrelated(Framing):
    """Classes that have nothing to do with each other: all mistakes are alike."""

    name: Literal["unrelated"]


class Ranked(Framing):
    """Classes in an order; they lie as many ranks apart as there are steps between them.

    output: cumulative: one number per picture, and thresholds between the classes; softmax: one number per class.
    """

    name: Literal["ranked"]
    output: Literal["cumulative", "softmax"]

    def check(self, classes: Sequence[str]) -> None:
        """Raise ValueError unless there are two classes at least."""
        if len(classes) < 2:
            raise ValueError("it has an order of fewer than two classes")

    def distances(self, classes: int) -> Distances | None:
        """Ranks between classes."""
        return rank_distances(classes)


class Nested(Framing):
    """Classes that are leaves of a tree, in its order; they lie half as far apart as there are edges between them.

    output: cascade: a softmax over the entries of each group; softmax: one over all classes.
    """

    name: Literal["nested"]
    output: Literal["cascade", "softmax"]
    tree: AnyTree

    def distances(self, classes: int) -> Distances | None:
        """Half the edges between classes."""
        return tree_distances(self.tree, leaves(self.tree))

    def of_classes(self, classes: Sequence[str]) -> Self:
        """The same with the tree in the order of classes."""
        return self.model_copy(update={"tree": in_order(self.tree, classes)})

    def check(self, classes: Sequence[str]) -> None:
        """Raise ValueError unless the leaves of the tree are the classes, in their order."""
        if leaves(self.tree) != tuple(classes):
            raise ValueError("its classes are not those of its tree")


class Numeric(Framing):
    """A number instead of classes: its name is the only one.

    mean, deviation: of the numbers that train has. The last layer multiplies and adds them, so that the layers before
    it learn numbers around 0 whatever the unit is, and a model gives numbers in the unit.
    """

    name: Literal["numeric"]
    output: Literal["scaled"] = "scaled"
    mean: Annotated[float, Field(allow_inf_nan=False)]
    deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def check(self, classes: Sequence[str]) -> None:
        """Raise ValueError unless it has one name."""
        if len(classes) != 1:
            raise ValueError(f"it has a number, and {len(classes)} names for it")


def outputs_of(classes: tuple[str, ...]) -> Outputs:
    """What outputs stand for, by the kind of names that they have."""
    if isinstance(classes, Quantity):
        return "numbers"
    return "labels" if isinstance(classes, LabelNames) else "classes"


def rank_distances(classes: int) -> Distances:
    """Ranks between each two of so many classes in an order, shape (k, k)."""
    ranks = np.arange(classes, dtype=np.float64)
    return np.abs(ranks[:, None] - ranks)


def decision(framing: Framing, classes: int) -> Decide:
    """What a model predicts, given its probabilities for so many classes."""
    distances = framing.distances(classes)
    return likeliest if distances is None else least_expected(distances)


def likeliest(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The class of the largest probability, for each row (n, k); of equal ones the first."""
    return np.asarray(probabilities.argmax(axis=1), np.intp)


def least_expected(costs: Distances) -> Decide:
    """Decides for the class that costs least on average; of equal ones for the first.

    Args:
        costs: [actual, predicted], shape (k, k).
    """

    def decide(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        expected = probabilities.astype(np.float64) @ costs
        return np.asarray(np.round(expected, DIGITS).argmin(axis=1), np.intp)

    return decide


AnyFraming = Annotated[Unrelated | Ranked | Nested | Numeric, Field(discriminator="name")]
UNRELATED = Unrelated(name="unrelated")
