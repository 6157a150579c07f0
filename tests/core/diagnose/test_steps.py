"""Next steps that can be run and are new."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.gaps import BIAS, MISMATCH, VARIANCE
from pipeline.core.diagnose.steps import next_steps
from pipeline.params import check_params
from tests.core.diagnose.cases import gap
from tests.examples import params, params_values


def run_of(**changes: Any) -> Run:
    now = params(**changes)
    return Run(now.split, now.augment, now.train)


def steps(*names: str, **changes: Any) -> list[str]:
    """Commands, or words where there is none."""
    found = next_steps([gap(name, "present") for name in names], run_of(**changes))
    return [step.command or step.words for step in found]


def test_only_present_gaps_ask_for_work_and_doubtful_ones_for_images() -> None:
    assert next_steps([gap(BIAS, "absent"), gap(VARIANCE, "absent")], run_of()) == []
    (step,) = next_steps([gap(VARIANCE, "cannot tell", needs=340)], run_of())
    assert (step.finding, step.command) == (VARIANCE, None)
    assert step.words == "collect about 340 more train_dev images"


def test_steps_of_the_largest_gap_come_first() -> None:
    assert steps(MISMATCH, BIAS) == steps(MISMATCH) + steps(BIAS)


def test_every_step_has_its_source() -> None:
    found = next_steps([gap(name, "present") for name in (BIAS, VARIANCE, MISMATCH)], run_of())
    assert all(step.source and step.words for step in found)


@pytest.mark.parametrize(
    ("name", "changes", "done"),
    [
        pytest.param(MISMATCH, {"split.production_in_train": 1.0}, "production_in_train", id="all production is used"),
        pytest.param(BIAS, {"train.model.dropout.blocks": 0.0}, "dropout", id="no dropout to lower"),
        pytest.param(VARIANCE, {"train.model.dropout.blocks": 0.5}, "dropout", id="dropout is high"),
        pytest.param(
            VARIANCE, {"augment.transforms": [], "augment.copies.count": 0}, "augment", id="nothing to augment with"
        ),
        pytest.param(VARIANCE, {"augment.copies.count": 100}, "augment", id="as many copies as may be"),
        pytest.param(VARIANCE, {"augment.copies": {"name": "up_to", "rows": 5}}, "augment", id="copies up to a count"),
        pytest.param(BIAS, {"train.model.width": 512}, "width", id="as wide as may be"),
    ],
)
def test_what_is_done_is_not_proposed_again(name: str, changes: dict[str, Any], done: str) -> None:
    assert not [step for step in steps(name, **changes) if done in step]


@pytest.mark.parametrize(
    ("name", "changes", "step"),
    [
        pytest.param(
            MISMATCH, {"split.production_in_train": 0.5}, "split.production_in_train=1.0", id="use all production"
        ),
        pytest.param(BIAS, {"train.model.width": 16}, "train.model.width=32", id="wider"),
        pytest.param(BIAS, {"train.epochs": 12}, "train.epochs=24", id="longer"),
        pytest.param(BIAS, {"train.model.dropout.blocks": 0.25}, "train.model.dropout.blocks=0.125", id="less dropout"),
        pytest.param(VARIANCE, {"augment.copies.count": 0}, "augment.copies.count=1", id="first copies"),
        pytest.param(VARIANCE, {"augment.copies.count": 2}, "augment.copies.count=4", id="more copies"),
        pytest.param(
            VARIANCE,
            {"train.model.dropout.blocks": 0.3},
            "train.model.dropout.blocks=0.5",
            id="more dropout, within reason",
        ),
        pytest.param(
            VARIANCE, {"train.optimizer.weight_decay": 0.0}, "train.optimizer.weight_decay=0.01", id="first decay"
        ),
        pytest.param(
            VARIANCE,
            {"train.optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "train.l2": 0.001},
            "train.l2=0.01",
            id="more decay of an optimizer that has none of its own",
        ),
    ],
)
def test_step_changes_the_param_that_the_gap_asks_for(name: str, changes: dict[str, Any], step: str) -> None:
    assert f"dvc exp run -S {step}" in steps(name, **changes)


BACKBONE: dict[str, Any] = {"name": "mobilenet_v2", "weights": "w.pth", "sha256": "0" * 64, "frozen": True, "input": 96}
BACKBONE["dropout"] = {"head": 0.2}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        pytest.param(BIAS, {}, "dvc exp run -S train.model.frozen=false", id="thaw a backbone"),
        pytest.param(VARIANCE, {}, "dvc exp run -S train.model.dropout.head=0.45", id="more dropout of its features"),
        pytest.param(BIAS, {"train.model": {"name": "majority_class"}}, "pipeline spot-check", id="a baseline"),
    ],
)
def test_steps_are_those_that_the_model_has(name: str, changes: dict[str, Any], expected: str) -> None:
    found = steps(name, **{"train.model": BACKBONE, **changes})
    assert [step for step in found if step.startswith(expected)]
    known = {"train.model.frozen", "train.model.dropout.head"} if not changes else set()
    asked = {place for step in found for place, _ in settings_of(step) if place.startswith("train.model.")}
    assert asked <= known


CHANGES = st.fixed_dictionaries(
    {
        "split.production_in_train": st.floats(0, 1),
        "augment.copies.count": st.integers(0, 100),
        "train.epochs": st.integers(1, 1000),
        "train.model.width": st.integers(1, 512),
        "train.model.dropout.blocks": st.floats(0, 1, exclude_max=True),
        "train.optimizer.weight_decay": st.floats(0, 1e6),
    }
)


@given(changes=CHANGES)
@example(changes={"augment.copies.count": 60})
@example(changes={"train.model.width": 300})
@settings(max_examples=60, deadline=None)
def test_every_step_is_a_command_that_params_allow_and_that_changes_something(changes: dict[str, Any]) -> None:
    before = params_values(**changes)
    for step in steps(BIAS, VARIANCE, MISMATCH, **changes):
        for place, value in settings_of(step):
            after = params_values(**{**changes, place: value})
            assert after != before
            check_params(after)


def settings_of(step: str) -> Sequence[tuple[str, float]]:
    """What a `dvc exp run` sets; nothing for advice in words."""
    command = re.fullmatch(r"dvc exp run -S ([a-z_.]+)=(\S+)", step)
    if command is None:
        assert not step.startswith("dvc")
        return []
    place, value = command.groups()
    if value == "false":
        return [(place, 0)]
    return [(place, float(value) if "." in value or "e" in value else int(value))]
