"""The table of advice: what a gap or finding asks for, in the order in which to try it, each with its source.

An entry is words, and for an experiment the change of params that it stands for (changes.py). steps.py turns
those that a run has not followed yet into commands. MLY is Andrew Ng's Machine Learning Yearning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.diagnose import changes
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.gaps import BIAS, DEV_OVERFIT, MISMATCH, PRODUCTION_GAP, VARIANCE


@dataclass(frozen=True)
class Advice:
    """What to try. change: place in params.yaml -> value, None where it is not for this run; command: one to copy."""

    words: str
    source: str
    change: Callable[[Run], Mapping[str, Any] | None] | None = None
    command: str | None = None


TABLE: Mapping[str, tuple[Advice, ...]] = {
    BIAS: (
        Advice("a wider model can hold more of what there is to learn", "MLY ch. 25", changes.wider),
        Advice("train longer", "MLY ch. 25", changes.longer),
        Advice("less dropout, which keeps the model from learning all", "MLY ch. 25", changes.less_dropout),
        Advice("let all layers learn, not the last alone", "Yosinski et al. (2014)", changes.thaw),
        Advice("a network; this ranks all models on dev", "MLY ch. 25", changes.of_baselines, "pipeline spot-check"),
    ),
    VARIANCE: (
        Advice("more variants of each image", "MLY ch. 27", changes.more_copies),
        Advice("more dropout", "MLY ch. 27; Srivastava et al. (2014)", changes.more_dropout),
        Advice("more weight decay", "MLY ch. 27; Krogh and Hertz (1991)", changes.more_decay),
        Advice("collect more images for training", "MLY ch. 27"),
    ),
    MISMATCH: (
        Advice("train on all production images that there are", "MLY ch. 42", changes.all_production),
        Advice("look at dev's errors: what do they have that the training images lack?", "MLY ch. 14 and 42"),
        Advice("collect more production images for training", "MLY ch. 42"),
    ),
    DEV_OVERFIT: (Advice("collect a larger dev set: the choices made by it fit its images", "MLY ch. 11"),),
    PRODUCTION_GAP: (
        Advice("look for what changed: are today's images those of dev, by place, device and time?", "MLY ch. 11"),
    ),
}
