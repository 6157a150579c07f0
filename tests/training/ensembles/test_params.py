"""train.ensemble in params.yaml: members and their changes, and what each kind asks of the other params."""

from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.stages.train.params import TrainParams
from pipeline.training.ensembles.members import members_of
from pipeline.training.ensembles.table import ENSEMBLES
from tests.examples import params

FOREST = {
    "name": "random_forest",
    "features": {"name": "pixels", "side": 2},
    "n_estimators": 2,
    "min_samples_leaf": 1,
}
SGDR = {"name": "sgdr", "first": 2, "factor": 1, "final": 0.0}
AVERAGE = {"name": "average_weights", "method": {"name": "ema", "decay": 0.9}}


def voting(*members: Any, **others: Any) -> dict[str, Any]:
    return {"name": "voting", "members": list(members), **others}


def train(ensemble: Any, **changes: Any) -> TrainParams:
    return params(**{"train.ensemble": ensemble, **{f"train.{name}": value for name, value in changes.items()}}).train


def test_a_member_is_train_with_its_changes() -> None:
    found = members_of(train(voting({}, {"model.width": 8, "seed": 7}, {"model": FOREST})))
    assert [member.title for member in found] == ["train", "model.width: 8, seed: 7", f"model: {_json(FOREST)}"]
    assert [member.params.seed for member in found] == [1, 7, 1]
    assert [getattr(member.params.model, "width", None) for member in found] == [16, 8, None]
    assert {member.params.ensemble.name for member in found} == {"none"}


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def test_each_member_is_fitted_with_each_of_its_seeds() -> None:
    found = members_of(train(voting({}, {"model.width": 8}, seeds=2)))
    assert [(member.title, member.params.seed) for member in found] == [
        ("train", 1),
        ("seed: 2", 2),
        ("model.width: 8", 1),
        ("model.width: 8, seed: 2", 2),
    ]


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one member": (voting({}), {}, "needs two members at least, and members and seeds make one: add a member"),
    "a member of no kind": (voting({}, {"model": {"name": "cnm"}}), {}, r"members.1: model: .*'cnm'"),
    "a place that is not there": (voting({}, {"model.widht": 8}), {}, "train has no param model.widht to change here"),
    "an ensemble of ensembles": (voting({}, {"ensemble": AVERAGE}), {}, "train has no param ensemble to change"),
    "a value out of range": (voting({}, {"epochs": 0}), {}, "members.1: epochs: Input should be greater than"),
    "a rule of two params": (voting({}, {"warmup_epochs": 50.0}), {}, "warmup_epochs must be below epochs, got 50"),
    "the same member twice": (voting({}, {"seed": 1}), {}, r"members.1: it is the same as another member \(train\)"),
    "own code of another kind": (
        voting({}, {"model": {"name": "factory", "factory": "nets:build"}}),
        {},
        "a network of your own code must be train.model as it is",
    ),
    "a baseline's weights": (AVERAGE, {"model": FOREST}, "average_weights needs a network, because it keeps weights"),
    "snapshots without sgdr": ({"name": "snapshots"}, {}, "and train.schedule is constant: set it to {name: sgdr"),
    "snapshots of one cycle": (
        {"name": "snapshots"},
        {"schedule": {**SGDR, "first": 7}},
        r"need two whole cycles at least, and 12 epochs have 1: raise epochs, or lower schedule.first \(it is 7\)",
    ),
    "cycles that end within an epoch": (
        {"name": "snapshots"},
        {"schedule": SGDR, "warmup_epochs": 0.5},
        "make warmup_epochs a whole number, it is 0.5",
    ),
    "no such ensemble": ({"name": "vote"}, {}, "there is no choice 'vote', did you mean voting"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_made_is_said_before_anything_runs(case: str) -> None:
    ensemble, changes, message = WRONG[case]
    with pytest.raises(ParamsError, match=message) as caught:
        train(ensemble, **changes)
    assert "train" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ParamsError) as caught:
        train(voting({"epochs": 0}, {"model.widht": 8}, {"seed": 1}, {"seed": 1}))
    text = str(caught.value)
    assert all(f"members.{number}: " in text for number in (0, 1, 3))


@pytest.mark.parametrize(
    ("ensemble", "fits", "largest"),
    [
        ({"name": "none"}, 1, 1),
        (AVERAGE, 1, 1),
        (voting({}, {"seed": 2}, folds=4), 10, 2),
        ({"name": "stacking", "members": [{}], "seeds": 3}, 12, 3),
        ({"name": "bagging", "count": 5}, 9, 5),
        ({"name": "boosting", "rounds": 4, "folds": 2}, 12, 4),
    ],
)
def test_costs_are_known_before(ensemble: dict[str, Any], fits: int, largest: int) -> None:
    found = train(ensemble)
    row = ENSEMBLES.of(found.ensemble)
    assert row.trainings(found.ensemble, found) == fits
    assert len(row.largest(found.ensemble, found)) == largest
