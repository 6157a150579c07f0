"""The table of ensembles: what they ask of the other params of train, what they cost, and how each is fitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.models.baselines import Baseline
from pipeline.registry import Choice, Registry
from pipeline.training.ensembles.kinds import (
    AVERAGES,
    AverageWeights,
    Bagging,
    Boosting,
    Ensemble,
    NoEnsemble,
    Snapshots,
    Stacking,
    Voting,
    WithMembers,
)
from pipeline.training.ensembles.members import alone, members_of

if TYPE_CHECKING:
    from pipeline.stages.train.params import TrainParams
    from pipeline.training.ensembles.setup import EnsembleFit, Setup
    from pipeline.training.kept_weights import KeptWeights

P = TypeVar("P", bound="Ensemble")


def problems_of(train: "TrainParams") -> Sequence[str]:
    """What an ensemble asks of the other params and does not find there; empty: nothing."""
    if train.ensemble.name == "none":
        return []
    both = [
        f"{train.ensemble.name} fits its members to labelled images alone, and train.unlabelled is "
        f"{train.unlabelled.name}: set one of the two to {{name: none}}"
    ]
    found = ENSEMBLES.of(train.ensemble).problems(train.ensemble, train)
    return [*(both if train.unlabelled.name != "none" else []), *found]


def _nothing(params: Ensemble, train: "TrainParams") -> list[str]:
    return []


def _needs_members(params: WithMembers, train: "TrainParams") -> list[str]:
    try:
        members = members_of(train)
    except ValueError as error:
        return [str(error)]
    if len(members) < 2:
        return [
            f"{params.name} needs two members at least, and members and seeds make one: add a member, such as "
            "{seed: 2}, or raise seeds"
        ]
    return []


def _needs_network(params: Ensemble, train: "TrainParams") -> list[str]:
    if not isinstance(train.model, Baseline):
        return []
    return [
        f"{params.name} needs a network, because it keeps weights of its training, and {train.model.name} has none: "
        "choose voting, bagging or stacking, or another train.model"
    ]


def _needs_cycles(params: Snapshots, train: "TrainParams") -> list[str]:
    from pipeline.training.schedules import Sgdr, cycle_ends

    problems = _needs_network(params, train)
    if not isinstance(train.schedule, Sgdr):
        return [
            *problems,
            f"snapshots are taken at the ends of the cycles of the schedule sgdr, and train.schedule is "
            f"{train.schedule.name}: set it to {{name: sgdr, first: 3, factor: 1, final: 0.0}}",
        ]
    if train.warmup_epochs % 1:
        problems.append(
            f"snapshots need cycles that end with an epoch: make warmup_epochs a whole number, it is "
            f"{train.warmup_epochs:g}"
        )
    elif len(ends := cycle_ends(train.schedule, train.warmup_epochs, train.epochs)) < 2:
        problems.append(
            f"snapshots need two whole cycles at least, and {train.epochs} epochs have {len(ends)}: raise epochs, or "
            f"lower schedule.first (it is {train.schedule.first})"
        )
    return problems


def _fits_with_folds(params: Any, train: "TrainParams") -> float:
    """Of each member one for each fold and one to all rows."""
    return float(len(members_of(train)) * (params.folds + 1))


def _fits_of_rounds(params: Boosting, train: "TrainParams") -> float:
    return float(params.rounds * (params.folds + 1))


def _fits_of_bags(params: Bagging, train: "TrainParams") -> float:
    return float(params.count + params.folds + 1)


def _one_fit(params: Ensemble, train: "TrainParams") -> float:
    return 1.0


def _one_model(params: Ensemble, train: "TrainParams") -> list["TrainParams"]:
    return [alone(train)]


def _all_members(params: WithMembers, train: "TrainParams") -> list["TrainParams"]:
    return [member.params for member in members_of(train)]


def _snapshots_at_most(params: Snapshots, train: "TrainParams") -> list["TrainParams"]:
    return [alone(train)] * params.count


def _bags(params: Bagging, train: "TrainParams") -> list["TrainParams"]:
    return [alone(train)] * params.count


def _rounds(params: Boosting, train: "TrainParams") -> list["TrainParams"]:
    return [alone(train)] * params.rounds


def _keeps_nothing(params: Ensemble, train: "TrainParams") -> None:
    return None


def _keeps_average(params: AverageWeights, train: "TrainParams") -> "KeptWeights":
    return AVERAGES.of(params.method).kept(params.method, train.epochs)


def _keeps_cycle_ends(params: Snapshots, train: "TrainParams") -> "KeptWeights":
    from pipeline.training.kept_weights import CycleEnds
    from pipeline.training.schedules import Sgdr, cycle_ends

    assert isinstance(train.schedule, Sgdr)  # noqa: S101 - params were checked
    return CycleEnds(cycle_ends(train.schedule, train.warmup_epochs, train.epochs), params.count)


def _fit_none(params: Ensemble, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.setup import single_fit

    return single_fit(setup)


def _fit_kept(params: Any, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.one_training import from_one_training

    return from_one_training(params, setup)


def _fit_voting(params: Voting, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.voting import voting

    return voting(params, setup)


def _fit_stacking(params: Stacking, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.stacking import stacking

    return stacking(params, setup)


def _fit_bagging(params: Bagging, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.bagging import bagging

    return bagging(params, setup)


def _fit_boosting(params: Boosting, setup: "Setup") -> "EnsembleFit":
    from pipeline.training.ensembles.boosting import boosting

    return boosting(params, setup)


@dataclass(frozen=True)
class EnsembleRow(Choice[P]):
    """An ensemble.

    fit: (params, setup) -> the model, and whether it is the ensemble.
    problems: (params, train) -> what it asks of the other params and does not find there.
    trainings: (params, train) -> how many fits it takes at most, in trainings of one model.
    largest: (params, train) -> the params of the members that its model has at most, for its size.
    all_members: whether its model has all of these members, not some of them.
    kept: (params, train) -> what is told of each step and epoch of one training; None: nothing is.
    """

    fit: Callable[[P, "Setup"], "EnsembleFit"]
    problems: Callable[[P, "TrainParams"], Sequence[str]]
    trainings: Callable[[P, "TrainParams"], float]
    largest: Callable[[P, "TrainParams"], Sequence["TrainParams"]]
    all_members: bool = False
    kept: Callable[[P, "TrainParams"], "KeptWeights | None"] = _keeps_nothing


ENSEMBLES: Registry[EnsembleRow[Any]] = Registry(
    (
        EnsembleRow(NoEnsemble, _fit_none, _nothing, _one_fit, _one_model),
        EnsembleRow(AverageWeights, _fit_kept, _needs_network, _one_fit, _one_model, kept=_keeps_average),
        EnsembleRow(Snapshots, _fit_kept, _needs_cycles, _one_fit, _snapshots_at_most, kept=_keeps_cycle_ends),
        EnsembleRow(Voting, _fit_voting, _needs_members, _fits_with_folds, _all_members),
        EnsembleRow(Bagging, _fit_bagging, _nothing, _fits_of_bags, _bags, all_members=True),
        EnsembleRow(Stacking, _fit_stacking, _needs_members, _fits_with_folds, _all_members),
        EnsembleRow(Boosting, _fit_boosting, _nothing, _fits_of_rounds, _rounds),
    )
)
