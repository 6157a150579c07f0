"""Labels and what a model that never saw them says -> labels that may be wrong, by confident learning.

A label is an issue if the model is at least as sure of another class as it is on average where that is the label
(Northcutt, Jiang and Chuang, 2021). Of cleanlab's ways to choose, this one has the fewest false issues, and does
not sort: which of several equals it takes would depend on the processor.

How many labels are wrong is estimated in metrics/wrong_share.py: this list also has the model's own mistakes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores


@dataclass(frozen=True)
class LabelNoise:
    """Whether each label is an issue (n,), the class that the model prefers (n,), and the label's probability (n,).

    accuracy: share of labels that the model agrees with.
    """

    suspect: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.intp]
    quality: npt.NDArray[np.float64]
    accuracy: float


def label_noise(labels: npt.NDArray[np.intp], probabilities: npt.NDArray[np.float64]) -> LabelNoise:
    """The label issues among n images, by confident learning (Northcutt, Jiang and Chuang, 2021).

    Args:
        labels: class numbers, shape (n,).
        probabilities: shape (n, k), of a model that was not trained on these images.
    """
    preferred = probabilities.argmax(axis=1)
    agreed = float((preferred == labels).mean()) if len(labels) else 0.0
    if len(np.unique(labels)) < 2:
        # Nothing says how sure a model commonly is of a second class.
        return LabelNoise(np.zeros(len(labels), np.bool_), preferred, np.ones(len(labels)), agreed)
    # As people write them down: a model's last digits depend on the processor.
    rounded = np.round(probabilities, 6)
    rounded /= rounded.sum(axis=1, keepdims=True)
    suspect = find_label_issues(labels, rounded, filter_by="confident_learning", n_jobs=1)
    return LabelNoise(
        suspect=suspect & (preferred != labels),
        preferred=preferred,
        quality=np.round(get_label_quality_scores(labels, rounded, method="self_confidence"), 4),
        accuracy=agreed,
    )
