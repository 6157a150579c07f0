"""Next steps that can be run and are new."""

from dataclasses import replace

import pytest

from pipeline.diagnosis import findings
from pipeline.diagnosis.findings import (
    CALIBRATION,
    CLASS,
    EARLY_STOP,
    EPOCHS,
    HARD_SLICE,
    HARDER,
    HIDDEN,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    OVERFIT,
    SMALL_DEV,
    UNDERFIT,
    WEAK_JUDGE,
    Finding,
)
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, MISMATCH, PAIRS, PRODUCTION_GAP, VARIANCE, Gap, Needs
from pipeline.diagnosis.next_steps import COURSE, in_order, next_steps
from pipeline.diagnosis.recommendations import TABLE
from tests.diagnosis.cases import LEVELS, found_for, gap, run_of, settings_of, steps


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


def test_a_look_at_harder_images_comes_after_all_else_and_keeps_nothing_from_being_tried() -> None:
    hard = Finding(HARD_SLICE, "images of dev that look alike: 20.0% of 30 are misclassified")
    before = next_steps([at_the_edge(VARIANCE)], [], LEVELS, run_of())
    told = next_steps([at_the_edge(VARIANCE)], [hard], LEVELS, run_of())
    assert told[:-1] == before
    assert (told[-1].finding, told[-1].command) == (HARD_SLICE, "pipeline errors")
    assert [step.finding for step in next_steps([], [hard], LEVELS, run_of())] == [HARD_SLICE]
    assert not [step for step in next_steps([], [hard, Finding(LEAK, "")], LEVELS, run_of()) if step.finding != LEAK]
    assert [each.name for each in in_order([], [hard, Finding(CLASS, "")])] == [CLASS, HARD_SLICE]


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
    assert (step.command, "label_issues.png" in step.words) == ("pipeline review labels", True)


@pytest.mark.parametrize("name", COURSE)
def test_no_larger_model_is_proposed_while_training_did_not_run_its_course(name: str) -> None:
    told = next_steps([gap(BIAS, "present")], [Finding(name, ""), Finding(UNDERFIT, "")], LEVELS, run_of())
    assert {step.finding for step in told} == {name}
    assert not [step for step in told if "model" in (step.command or "")]


def test_more_epochs_are_not_proposed_where_the_loss_stays() -> None:
    assert any("train.epochs=" in step for step in steps(BIAS))
    told = steps(BIAS, UNDERFIT)
    assert told
    assert not any("train.epochs=" in step for step in told)


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


def test_that_any_share_of_labels_may_be_wrong_comes_before_bias_alone() -> None:
    bias, variance, mismatch = (gap(name, "present") for name in (BIAS, VARIANCE, MISMATCH))
    weak, doubt = (Finding(WEAK_JUDGE, "", {"too_weak": one}) for one in (True, False))
    assert [each.name for each in in_order([bias, variance], [weak])] == [WEAK_JUDGE, BIAS, VARIANCE]
    assert [each.name for each in in_order([bias, variance], [doubt])] == [BIAS, VARIANCE, WEAK_JUDGE]
    assert [each.name for each in in_order([mismatch, bias], [weak])] == [MISMATCH, WEAK_JUDGE, BIAS]
    assert [each.name for each in in_order([variance], [weak])] == [VARIANCE, WEAK_JUDGE]


def test_what_is_good_for_two_things_is_proposed_once() -> None:
    found = steps(EPOCHS, BIAS)
    assert len(set(found)) == len(found)
    assert found[0].startswith("dvc exp run -S train.epochs=")


def test_gaps_and_findings_all_have_their_entry() -> None:
    names = {value for name, value in vars(findings).items() if name.isupper() and isinstance(value, str)}
    assert set(TABLE) == names | set(PAIRS)


@pytest.mark.parametrize(
    ("levels", "command", "words", "cost"),
    [
        pytest.param(
            ("production", "dev"),
            None,
            "collect about 300 more outcomes of production and as many dev images, to tell about production gap",
            "people collect and label about 600 images",
            id="people collect both",
        ),
        pytest.param(
            ("dev", "train_dev"),
            "dvc exp run -S split.train_dev=0.2",
            "hold out about 300 more images as train_dev, to tell about production gap; and collect about 300 more dev "
            "images",
            "takes one training like this one; people collect and label about 300 images",
            id="a param and people",
        ),
        pytest.param(
            ("train_dev",),
            "dvc exp run -S split.train_dev=0.2",
            "hold out about 300 more images as train_dev, to tell about production gap",
            "takes one training like this one",
            id="a param alone",
        ),
    ],
)
def test_images_that_a_verdict_needs_are_told_with_who_brings_them(
    levels: tuple[str, ...], command: str | None, words: str, cost: str
) -> None:
    """train_dev has 100 images, a twentieth of the mixture."""
    doubtful = replace(gap(PRODUCTION_GAP, "cannot tell"), needs=Needs(300, levels))
    (step,) = next_steps([doubtful], [], LEVELS, run_of(**{"split.train_dev": 0.05}))
    assert (step.command, step.words, step.cost) == (command, words, cost)


@pytest.mark.parametrize(("images", "told"), [(500, True), (520, False)])
def test_no_more_than_three_tenths_are_held_out_for_a_verdict(images: int, told: bool) -> None:
    doubtful = gap(VARIANCE, "cannot tell", needs=images)
    found = next_steps([doubtful], [], LEVELS, run_of(**{"split.train_dev": 0.05}))
    assert [step.command for step in found] == ["dvc exp run -S split.train_dev=0.3"] * told


def test_a_larger_dev_is_proposed_where_nothing_else_is_and_something_could_be_told() -> None:
    small = Finding(SMALL_DEV, "", {"needs": 1300})
    (step,) = next_steps([gap(BIAS, "absent")], [small], LEVELS, run_of())
    assert step.words.startswith("give dev about 1,300 more production images, so that it can tell models apart")
    assert step.cost == "people collect and label about 1,300 images, or train has so many fewer"
    assert next_steps([], [small], LEVELS, run_of()) == []
    assert next_steps([gap(BIAS, "absent")], [Finding(SMALL_DEV, "", {"images": 60})], LEVELS, run_of()) == []
    more = next_steps([gap(MISMATCH, "present")], [small], LEVELS, run_of())
    assert SMALL_DEV not in {step.finding for step in more}


@pytest.mark.parametrize("name", [BIAS, VARIANCE])
def test_no_more_than_five_steps_are_proposed_at_a_time(name: str) -> None:
    assert len(TABLE[name]) > 5
    assert len(steps(name)) == 5


def test_two_experiments_at_most_are_tried_for_a_gap_at_the_edge() -> None:
    told = next_steps([at_the_edge(BIAS)], [], LEVELS, run_of())
    assert len(told) == 2
