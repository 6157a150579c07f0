"""What is due when no advice is left: an average of the weights, a search of params, networks of several seeds."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.diagnosis.error_levels import HUMAN
from pipeline.diagnosis.next_steps import FIRST
from pipeline.diagnosis.param_changes import Changes, allowed, values_of
from pipeline.diagnosis.run import Run
from pipeline.diagnosis.training_changes import average_weights, several_seeds
from pipeline.errors import ParamsError
from pipeline.manifest import DEV
from pipeline.project.params_file import check_params
from pipeline.tools.improve.moves import Move

# What they are for.
REMAINING = "remaining_errors"
# In words, the change, and whether it fits several models: then a search, which costs about as much, comes before it.
ENSEMBLES: tuple[tuple[str, Callable[[Run], Changes], bool], ...] = (
    ("average the weights of the training", average_weights, False),
    ("combine networks of several seeds, if that helps out of fold", several_seeds, True),
)


def is_due(diagnosis: Mapping[str, Any]) -> bool:
    """Whether a search or an ensemble may be tried.

    The data must have no known problem, which they would hide, and dev must err surely more than people do by what is
    worth work: else they only fit dev's noise.
    """
    if {*FIRST} & {*diagnosis["named"]}:
        return False
    levels = {level["name"]: level for level in diagnosis["levels"]}
    dev, human = levels.get(DEV), levels.get(HUMAN)
    return dev is not None and human is not None and float(dev["low"]) > float(human["high"])


def ensembles_of(values: Mapping[str, Any]) -> list[Move]:
    """The ensembles that params allow, the cheapest first; none where they have one already.

    Args:
        values: the params of a run, as plain values.
    """
    try:
        params = check_params(dict(values), "params")
    except ParamsError:
        return []
    run = Run(
        params.curate,
        params.split,
        params.balance,
        params.augment,
        params.train,
        params.evaluate,
        problem=params.problem,
    )
    found = [(words, change(run), several) for words, change, several in ENSEMBLES]
    return [
        Move(REMAINING, words, changes, fits_several=several)
        for words, changes, several in found
        if changes and allowed(values_of(run), changes, run)
    ]
