"""Does a pretrained network suit the images of a new project? Tried on some of them, before any param is chosen.

The size of files does not tell: photos of 32 pixels gain much by it, scanned digits lose. So two simple models are
compared on the same images, out of fold: one sees the network's features, the other few pixels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import MissingInputError
from pipeline.images.pixels import Pixels
from pipeline.project.image_facts import spread_evenly

Hits = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.str_]
Folds = npt.NDArray[np.intp]

# Images that are compared, and fewer that tell too little to be looked at.
MAX_IMAGES, MIN_IMAGES = 300, 100
# Folds, and images that a class needs.
FOLDS = 5
# Pixels a side that the other answer rests on, and trees.
SIDE, TREES = 16, 100
# What counts: so many points, and so many standard errors of the paired difference.
MIN_GAIN, MIN_ERRORS = 0.05, 2.0
PRETRAINED_SIDE = 160


@dataclass(frozen=True)
class Trial:
    """Shares of `images` whose class was recognised by pretrained features and by pixels.

    error: standard error of the difference of both.
    """

    images: int
    features: float
    pixels: float
    error: float

    @property
    def gains(self) -> bool:
        """Whether pretrained features recognise clearly more."""
        return self.features - self.pixels >= max(MIN_GAIN, MIN_ERRORS * self.error)

    @property
    def loses(self) -> bool:
        """Whether they recognise clearly fewer."""
        return self.pixels - self.features >= max(MIN_GAIN, MIN_ERRORS * self.error)

    @property
    def words(self) -> str:
        """What was seen."""
        return (
            f"on {self.images} of the images, pretrained features recognise {self.features:.0%} of the classes, and "
            f"pixels {self.pixels:.0%}"
        )


def pretrained_trial(sources: Sequence[Sequence[tuple[Pixels, str]]]) -> Trial | None:
    """Pretrained features against pixels, both out of fold.

    Args:
        sources: of each source the pictures (height, width, 3) uint8 and their labels, in the order of their names;
            MAX_IMAGES in all are used, spread evenly.

    Returns:
        None if there are too few images of too few classes, or PyTorch or the weights are not installed.
    """
    # A burst has neighbouring names: neighbours are in one fold, or a model would recognise the scene.
    placed = [(picture, fold) for pictures in sources for picture, fold in zip(pictures, _folds(pictures), strict=True)]
    chosen = spread_evenly(placed, MAX_IMAGES)
    counts = Counter(label for (_, label), _ in chosen)
    chosen = [each for each in chosen if counts[each[0][1]] >= FOLDS]
    labels = np.array([label for (_, label), _ in chosen])
    if len(chosen) < MIN_IMAGES or len(set(labels.tolist())) < 2:
        return None
    pictures, folds = [pixels for (pixels, _), _ in chosen], np.array([fold for _, fold in chosen])
    vectors = _vectors(pictures)
    if vectors is None:
        return None
    features, pixels = _hits_of_features(vectors, labels, folds), _hits_of_pixels(pictures, labels, folds)
    difference = features.astype(np.float64) - pixels
    error = float(difference.std(ddof=1)) / sqrt(len(chosen))
    return Trial(len(chosen), float(features.mean()), float(pixels.mean()), error)


def _folds(pictures: Sequence[tuple[Pixels, str]]) -> list[int]:
    """The fold of each picture of a source: those of a class fall into FOLDS runs of neighbours."""
    sizes, seen, folds = Counter(label for _, label in pictures), Counter[str](), []
    for _, label in pictures:
        folds.append(seen[label] * FOLDS // sizes[label])
        seen[label] += 1
    return folds


def _vectors(pictures: Sequence[Pixels]) -> npt.NDArray[np.float32] | None:
    try:
        from pipeline.models.backbones import Embedder
    except ImportError:
        # The bare install prepares data without PyTorch.
        return None
    from pipeline.stages.embed.params import EfficientNetLite0Backbone

    embedder = Embedder(EfficientNetLite0Backbone(name="efficientnet_lite0", side=PRETRAINED_SIDE))
    try:
        return np.stack(list(embedder.many(pictures))).astype(np.float32)
    except MissingInputError:
        return None


def _hits_of_features(vectors: npt.NDArray[np.float32], labels: Labels, folds: Folds) -> Hits:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _hits(make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)), vectors, labels, folds)


def _hits_of_pixels(pictures: Sequence[Pixels], labels: Labels, folds: Folds) -> Hits:
    from sklearn.ensemble import RandomForestClassifier

    small = [cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(-1) for pixels in pictures]
    return _hits(RandomForestClassifier(TREES, random_state=0), np.stack(small), labels, folds)


def _hits(model: object, rows: npt.NDArray[np.generic], labels: Labels, folds: Folds) -> Hits:
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    found: Hits = cross_val_predict(model, rows, labels, cv=PredefinedSplit(folds)) == labels
    return found
