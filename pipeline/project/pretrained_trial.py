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

# Images that are compared, and fewer that tell too little to be looked at.
MAX_IMAGES, MIN_IMAGES = 300, 100
# Images of a class, so that each fold has one.
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


def pretrained_trial(pictures: Sequence[tuple[Pixels, str]]) -> Trial | None:
    """Pretrained features against pixels, both out of fold.

    Args:
        pictures: (height, width, 3) uint8, and the label of each; MAX_IMAGES of them are used, spread evenly.

    Returns:
        None if there are too few images of too few classes, or PyTorch or the weights are not installed.
    """
    chosen = [pictures[place] for place in _places(len(pictures))]
    counts = Counter(label for _, label in chosen)
    chosen = [(pixels, label) for pixels, label in chosen if counts[label] >= FOLDS]
    labels = np.array([label for _, label in chosen])
    if len(chosen) < MIN_IMAGES or len(set(labels.tolist())) < 2:
        return None
    vectors = _vectors([pixels for pixels, _ in chosen])
    if vectors is None:
        return None
    features, pixels = _hits_of_features(vectors, labels), _hits_of_pixels([pixels for pixels, _ in chosen], labels)
    difference = features.astype(np.float64) - pixels
    return Trial(
        len(chosen), float(features.mean()), float(pixels.mean()), float(difference.std(ddof=1)) / sqrt(len(chosen))
    )


def _places(count: int) -> list[int]:
    return [int(place) for place in spread_evenly([str(place) for place in range(count)], MAX_IMAGES)]


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


def _hits_of_features(vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.str_]) -> Hits:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _hits(make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)), vectors, labels)


def _hits_of_pixels(pictures: Sequence[Pixels], labels: npt.NDArray[np.str_]) -> Hits:
    from sklearn.ensemble import RandomForestClassifier

    small = [cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(-1) for pixels in pictures]
    return _hits(RandomForestClassifier(TREES, random_state=0), np.stack(small), labels)


def _hits(model: object, rows: npt.NDArray[np.generic], labels: npt.NDArray[np.str_]) -> Hits:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found: Hits = cross_val_predict(model, rows, labels, cv=folds) == labels
    return found
