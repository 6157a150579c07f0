"""Groups of copies with a random label each, and what a linear model and the nearest neighbour say of them out of fold.

The nearest neighbour of a leak would know all of them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.training.embedded import EMBEDDED_MODELS, Rows
from pipeline.training.folds import folds_of

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]
# Groups, and images of a group; classes; folds.
GROUPS, COPIES, CLASSES, FOLDS = 60, 4, 3, 3


@dataclass(frozen=True)
class Noise:
    """Images, (m,), and the out-of-fold probabilities of both models, shape (2, m, CLASSES); vectors: shape (m, 8)."""

    vectors: npt.NDArray[np.float32]
    labels: Numbers
    groups: Numbers
    folds: Numbers
    found: Floats

    def right(self, probabilities: Floats) -> npt.NDArray[np.bool_]:
        """Whether each image of each group is predicted as it is labelled, shape (GROUPS, COPIES)."""
        found: npt.NDArray[np.bool_] = (probabilities.argmax(axis=1) == self.labels).reshape(GROUPS, COPIES)
        return found


def noise(seed: int) -> Noise:
    generator, count = np.random.default_rng(seed), GROUPS * COPIES
    groups = np.arange(count) // COPIES
    vectors = (generator.normal(size=(GROUPS, 8))[groups] + 0.01 * generator.normal(size=(count, 8))).astype(np.float32)
    labels = generator.integers(0, CLASSES, GROUPS)[groups].astype(np.intp)
    folds = folds_of(labels.astype(str), groups.astype(str), FOLDS, seed)
    rows = Rows(vectors, labels, np.ones(count, np.float32), groups, CLASSES)
    found = np.empty((2, count, CLASSES))
    for number, (name, setting) in enumerate([("linear", 0.03), ("knn", 1)]):
        for fold in range(FOLDS):
            held = folds == fold
            found[number, held] = EMBEDDED_MODELS[name].fit(rows.part(~held), setting, vectors[held])
    return Noise(vectors, labels, groups, folds, found)
