"""Golden cases of the diagnosis, its words, and next steps that can be run and are new."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.diagnose.diagnosis import (
    BIAS,
    MISMATCH,
    VARIANCE,
    Errors,
    Gap,
    Verdict,
    errors_of_splits,
    find_gaps,
    levels_table,
    next_steps,
    page,
    sentence,
)
from pipeline.errors import DataError
from pipeline.params import DiagnoseParams, EvaluateParams, check_params
from tests.examples import params, params_values

HUMAN = DiagnoseParams(human_error=0.01, relevant_gap=0.05)


def evaluate(optimizing: str = "accuracy") -> EvaluateParams:
    return params(**{"evaluate.optimizing": optimizing, "evaluate.bootstrap": 300}).evaluate


def predictions(images: int, **wrong: int) -> pd.DataFrame:
    """So many images of each split, half of them apples, of which so many are called wrongly."""
    rows = [
        (split, ("apple", "fig")[number % 2], ("apple", "fig")[(number + (number < count)) % 2], f"{split}/{number:04}")
        for split, count in wrong.items()
        for number in range(images)
    ]
    return pd.DataFrame(rows, columns=["split", "label", "predicted", "group"])


def gaps_of(images: int, train: int, train_dev: int, dev: int) -> list[Gap]:
    frame = predictions(images, train=train, train_dev=train_dev, dev=dev)
    return find_gaps(errors_of_splits(frame, evaluate()), HUMAN)


@pytest.mark.parametrize(
    ("images", "wrong", "present", "unclear"),
    [
        pytest.param(2000, (400, 420, 440), [BIAS], [], id="bias"),
        pytest.param(2000, (20, 400, 420), [VARIANCE], [], id="variance"),
        pytest.param(500, (5, 10, 100), [MISMATCH], [], id="mismatch"),
        pytest.param(500, (50, 150, 400), [MISMATCH, VARIANCE, BIAS], [], id="all, by size"),
        pytest.param(500, (400, 480, 480), [BIAS, VARIANCE], [], id="two, by size"),
        pytest.param(500, (5, 6, 7), [], [], id="nothing"),
        pytest.param(500, (100, 20, 20), [BIAS], [], id="less error on images that were not trained on"),
        pytest.param(20, (1, 2, 3), [], [VARIANCE, MISMATCH, BIAS], id="small sets cannot tell"),
        pytest.param(500, (5, 100, 125), [VARIANCE], [MISMATCH], id="enough for a large gap, too few for a small one"),
    ],
)
def test_gaps_are_told_from_predictions(
    images: int, wrong: tuple[int, int, int], present: list[str], unclear: list[str]
) -> None:
    found = gaps_of(images, *wrong)
    assert len(found) == 3
    assert [gap.name for gap in found if gap.verdict == "present"] == present
    assert {gap.name for gap in found if gap.verdict == "cannot tell"} == set(unclear)


def test_gaps_are_differences_of_neighbouring_errors() -> None:
    values = {gap.name: gap.value for gap in gaps_of(500, 50, 100, 200)}
    assert values == pytest.approx({BIAS: 0.1 - 0.01, VARIANCE: 0.1, MISMATCH: 0.2})


@given(wrong=st.tuples(*[st.integers(0, 40)] * 3))
@settings(max_examples=15, deadline=None)
def test_verdict_follows_from_value_and_interval(wrong: tuple[int, int, int]) -> None:
    found = gaps_of(40, *wrong)
    assert sorted(gap.name for gap in found) == sorted([BIAS, VARIANCE, MISMATCH])
    for gap in found:
        present = gap.value >= 0.05 and gap.low > 0
        assert gap.verdict == ("present" if present else "absent" if gap.high < 0.05 else "cannot tell")
        assert gap.low <= gap.value + 1e-9
        assert gap.value - 1e-9 <= gap.high
    present_first = [(gap.verdict == "present", gap.value) for gap in found]
    assert present_first == sorted(present_first, reverse=True)


def known(**errors: tuple[float, float, float]) -> dict[str, Errors]:
    """Errors of (value, low, high); splits that are not named have none."""
    spread = {split: (value, np.linspace(low, high, 1001)) for split, (value, low, high) in errors.items()}
    return {split: Errors(*spread.get(split, (0.0, np.zeros(1001)))) for split in ("train", "train_dev", "dev")}


@pytest.mark.parametrize(
    ("dev", "verdict"),
    [
        pytest.param((0.05, 0.01, 0.2), "present", id="just relevant"),
        pytest.param((0.049, 0.01, 0.2), "cannot tell", id="surely a gap, perhaps a relevant one"),
        pytest.param((0.03, 0.01, 0.049), "absent", id="surely a gap, surely not relevant"),
        pytest.param((0.3, -0.1, 0.5), "cannot tell", id="large, and perhaps none"),
        pytest.param((-0.2, -0.4, 0.0), "absent", id="the other way round"),
    ],
)
def test_gap_must_be_relevant_and_sure(dev: tuple[float, float, float], verdict: Verdict) -> None:
    found = {gap.name: gap for gap in find_gaps(known(dev=dev), HUMAN)}
    assert found[MISMATCH].verdict == verdict
    assert found[MISMATCH].low == pytest.approx(dev[1] + 0.025 * (dev[2] - dev[1]))
    assert found[MISMATCH].high == pytest.approx(dev[2] - 0.025 * (dev[2] - dev[1]))


def test_gap_that_is_present_comes_before_a_larger_doubt() -> None:
    found = find_gaps(known(train_dev=(0.1, 0.06, 0.14), dev=(0.5, -0.3, 1.0)), HUMAN)
    assert [(gap.name, gap.verdict) for gap in found[:2]] == [(VARIANCE, "present"), (MISMATCH, "cannot tell")]


@pytest.mark.parametrize(
    ("optimizing", "error"), [("accuracy", 0.1), ("balanced_accuracy", 0.1), ("macro_f1", 1 - (40 / 44 + 32 / 36) / 2)]
)
def test_error_is_what_the_optimizing_metric_lacks(optimizing: str, error: float) -> None:
    labels, called = ["apple"] * 20 + ["fig"] * 20, ["apple"] * 20 + ["apple"] * 4 + ["fig"] * 16
    frame = pd.DataFrame({"label": labels, "predicted": called, "group": [str(number) for number in range(40)]})
    splits = pd.concat([frame.assign(split=split) for split in ("train", "train_dev", "dev")])
    found = errors_of_splits(splits, evaluate(optimizing))
    assert [errors.value for errors in found.values()] == pytest.approx([error] * 3)
    assert {len(errors.resampled) for errors in found.values()} == {300}


@pytest.mark.parametrize("optimizing", ["log_loss", {"name": "mean_cost", "costs": {}, "otherwise": 2.0}], ids=str)
def test_errors_are_counted_where_the_optimizing_metric_is_no_share(optimizing: Any) -> None:
    frame = predictions(40, train=2, train_dev=4, dev=8)
    rules = params(**{"evaluate.optimizing": optimizing, "evaluate.bootstrap": 300}).evaluate
    errors = errors_of_splits(frame, rules)
    assert [error.value for error in errors.values()] == pytest.approx([0.05, 0.1, 0.2])
    text = page(errors, find_gaps(errors, HUMAN), [], HUMAN, rules)
    assert f"\nErrors are 1 - accuracy: {rules.optimizing.name} is no share of images.\n\n|" in text
    assert "Errors are" not in page(errors, find_gaps(errors, HUMAN), [], HUMAN, evaluate())


def test_splits_without_predictions_are_named() -> None:
    with pytest.raises(DataError, match=r"^no predictions of train_dev, dev: run `dvc repro evaluate`$"):
        errors_of_splits(predictions(20, train=1, test=1), evaluate())


def gap(name: str, verdict: Verdict, value: float = 0.123) -> Gap:
    return Gap(name, value, value - 0.05, value + 0.05, verdict)


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        pytest.param(
            [gap(VARIANCE, "present"), gap(BIAS, "absent"), gap(MISMATCH, "absent")],
            "Variance of 12.3 points (95 % interval 7.3 to 17.3).",
            id="one",
        ),
        pytest.param(
            [gap(MISMATCH, "present", 0.2), gap(BIAS, "present", 0.1), gap(VARIANCE, "absent")],
            "Data mismatch of 20.0 points (95 % interval 15.0 to 25.0) and "
            "avoidable bias of 10.0 points (95 % interval 5.0 to 15.0).",
            id="two",
        ),
        pytest.param(
            [gap(BIAS, "present", 0.1), gap(VARIANCE, "cannot tell", 0.06), gap(MISMATCH, "cannot tell", 0.05)],
            "Avoidable bias of 10.0 points (95 % interval 5.0 to 15.0). Too few images to tell about "
            "variance (95 % interval 1.0 to 11.0) and data mismatch (95 % interval 0.0 to 10.0).",
            id="one, and doubt about others",
        ),
        pytest.param(
            [gap(VARIANCE, "cannot tell", 0.06), gap(BIAS, "absent")],
            "Too few images to tell about variance (95 % interval 1.0 to 11.0).",
            id="doubt alone",
        ),
        pytest.param(
            [gap(name, "cannot tell", 0.06) for name in (BIAS, VARIANCE, MISMATCH)],
            "Too few images to tell about avoidable bias (95 % interval 1.0 to 11.0), "
            "variance (95 % interval 1.0 to 11.0) and data mismatch (95 % interval 1.0 to 11.0).",
            id="doubt about everything",
        ),
        pytest.param(
            [gap(name, "absent", 0.0) for name in (BIAS, VARIANCE, MISMATCH)],
            "Nothing stands out: every gap is smaller than is worth work.",
            id="nothing",
        ),
    ],
)
def test_diagnosis_is_said_in_a_sentence(gaps: list[Gap], words: str) -> None:
    assert sentence(gaps) == words


def test_table_shows_each_level_with_the_gap_above_it() -> None:
    errors = errors_of_splits(predictions(2000, train=20, train_dev=400, dev=420), evaluate())
    lines = levels_table(
        errors, [gap(MISMATCH, "absent", 0.01), gap(VARIANCE, "present", 0.19), gap(BIAS, "absent", 0)], HUMAN
    )
    assert lines[2:] == [
        "| human | 1.00% | | | |",
        "| train | 1.00% | avoidable bias: 0.0 points | -5.0 to 5.0 | absent |",
        "| train_dev | 20.00% | variance: 19.0 points | 14.0 to 24.0 | present |",
        "| dev | 21.00% | data mismatch: 1.0 points | -4.0 to 6.0 | absent |",
    ]
    assert {line.count("|") for line in lines} == {6}


def steps(*names: str, **changes: Any) -> list[str]:
    now = params(**changes)
    return next_steps([gap(name, "present") for name in names], now.split, now.augment, now.train)


def test_only_present_gaps_ask_for_work() -> None:
    now = params()
    doubts = [gap(BIAS, "cannot tell"), gap(VARIANCE, "absent")]
    assert next_steps(doubts, now.split, now.augment, now.train) == []


def test_steps_of_the_largest_gap_come_first() -> None:
    assert steps(MISMATCH, BIAS) == steps(MISMATCH) + steps(BIAS)


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
        pytest.param(
            BIAS, {"train.model": {"name": "majority_class"}}, "try a network: `pipeline spot-check`", id="a baseline"
        ),
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
