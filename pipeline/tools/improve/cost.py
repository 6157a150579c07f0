"""How long a run with other params takes on this machine: stages that run again, by what each took last time."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pipeline.diagnosis.costs import training_ratio
from pipeline.diagnosis.param_changes import values_of
from pipeline.diagnosis.run import Run
from pipeline.errors import ParamsError
from pipeline.project.params_file import check_params
from pipeline.stage import NAMES, load_stage
from pipeline.store.timing import Timing
from pipeline.tools.improve.moves import differences

TRAIN = "train"
# Python, libraries and DVC for each stage, and DVC's own work at both ends of an experiment.
STAGE_SECONDS, EXPERIMENT_SECONDS = 4.0, 15.0


def minutes_of(
    before: Mapping[str, Any], after: Mapping[str, Any], times: Sequence[Timing], epochs: int | None
) -> float | None:
    """About how many minutes an experiment takes; None where nothing says how long training does.

    Args:
        before, after: the params of a run whose times are known, and those of the experiment.
        times: of its stages. epochs: how many its training had.
    """
    again = stages_again(differences(before, after))
    took = {one.stage.partition("@")[0]: 0.0 for one in times}
    for one in times:
        took[one.stage.partition("@")[0]] += one.seconds
    if TRAIN in again and TRAIN not in took:
        return None
    ratio = _training_ratio(before, after, epochs)
    if ratio is None:
        return None
    seconds = sum(took.get(name, 0.0) * (ratio if name == TRAIN else 1.0) + STAGE_SECONDS for name in again)
    return (seconds + EXPERIMENT_SECONDS) / 60


def stages_again(changes: Mapping[str, Any]) -> list[str]:
    """The stages that run again after a change of params: the first that depends on one, and all behind it."""
    hit = [
        name for name, places in _places() if any(_concerns(change, place) for change in changes for place in places)
    ]
    names = [name for name, _ in _places()]
    return names[names.index(hit[0]) :] if hit else []


def plain_stages() -> Sequence[str]:
    """The stages of a plain run behind the inventory, in their order."""
    return NAMES[NAMES.index("ingest") : NAMES.index("diagnose") + 1]


@cache
def _places() -> list[tuple[str, tuple[str, ...]]]:
    """The same with their places in params.yaml."""
    return [(name, tuple(load_stage(name).places)) for name in plain_stages()]


def _concerns(change: str, place: str) -> bool:
    return change == place or change.startswith(f"{place}.") or place.startswith(f"{change}.")


def _training_ratio(before: Mapping[str, Any], after: Mapping[str, Any], epochs: int | None) -> float | None:
    try:
        old, new = (_run(values, epochs) for values in (before, after))
    except ParamsError:
        return None
    return training_ratio(old, values_of(old), values_of(new))


def _run(values: Mapping[str, Any], epochs: int | None) -> Run:
    params = check_params(dict(values), "params")
    return Run(
        params.curate, params.split, params.balance, params.augment, params.train, params.evaluate, epochs_run=epochs
    )
