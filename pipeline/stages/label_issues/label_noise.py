"""Labels and what a model that never saw them says -> labels that may be wrong, by confident learning.

An image is a suspect if the model is at least as sure of another class as it is on average where that is the label
(Northcutt, Jiang and Chuang, 2021). Of cleanlab's ways to choose, this one has the fewest false suspects, and does
not sort: which of several equals it takes would depend on the processor.

A weak model doubts hard pictures as if their labels were wrong. But its own mistakes are rarer where it is surest, and
wrong labels are not. So no larger share of labels is said to be wrong than the model contradicts there; how near that
is to the truth, benchmarks/label_issues.py measures.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from cleanlab.count import num_label_issues
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

# Of the images of each class that a model sees, those of which it is surest, and those of which it is even surer.
SUREST, EVEN_SURER = 0.25, 0.125


@dataclass(frozen=True)
class LabelNoise:
    """Whether each label is a suspect (n,), the class that the model prefers (n,), and the label's probability (n,).

    wrong_share: estimated share of labels that are wrong, in [0, 1]. accuracy: share of labels that it agrees to.
    most_confident: how many images are those of which it is surest, the quarter of each class; disagreeing: the share
    of their labels that it denies. half_confident, half_disagreeing: the same of the surer half of these. Wrong labels
    are as common in both halves; a model's own mistakes are rarer in the surer one.
    """

    suspect: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.intp]
    quality: npt.NDArray[np.float64]
    wrong_share: float
    accuracy: float
    most_confident: int
    disagreeing: float
    half_confident: int
    half_disagreeing: float


def label_noise(labels: npt.NDArray[np.intp], probabilities: npt.NDArray[np.float64]) -> LabelNoise:
    """What is suspect among images.

    Args:
        labels: class numbers, shape (n,).
        probabilities: shape (n, k), of a model that was not trained on these images.
    """
    preferred = probabilities.argmax(axis=1)
    if len(np.unique(labels)) < 2:
        # Nothing says how sure a model commonly is of a second class.
        agreed = float((preferred == labels).mean()) if len(labels) else 0.0
        return LabelNoise(np.zeros(len(labels), np.bool_), preferred, np.ones(len(labels)), 0.0, agreed, 0, 0.0, 0, 0.0)
    # As people write them down: a model's last digits depend on the processor.
    rounded = np.round(probabilities, 6)
    rounded /= rounded.sum(axis=1, keepdims=True)
    suspect = find_label_issues(labels, rounded, filter_by="confident_learning", n_jobs=1)
    differs, confidence = preferred != labels, rounded.max(axis=1)
    sure, surer = (_surest(preferred, confidence, share) for share in (SUREST, EVEN_SURER))
    disagreeing = float(differs[sure].mean())
    return LabelNoise(
        suspect=suspect & differs,
        preferred=preferred,
        quality=np.round(get_label_quality_scores(labels, rounded, method="self_confidence"), 4),
        wrong_share=min(num_label_issues(labels, rounded) / len(labels), disagreeing),
        accuracy=1 - float(differs.mean()),
        most_confident=int(sure.sum()),
        disagreeing=disagreeing,
        half_confident=int(surer.sum()),
        half_disagreeing=float(differs[surer].mean()),
    )


def _surest(
    preferred: npt.NDArray[np.intp], confidence: npt.NDArray[np.float64], share: float
) -> npt.NDArray[np.bool_]:
    """The surest share of each preferred class, (n,), or an easy class would be all of it; equals come along."""
    bounds = pd.Series(confidence).groupby(preferred).transform("quantile", 1 - share)
    return np.asarray(confidence >= bounds.to_numpy())
