"""Steps of a diagnosis as moves: which can be tried, and which are left to people."""

from typing import Any

import pytest

from pipeline.diagnosis.param_changes import DROPPED, changed, command_of
from pipeline.tools.improve.moves import blocked_by, differences, moves_of, settings_of
from tests.examples import params_values
from tests.tools.improve.runs import diagnosis, step


@pytest.mark.parametrize(
    "changes",
    [
        {"train.epochs": 40, "train.learning_rate": 0.003},
        {"train.loss.name": "focal", "train.loss.gamma": 2.0},
        {"train.class_weights.it": 2.0},
        {"balance.strategy": {"name": "weights_within", "column": "source"}},
        {"train.label_smoothing": DROPPED, "split.freeze": None},
        {"curate.not_confounding": ["source", "a b"]},
    ],
)
def test_a_command_says_the_changes_that_it_was_made_of(changes: dict[str, Any]) -> None:
    assert settings_of(command_of(params_values(), changes)) == changes


def test_differences_lead_from_one_run_to_another() -> None:
    before = params_values()
    changes = {"train.epochs": 3, "train.loss": {"name": "focal", "gamma": 2.0}, "train.class_weights": {"a": 2.0}}
    after = changed(before, changes)
    del after["tune"]["epochs"]
    found = differences(before, after)
    assert changed(before, found) == after
    assert found["train.epochs"] == 3
    assert found["tune.epochs"] is DROPPED
    assert "train.loss.name" in found
    assert differences(after, after) == {}


def test_what_shapes_data_or_model_is_tried_and_the_rest_is_left_to_people() -> None:
    values = params_values()
    steps = [
        step("dvc exp run -S train.epochs=77", "too_few_epochs"),
        step("dvc exp run -S evaluate.optimizing.name=macro_f1", "metric_hides_class"),
        step("dvc exp run -S split.train_dev=0.3", "variance"),
        step("dvc exp run -S train.epochs=-1", "variance"),
        step(f"dvc exp run -S train.epochs={values['train']['epochs']}", "variance"),
        step("pipeline errors", "data_mismatch"),
        step("pipeline review labels", "label_noise", "correct wrong labels"),
        step("dvc exp run -S curate.scenes=group", "scenes_in_train"),
    ]
    moves, asks = moves_of(diagnosis(*steps), values)
    assert [(move.finding, move.repairs) for move in moves] == [("too_few_epochs", False), ("scenes_in_train", True)]
    assert moves[0].target(values)["train"]["epochs"] == 77
    assert [ask.command for ask in asks][-2:] == ["pipeline errors", "pipeline review labels"]
    assert len(asks) == 6


def test_findings_that_make_numbers_lie_block() -> None:
    assert blocked_by(diagnosis(named=["leakage", "variance"])) == ["leakage"]
    assert blocked_by(diagnosis(named=["variance"])) == []
