"""Next steps that can be run and are new."""

import shlex
from collections.abc import Sequence
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
from pipeline.diagnosis import findings
from pipeline.diagnosis.findings import (
    CALIBRATION,
    CLASS,
    EARLY_STOP,
    EPOCHS,
    HARDER,
    HIDDEN,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    OVERFIT,
    SMALL_DEV,
    UNDERFIT,
    Finding,
)
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, MISMATCH, PAIRS, VARIANCE, Gap
from pipeline.diagnosis.next_steps import COURSE, Step, in_order, next_steps
from pipeline.diagnosis.param_changes import weigh_class
from pipeline.diagnosis.recommendations import TABLE
from pipeline.project.params_file import check_params, load_params
from tests.diagnosis.cases import gap, levels, run_of
from tests.examples import params_values

LEVELS = levels(train=(400, 4), train_dev=(100, 4), dev=(200, 20))


def found_for(*names: str, **changes: Any) -> list[Step]:
    """Steps for gaps that are present, or findings."""
    gaps = [gap(name, "present") for name in names if name in PAIRS]
    findings = [Finding(name, "", {"needs": 300}) for name in names if name not in PAIRS]
    return next_steps(gaps, findings, LEVELS, run_of(**changes))


def steps(*names: str, **changes: Any) -> list[str]:
    """Commands, or words where there is none."""
    return [step.command or step.words for step in found_for(*names, **changes)]


def test_only_present_gaps_ask_for_work_and_doubtful_ones_for_images() -> None:
    assert next_steps([gap(BIAS, "absent"), gap(VARIANCE, "absent")], [], LEVELS, run_of()) == []
    (step,) = next_steps([gap(MISMATCH, "cannot tell", needs=340)], [], LEVELS, run_of())
    assert (step.finding, step.command) == (MISMATCH, None)
    assert step.words == "collect about 340 more dev images, to tell about data mismatch"


def test_train_dev_grows_by_its_share_while_train_can_spare_it() -> None:
    (step,) = next_steps([gap(VARIANCE, "cannot tell", needs=100)], [], LEVELS, run_of())
    assert step.command == "dvc exp run -S split.train_dev=0.1"
    assert step.words == "hold out about 100 more images as train_dev, to tell about variance"


def test_nobody_is_asked_to_collect_images_of_which_a_twentieth_would_go_to_train_dev() -> None:
    assert next_steps([gap(VARIANCE, "cannot tell", needs=900)], [], LEVELS, run_of()) == []


def at_the_edge(name: str) -> Gap:
    return replace(gap(name, "cannot tell", 0.017), at_the_edge=True)


def test_a_gap_at_the_edge_is_measured_better_and_what_costs_no_more_than_this_run_is_tried() -> None:
    told = next_steps([at_the_edge(VARIANCE)], [], LEVELS, run_of())
    assert told[0].command == "dvc exp run -S split.train_dev=0.2"
    assert told[0].words == "measure variance better: hold out 4 times as many images as train_dev"
    assert told[0].cost == "takes one training like this one, with 16% fewer images"
    assert 1 < len(told) <= 3
    assert {step.cost for step in told[1:]} == {"takes one training like this one"}
    # More copies take four times as long.
    assert not [step for step in told if "augment.copies" in (step.command or "")]
    told = next_steps([at_the_edge(BIAS)], [], LEVELS, run_of())
    assert not [step for step in told if "train_dev" in (step.command or "")]


def test_what_is_sure_goes_before_what_is_at_the_edge() -> None:
    told = next_steps([gap(MISMATCH, "present"), at_the_edge(VARIANCE)], [], LEVELS, run_of())
    assert {step.finding for step in told} == {MISMATCH}


def test_most_of_train_is_never_held_back() -> None:
    told = next_steps([at_the_edge(VARIANCE)], [], LEVELS, run_of(**{"split.train_dev": 0.25}))
    assert told[0].command == "dvc exp run -S split.train_dev=0.3"
    told = next_steps([at_the_edge(VARIANCE)], [], LEVELS, run_of(**{"split.train_dev": 0.3}))
    assert not [step for step in told if "train_dev" in (step.command or "")]


def test_doubtful_gaps_that_no_images_settle_ask_for_nothing() -> None:
    assert next_steps([gap(MISMATCH, "cannot tell")], [], LEVELS, run_of()) == []


@pytest.mark.parametrize("name", [LEAK, LABEL_NOISE])
def test_until_the_numbers_can_be_trusted_nothing_else_is_proposed(name: str) -> None:
    gaps = [gap(MISMATCH, "present"), gap(BIAS, "present"), gap(VARIANCE, "cannot tell", needs=100)]
    others = [Finding(EPOCHS, ""), Finding(SMALL_DEV, "", {"needs": 300})]
    assert {step.finding for step in next_steps(gaps, [Finding(name, ""), *others], LEVELS, run_of())} == {name}


def test_advice_against_wrong_labels_is_to_look_and_changes_no_weight() -> None:
    (step,) = next_steps([gap(MISMATCH, "present")], [Finding(LABEL_NOISE, "")], LEVELS, run_of())
    assert (step.command, step.words.startswith("open reports/label_issues/label_issues.png")) == (None, True)


@pytest.mark.parametrize("name", COURSE)
def test_no_larger_model_is_proposed_while_training_did_not_run_its_course(name: str) -> None:
    told = next_steps([gap(BIAS, "present")], [Finding(name, ""), Finding(UNDERFIT, "")], LEVELS, run_of())
    assert {step.finding for step in told} == {name}
    assert not [step for step in told if "model" in (step.command or "")]


def test_patience_that_ended_training_goes_first() -> None:
    now = {"train.patience": 4, "train.epochs": 30}
    assert steps(EARLY_STOP, BIAS, **now)[0] == "dvc exp run -S train.patience=null"


@pytest.mark.parametrize("order", [(BIAS, VARIANCE), (VARIANCE, BIAS)])
def test_no_step_undoes_another(order: tuple[str, str]) -> None:
    """Less dropout for bias, and more for variance: only what the larger gap asks for."""
    told = found_for(*order, CALIBRATION, **{"train.model.dropout.blocks": 0.25, "train.l2": 0.001})
    places = [place for step in told for place, _ in settings_of(step.command or "pipeline")]
    assert len(places) == len(set(places))
    words = [step.words for step in told]
    less = [each for each in words if each.startswith(("less dropout", "no penalty"))]
    more = [each for each in words if each.startswith(("more dropout", "more weight decay", "images and labels"))]
    assert bool(less) == (order[0] == BIAS)
    assert bool(more) == (order[0] == VARIANCE)


@pytest.mark.parametrize(
    ("groups", "kept"),
    [
        ({"raw": 500, "production": 200}, {"match_production", "production_weight"}),
        ({"raw": 500, "production": 20}, {"production_weight"}),
        ({"raw": 500}, set()),
        ({"production": 500}, set()),
    ],
)
def test_advice_has_images_to_act_on(groups: dict[str, int], kept: set[str]) -> None:
    run = replace(run_of(), groups=groups)
    told = " ".join(step.command or "" for step in next_steps([gap(MISMATCH, "present")], [], LEVELS, run))
    assert {word for word in ("match_production", "production_weight") if word in told} == kept


@pytest.mark.parametrize(("counts", "told"), [({"a": 100, "b": 10}, True), ({"a": 100, "b": 100}, False)])
def test_even_classes_are_not_repeated(counts: dict[str, int], told: bool) -> None:
    run = replace(run_of(**{"balance.strategy": {"name": "none"}}), counts=counts)
    words = [step.command or "" for step in next_steps([], [Finding(IMBALANCE, "")], LEVELS, run)]
    assert any("oversample" in each for each in words) == told


def test_steps_of_the_largest_gap_come_first() -> None:
    assert [step for step in steps(MISMATCH, BIAS) if step in steps(MISMATCH)] == steps(MISMATCH)
    assert steps(MISMATCH, BIAS)[: len(steps(MISMATCH))] == steps(MISMATCH)


def test_every_step_has_its_source() -> None:
    assert all(advice.source and advice.words for entries in TABLE.values() for advice in entries)
    assert all(step.source and step.words for step in found_for(*TABLE))


def test_what_is_wrong_stands_in_the_order_of_importance() -> None:
    found = [Finding(name, "") for name in (SMALL_DEV, CLASS, EPOCHS, OVERFIT, LEAK, HIDDEN)]
    ordered = in_order([gap(VARIANCE, "present"), gap(BIAS, "present"), gap(MISMATCH, "absent")], found)
    assert [each.name for each in ordered] == [LEAK, VARIANCE, OVERFIT, EPOCHS, BIAS, HIDDEN, CLASS, SMALL_DEV]


def test_why_training_ended_stands_before_bias_and_hard_production_before_mismatch() -> None:
    gaps = [gap(BIAS, "present"), gap(MISMATCH, "explained")]
    found = [Finding(name, "") for name in (HARDER, SMALL_DEV, EARLY_STOP)]
    assert [each.name for each in in_order(gaps, found)] == [EARLY_STOP, BIAS, HARDER, SMALL_DEV]


def test_wrong_labels_stand_before_what_they_make_of_dev_and_train() -> None:
    found = [Finding(name, "") for name in (LABEL_NOISE, LEAK)]
    gaps = [gap(DEV_OVERFIT, "present"), gap(BIAS, "present")]
    assert [each.name for each in in_order(gaps, found)] == [LEAK, LABEL_NOISE, DEV_OVERFIT, BIAS]


def test_causes_without_a_gap_that_is_sure_are_named_alone() -> None:
    assert [each.name for each in in_order([gap(BIAS, "absent")], [Finding(EPOCHS, "")])] == [EPOCHS]


def test_what_is_good_for_two_things_is_proposed_once() -> None:
    found = steps(EPOCHS, BIAS)
    assert len(set(found)) == len(found)
    assert found[0].startswith("dvc exp run -S train.epochs=")


def test_gaps_and_findings_all_have_their_entry() -> None:
    names = {value for name, value in vars(findings).items() if name.isupper() and isinstance(value, str)}
    assert set(TABLE) == names | set(PAIRS)


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


def settings_of(step: str) -> Sequence[tuple[str, Any]]:
    """What a `dvc exp run` changes; nothing for advice in words, and for commands that add or drop params."""
    words = shlex.split(step)
    if words[0] != "dvc" or any(setting[0] in "+~" for setting in words[4::2]):
        return []
    pairs = [setting.split("=", 1) for setting in words[4::2]]
    return [(place, YAML(typ="safe", pure=True).load(value)) for place, value in pairs]
