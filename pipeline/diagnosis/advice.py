"""What an entry of the table of advice is, and what the commands in it cost.

An entry is words, and for an experiment the change of params that it stands for (data_changes.py and its like).
next_steps.py turns those that a run has not followed yet into commands. MLY is Andrew Ng's Machine Learning Yearning.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.diagnosis.param_changes import Changes
from pipeline.diagnosis.run import Run
from pipeline.problem.problem import is_regression


@dataclass(frozen=True)
class Advice:
    """What to try. change: place in params.yaml -> value, None where it is not for this run; command: one to copy.

    lever: what it moves, and the way: "+" or "-" and the lever's name. Of two that move one lever in opposite ways the
    later one is left out. Of advice that is no change of params, cost: what it costs; fits: whether it can act.
    """

    words: str
    source: str
    change: Callable[[Run], Changes] | None = None
    command: str | None = None
    lever: str = ""
    cost: str | Callable[[Run], str] = ""
    fits: Callable[[Run], bool] = lambda run: True


SPOT_CHECK = "takes about ten trainings, most of them of small models"
LR_RANGE = "takes less than one training"
LEARNING_CURVE = "takes up to 30 trainings, most of them on parts of train"


def has_classes(run: Run) -> bool:
    """Whether images have classes, and not numbers."""
    return not is_regression(run.problem)


def fits_networks(run: Run) -> bool:
    """Whether the model is fitted epoch by epoch."""
    return run.network
