"""What next steps change: params that the model has, to values that they may have, as commands that DVC takes."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main
from dvc.utils.hydra import apply_overrides
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.diagnosis.findings import (
    Finding,
)
from pipeline.diagnosis.gaps import BIAS, MISMATCH, PAIRS, VARIANCE
from pipeline.diagnosis.next_steps import next_steps
from pipeline.diagnosis.param_changes import weigh_class
from pipeline.diagnosis.recommendations import TABLE
from pipeline.project.params_file import check_params, load_params
from tests.diagnosis.cases import LEVELS, gap, run_of, settings_of, steps
from tests.examples import params_values

MODELS: dict[str, Any] = {
    "cnn": {},
    "mlp": {"train.model": {"name": "mlp", "depth": 2, "width": 64, "activation": "relu", "batch_norm": False,
                            "dropout": {"blocks": 0.2, "head": 0.0}}},
    "pretrained": {"train.model": {"name": "mobilenet_v2", "weights": "w.pth", "sha256": "0" * 64, "frozen": True,
                                   "input": 96, "dropout": {"head": 0.2}}},
    "installed": {"train.model": {"name": "efficientnet_lite0", "trained": "all", "input": 96,
                                  "dropout": {"head": 0.2}}},
    "baseline": {"train.model": {"name": "majority_class"}},
    "sgd": {"train.optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "train.l2": 0.001},
    "rmsprop": {"train.optimizer": {"name": "rmsprop", "alpha": 0.9, "momentum": 0.0}, "train.keep": "last"},
    "plain": {"augment.transforms": [], "augment.copies.count": 0, "balance.strategy": {"name": "none"},
              "split.production_train_fraction": 0.0,
              "curate.near_duplicates": "ignore", "train.model.batch_norm": False},
    "limits": {"train.model.width": 512, "train.model.depth": 6, "augment.copies.count": 100, "train.epochs": 100000,
               "train.class_weights": {"x": 1000.0}, "train.label_smoothing": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("changes", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize(
    "facts", [{}, {"failing": "x", "bold": True, "dated": True}, {"failing": "7", "bold": False}], ids=str
)
def test_dvc_takes_each_command_and_the_params_load(
    changes: dict[str, Any], facts: dict[str, Any], tmp_path: Path
) -> None:
    """Through DVC's own reader of -S: what is there is changed, what is new is added, what goes is dropped."""
    before = params_values(**changes)
    run = replace(run_of(**changes), **facts)
    every = (
        [gap(name, "present") for name in PAIRS],
        [Finding(name, "", {"needs": 3}) for name in TABLE if name not in PAIRS],
    )
    commands = [step.command for step in next_steps(*every, LEVELS, run) if step.command]
    assert commands
    for command in commands:
        words = shlex.split(command)
        if words[0] == "pipeline":
            assert words[1] in typer.main.get_group(cli.app).commands
            continue
        assert words[:3] == ["dvc", "exp", "run"]
        assert set(words[3::2]) == {"-S"}
        file = tmp_path / "params.yaml"
        with file.open("w") as out:
            YAML(typ="safe", pure=True).dump(before, out)
        apply_overrides(file, words[4::2])
        after = load_params(file)
        assert after != check_params(before), command


@pytest.mark.parametrize("label", ["a.b", "x=y", "", "7", "null", "No", "ü", "a b", "$(rm)", "'"])
def test_class_names_that_a_command_line_would_misread_are_in_words_alone(label: str) -> None:
    assert weigh_class(replace(run_of(), failing=label)) is None
    assert weigh_class(replace(run_of(), failing="plain_Name-2")) == {"train.class_weights.plain_Name-2": 2.0}


@pytest.mark.parametrize(
    ("name", "changes", "done"),
    [
        pytest.param(
            MISMATCH, {"split.production_train_fraction": 1.0}, "production_train_fraction", id="all production is used"
        ),
        pytest.param(BIAS, {"train.model.dropout.blocks": 0.0}, "dropout", id="no dropout to lower"),
        pytest.param(VARIANCE, {"train.model.dropout.blocks": 0.5}, "dropout", id="dropout is high"),
        pytest.param(
            VARIANCE,
            {"augment.transforms": [], "augment.copies.count": 0},
            "augment.copies.count=0",
            id="nothing to augment with",
        ),
        pytest.param(VARIANCE, {"augment.copies.count": 100}, "augment.copies", id="as many copies as may be"),
        pytest.param(
            VARIANCE, {"augment.copies": {"name": "up_to", "rows": 5}}, "augment.copies", id="copies up to a count"
        ),
        pytest.param(BIAS, {"train.model.width": 512}, "width", id="as wide as may be"),
    ],
)
def test_what_is_done_is_not_proposed_again(name: str, changes: dict[str, Any], done: str) -> None:
    assert not [step for step in steps(name, **changes) if done in step]


@pytest.mark.parametrize(
    ("name", "changes", "step"),
    [
        pytest.param(
            MISMATCH,
            {"split.production_train_fraction": 0.5},
            "split.production_train_fraction=1.0",
            id="use all production",
        ),
        pytest.param(BIAS, {"train.model.width": 16}, "train.model.width=32", id="wider"),
        pytest.param(BIAS, MODELS["mlp"], "train.model.width=256", id="a hidden layer, wider"),
        pytest.param(BIAS, {"train.epochs": 12}, "train.epochs=24", id="longer"),
        pytest.param(BIAS, {"train.model.dropout.blocks": 0.25}, "train.model.dropout.blocks=0.125", id="less dropout"),
        pytest.param(VARIANCE, {"augment.copies.count": 0}, "augment.copies.count=4", id="first copies"),
        pytest.param(VARIANCE, {"augment.copies.count": 2}, "augment.copies.count=8", id="more copies"),
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
HEAD = {"name": "efficientnet_lite0", "trained": "head", "input": 96, "dropout": {"head": 0.2}}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        pytest.param(BIAS, {}, "dvc exp run -S train.model.frozen=false", id="thaw a backbone"),
        pytest.param(
            BIAS,
            {"train.model": HEAD},
            "dvc exp run -S train.model.trained=all",
            id="train more than the head, at a share of the rate",
        ),
        pytest.param(
            BIAS,
            {"train.model": {**HEAD, "trained": "last", "backbone_rate": 1.0}},
            "dvc exp run -S train.model.trained=all -S train.learning_rate=0.0003",
            id="train all layers, not as fast as a new one",
        ),
        pytest.param(VARIANCE, {}, "dvc exp run -S train.model.dropout.head=0.45", id="more dropout of its features"),
        pytest.param(BIAS, {"train.model": {"name": "majority_class"}}, "pipeline spot-check", id="a baseline"),
    ],
)
def test_steps_are_those_that_the_model_has(name: str, changes: dict[str, Any], expected: str) -> None:
    found = steps(name, **{"train.model": BACKBONE, **changes})
    assert [step for step in found if step.startswith(expected)]
    model = {"train.model": BACKBONE, **changes}["train.model"]
    known = {f"train.model.{place}" for place in ("frozen", "trained") if place in model}
    known |= {"train.model.dropout.head"} if "dropout" in model else set()
    asked = {place for step in found for place, _ in settings_of(step) if place.startswith("train.model.")}
    assert asked <= known


CHANGES = st.fixed_dictionaries(
    {
        "split.production_train_fraction": st.floats(0, 1),
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
        set_ = dict(settings_of(step))
        if set_:
            after = params_values(**{**changes, **set_})
            assert after != before
            check_params(after)
