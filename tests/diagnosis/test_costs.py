"""What recommendations cost: trainings by their params, and people's work by what the run has."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.diagnosis import costs
from pipeline.diagnosis.findings import CLASS, IMBALANCE, OVERFIT, Finding
from pipeline.diagnosis.gaps import MISMATCH, VARIANCE
from pipeline.diagnosis.next_steps import next_steps
from pipeline.diagnosis.param_changes import changed, values_of
from pipeline.diagnosis.recommendations import TABLE
from pipeline.diagnosis.training_changes import average_weights, learn_unlabelled, several_seeds
from tests.diagnosis.cases import gap, levels, run_of

LEVELS = levels(train=(400, 4), train_dev=(100, 4), dev=(200, 20))
MLP = {"train.model": {"name": "mlp", "depth": 2, "width": 64, "activation": "relu", "batch_norm": False,
                       "dropout": {"blocks": 0.2, "head": 0.0}}}  # fmt: skip
HEAD = {"train.model": {"name": "efficientnet_lite0", "trained": "head", "input": 96, "dropout": {"head": 0.2}}}


def ratio(changes: dict[str, Any], epochs_run: int | None = None, **now: Any) -> float | None:
    run = replace(run_of(**now), epochs_run=epochs_run)
    before = values_of(run)
    return costs.training_ratio(run, before, changed(before, changes))


@pytest.mark.parametrize(
    ("changes", "now", "times"),
    [
        pytest.param({"train.epochs": 24}, {"train.epochs": 12}, 2, id="twice the epochs"),
        pytest.param({"train.model.width": 32}, {"train.model.width": 16}, 4, id="twice the channels"),
        pytest.param({"train.model.depth": 3}, {"train.model.depth": 2}, 1.5, id="a block more"),
        pytest.param({"train.model.name": "resnet", "train.model.blocks": 2}, {}, 4, id="residual blocks"),
        pytest.param({"train.model.width": 256}, MLP, 4, id="four times the units"),
        pytest.param({"augment.copies.count": 3}, {"augment.copies.count": 1}, 2, id="four rows instead of two"),
        pytest.param({"train.l2": 0.1}, {}, 1, id="a penalty"),
        pytest.param({"train.model.trained": "all"}, HEAD, None, id="layers that were frozen"),
        pytest.param({"augment.mode": "online"}, HEAD, None, id="frozen layers see other pictures in each epoch"),
        pytest.param({"augment.mode": "online"}, {}, 1, id="variants while training"),
    ],
)
def test_a_training_costs_as_much_as_its_params_ask_for(
    changes: dict[str, Any], now: dict[str, Any], times: float | None
) -> None:
    found = ratio(changes, **now)
    assert found == (None if times is None else pytest.approx(times))


def test_epochs_count_that_were_run_not_those_that_were_asked_for() -> None:
    assert ratio({"train.patience": None}, epochs_run=6, **{"train.epochs": 12}) == pytest.approx(2)
    # Patience ends another training about as early.
    stopped = {"train.epochs": 12, "train.patience": 3}
    assert ratio({"train.l2": 0.1}, epochs_run=6, **stopped) == pytest.approx(1)
    assert ratio({"train.epochs": 24}, epochs_run=6, **stopped) == pytest.approx(2)


def test_costs_are_said_in_words() -> None:
    run = run_of(**{"train.epochs": 12})
    before = values_of(run)
    words = [costs.training_cost(run, before, changed(before, {"train.epochs": count})) for count in (12, 13, 30)]
    assert words == [costs.ONE_TRAINING, costs.ONE_TRAINING, "takes about 2.5 times as long as this training"]
    run = run_of(**HEAD)
    before = values_of(run)
    all_layers = changed(before, {"train.model.trained": "all"})
    assert costs.training_cost(run, before, all_layers) == "takes many times as long as this training"


def test_an_ensemble_costs_all_of_its_fits() -> None:
    run = run_of()
    before = values_of(run)
    several = changed(before, dict(several_seeds(run) or {}))
    assert costs.training_ratio(run, before, several) == pytest.approx(16)
    words = costs.training_cost(run, before, several)
    assert words == "takes up to 16 times as long as this training, and less with several workers"
    average = changed(before, dict(average_weights(run) or {}))
    assert costs.training_cost(run, before, average) == costs.ONE_TRAINING


@pytest.mark.parametrize(
    ("now", "asked"),
    [
        ({}, (True, True)),
        (HEAD, (True, False)),
        ({"train.model": {"name": "majority_class"}}, (False, False)),
        ({"train.ensemble": {"name": "bagging"}}, (False, False)),
    ],
)
def test_ensembles_are_advised_where_they_can_act(now: dict[str, Any], asked: tuple[bool, bool]) -> None:
    run = run_of(**now)
    assert (average_weights(run) is not None, several_seeds(run) is not None) == asked


def test_people_s_work_is_counted_by_what_the_run_has() -> None:
    run = replace(
        run_of(),
        failing="a",
        counts={"a": 40, "b": 90, "c": 400},
        images={"raw": 300, "production": 1230},
        groups={"raw": 300, "production": 1230},
        dev_errors=17,
    )
    findings = [Finding(CLASS, "", subject="a"), Finding(IMBALANCE, "")]
    steps = [
        *next_steps([gap(MISMATCH, "present")], [], LEVELS, run),
        *next_steps([], findings[:1], LEVELS, run),
        *next_steps([], findings[1:], LEVELS, run),
    ]
    told = {step.words: step.cost for step in steps}
    assert told["collect more production images, for training"] == "people collect and label about 1,230 images"
    assert told["collect more images of it, and check its labels"] == "a person looks at 17 images"
    # Half of 400, less the 40 and the 90 that there are.
    assert told["collect more training images of the small classes"] == "people collect and label about 270 images"


def test_every_recommendation_says_what_it_costs() -> None:
    run = replace(run_of(), dated=True, failing="apple", bold=True, dev_errors=3)
    for name, entries in TABLE.items():
        for advice in entries:
            cost = advice.cost(run) if callable(advice.cost) else advice.cost
            assert cost or advice.change is not None, (name, advice.words)
    (step,) = next_steps([], [Finding(OVERFIT, "")], LEVELS, run_of(**{"train.keep": "last"}))
    assert (step.command, step.cost) == ("dvc exp run -S train.keep=best", costs.ONE_TRAINING)


@pytest.mark.parametrize(("changes", "name", "times"), [({}, "consistency", 2.875), (HEAD, "pseudo_labels", 4.0)])
def test_learning_from_images_without_a_label_is_proposed_where_they_wait(
    changes: dict[str, Any], name: str, times: float
) -> None:
    run = replace(run_of(**changes), images={"raw": 50, "production": 50}, unlabelled=200)
    asked = {"train.unlabelled.name": name}
    assert learn_unlabelled(run) == asked
    before = values_of(run)
    assert costs.training_ratio(run, before, changed(before, asked)) == pytest.approx(times)
    [step] = [step for step in next_steps([gap(VARIANCE, "present")], [], LEVELS, run) if "no label" in step.words]
    assert step.command == f"dvc exp run -S train.unlabelled.name={name}"
    assert step.cost == f"takes about {times:.2g} times as long as this training"
    few, learns = replace(run, unlabelled=49), run_of(**changes, **{"train.unlabelled": {"name": "pseudo_labels"}})
    assert learn_unlabelled(few) is None
    assert learn_unlabelled(replace(learns, images=run.images, unlabelled=200)) is None


@pytest.mark.parametrize(("images", "told"), [(None, "100"), (99, "100"), (101, "101")])
def test_as_many_production_images_again_are_a_hundred_at_least(images: int | None, told: str) -> None:
    run = replace(run_of(), images=None if images is None else {"raw": 500, "production": images})
    assert costs.production_as_many_again(run) == f"people collect and label about {told} images"


def test_where_no_class_is_known_one_image_is_told() -> None:
    one = "people collect and label about 1 images"
    assert (costs.small_classes(run_of()), costs.failing_class(run_of())) == (one, one)
    even = replace(run_of(), counts={"a": 50, "b": 100}, failing="b")
    assert costs.small_classes(even) == one
    assert costs.failing_class(even) == "people collect and label about 100 images"
    assert costs.look_at_errors(run_of()) == "a person looks at dev's errors"


@pytest.mark.parametrize(
    ("epochs", "words"), [(115, costs.ONE_TRAINING), (116, "takes about 1.2 times as long as this training")]
)
def test_a_training_that_takes_a_little_longer_counts_as_one_like_it(epochs: int, words: str) -> None:
    run = run_of(**{"train.epochs": 100})
    before = values_of(run)
    assert costs.training_cost(run, before, changed(before, {"train.epochs": epochs})) == words


@pytest.mark.parametrize(
    "now",
    [
        {"augment.transforms": [], "augment.match_production": True},
        {"augment.transforms": [{"preset": "light"}], "augment.match_production": False},
    ],
)
def test_variants_are_rows_where_there_are_any(now: dict[str, Any]) -> None:
    now = {**now, "augment.copies": {"name": "per_image", "count": 2}}
    assert ratio({"augment.transforms": [], "augment.match_production": False}, **now) == pytest.approx(1 / 3)


def test_frozen_layers_that_see_mixed_pictures_are_run_in_each_epoch() -> None:
    frozen: dict[str, Any] = {**HEAD}
    mixed: dict[str, Any] = {**HEAD, "train.mixing": {"name": "mixup", "alpha": 0.2}}
    assert ratio({"train.model.trained": "all"}, **mixed) is not None
    assert ratio({"train.mixing.name": "mixup", "train.mixing.alpha": 0.2}, **frozen) is None
