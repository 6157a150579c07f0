"""Places in the plane for vectors, such that neighbours stay neighbours: t-SNE, the same for any number of threads.

t-SNE (van der Maaten and Hinton, 2008; Barnes-Hut: van der Maaten, 2014) keeps three times as many neighbours as the
first two principal components do (benchmarks/RESULTS.md). Of many images a part is laid out, drawn by keys, and the
others join those that they are most like: so the time is bounded, and new images move little.
"""

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.vectors import principal
from pipeline.randomness import Ids, keyed_uniform

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.float32]

# Images that t-SNE lays out: 20 seconds on one core; it keeps fewer neighbours of the others.
MAX_LANDMARKS = 5000
# Principal components that t-SNE sees (as van der Maaten and Hinton, 2008, do).
COMPONENTS = 50
PERPLEXITY = 30
ITERATIONS = 500
# Landmarks that an image joins.
JOINED = 3
BLOCK = 1024
# Places are told to so many digits of the map's longer side.
DIGITS = 4
SEED = 0


def places_of(vectors: Vectors, ids: Ids) -> Places:
    """Where each image lies, shape (n, 2), in [0, 1], the longer side of the map being 1.

    Args:
        vectors: shape (n, d), of length 1. ids: shape (n,), which images are laid out first if there are many.
    """
    if not len(vectors):
        return np.empty((0, 2), np.float32)
    # Sums are split by threads.
    with threadpool_limits(1):
        shown = principal(vectors, COMPONENTS)
        if len(shown) <= MAX_LANDMARKS:
            return _scaled(_laid_out(shown))
        first = np.sort(np.argsort(keyed_uniform(SEED, "map", ids), kind="stable")[:MAX_LANDMARKS])
        found = _joined(shown, first, _laid_out(shown[first]))
    return _scaled(found)


def _laid_out(shown: Vectors) -> Places:
    # scikit-learn takes a second to import.
    from sklearn.manifold import TSNE

    start = shown[:, :2]
    spread = float(start[:, 0].std())
    # Too few, or all alike: there is nothing to lay out.
    if len(shown) < 5 or spread < 1e-6:
        return start
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(shown) - 1) / 3),
        init=(start / spread * 1e-4).astype(np.float32),
        max_iter=ITERATIONS,
        random_state=SEED,
        n_jobs=1,
    )
    return np.asarray(tsne.fit_transform(shown), np.float32)


def _joined(shown: Vectors, first: npt.NDArray[np.intp], laid_out: Places) -> Places:
    """Each image amid the landmarks that it is most like, the nearer the heavier; landmarks where they are."""
    landmarks, found = shown[first], np.empty((len(shown), 2), np.float32)
    squares = (landmarks**2).sum(axis=1)
    for start in range(0, len(shown), BLOCK):
        part = shown[start : start + BLOCK]
        distances = np.maximum(squares - 2 * part @ landmarks.T + (part**2).sum(axis=1)[:, None], 0)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :JOINED]
        weights = 1 / (np.take_along_axis(distances, nearest, axis=1) + 1e-6)
        weights /= weights.sum(axis=1, keepdims=True)
        found[start : start + BLOCK] = np.einsum("nk,nkd->nd", weights, laid_out[nearest])
    found[first] = laid_out
    return found


def _scaled(places: Places) -> Places:
    low = places.min(axis=0)
    longest = float((places - low).max())
    return np.asarray(np.round((places - low) / (longest or 1.0), DIGITS), np.float32)
