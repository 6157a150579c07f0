"""Embeddings -> a few features, by which a domain classifier tells apart what two sets of images show.

Facts say how an image was taken; its vector, from a frozen network, also says what it shows. The principal components
are of both sets together, so that they know no side; how well the sides are told apart is tried out of fold, by group
(matching.area_test).
"""

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Values = npt.NDArray[np.float64]

# Principal components that a classifier sees.
COMPONENTS = 64
# Vectors from which they are computed, evenly spread.
MAX_SAMPLE = 10_000


def embedding_features(vectors: npt.NDArray[np.floating]) -> Values:
    """1 and the first principal components of vectors, shape (n, 1 + k), k at most COMPONENTS.

    The components have a mean square of 1 all together, and keep their sizes beside each other. A vector that has
    values that are no numbers counts as the mean.

    Args:
        vectors: shape (n, d), of any length.
    """
    unit = vectors.astype(np.float64)
    usable = np.isfinite(unit).all(axis=1)
    unit[~usable] = 0
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    unit -= unit[usable].mean(axis=0) if usable.any() else 0
    unit[~usable] = 0
    sample = unit[:: max(1, -(-len(unit) // MAX_SAMPLE))]
    # BLAS adds in another order for another number of threads.
    with threadpool_limits(1, user_api="blas"):
        _, directions = np.linalg.eigh(sample.T @ sample)
        scores = unit @ directions[:, ::-1][:, : min(COMPONENTS, max(len(unit) - 1, 1))]
    scale = float(np.sqrt((scores**2).mean())) if scores.size else 0.0
    return np.column_stack([np.ones(len(unit)), scores / scale if scale > 0 else scores])
