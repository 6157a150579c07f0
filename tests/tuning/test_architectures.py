"""Architectures of a space, the controller that chooses among them, and how two searches are compared."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.metrics.predictions import Predictions
from pipeline.problem.framing import UNRELATED
from pipeline.training.architectures import distinct_networks, work_of_fit
from pipeline.tuning.architectures import MAX_ARCHITECTURES, architectures_of, decisions_of
from pipeline.tuning.controller import Controller
from pipeline.tuning.params import TuneParams
from pipeline.tuning.ranges import RANGES, Lists, value_of
from pipeline.tuning.selection import difference_after_selection
from tests.fits import metric_named
from tests.tuning.test_ranges import BASE

IMAGES = 300

BLOCKS = {
    "name": "block_cnn",
    "depth": 2,
    "width": 4,
    "kernels": [3],
    "shortcuts": [False],
    "activation": "relu",
    "batch_norm": True,
    "dropout": {"blocks": 0.0, "head": 0.0},
}
METHOD = {"name": "architecture", "epochs": 4, "candidates": 2, "sampling": "controller"}
SPACE: dict[str, Any] = {
    "train.model.depth": {"name": "int", "low": 1, "high": 2, "step": 1},
    "train.model.kernels": {"name": "list", "values": [1, 3], "length": 2},
}


def tune(space: dict[str, Any], method: Any = METHOD) -> TuneParams:
    return TuneParams.model_validate({**BASE, "method": method, "space": space})


def test_a_list_has_each_value_at_each_place() -> None:
    one = Lists(name="list", values=[1, 3], length=2)
    drawn = RANGES.of(one).grid(one, 2)
    assert [value_of(one, each) for each in drawn] == [[1, 1], [1, 3], [3, 1], [3, 3]]
    assert RANGES.of(one).distribution(one).to_external_repr(2) == drawn[2]
    with pytest.raises(ValidationError, match="16777216 lists, more than 4096"):
        Lists(name="list", values=[1, 3, 5, 7], length=12)
    with pytest.raises(ValidationError, match="a value is listed twice"):
        Lists(name="list", values=[1, 1], length=2)


def test_a_space_has_all_combinations_and_a_network_is_there_once() -> None:
    space = tune(SPACE).space
    assert [one.name for one in decisions_of(space)] == ["depth", "kernels[1]", "kernels[2]"]
    found = architectures_of(BLOCKS, space)
    assert len(found) == 8
    assert found[1].drawn == {"train.model.depth": 1, "train.model.kernels": "[1, 3]"}
    # With one block the second kernel is not used: 2 networks of depth 1, and 4 of depth 2.
    networks = distinct_networks(found, 3, 16, UNRELATED)
    assert len(networks.architectures) == 6
    assert len(networks.numbers) == 8
    assert networks.numbers[0, 1, 0] == networks.numbers[0, 1, 1]
    small = distinct_networks(found, 3, 16, UNRELATED, max_megabytes=0.001)
    assert 0 < len(small.architectures) < 6
    assert all(one.megabytes <= 0.001 for one in small.skeletons)
    assert sum(small.left_out.values()) == 8 - len(small.numbers)
    with pytest.raises(ParamsError, match=r"no combination of tune\.space is left: .* larger than 1e-06 MB"):
        distinct_networks(found, 3, 16, UNRELATED, max_megabytes=1e-6)
    assert work_of_fit(networks.skeletons[-1], 2, 100, 30) > work_of_fit(networks.skeletons[0], 2, 100, 30) > 0


def test_networks_that_pictures_are_too_small_for_are_left_out() -> None:
    space = tune({"train.model.depth": {"name": "int", "low": 1, "high": 6, "step": 1}}).space
    networks = distinct_networks(architectures_of(BLOCKS, space), 3, 16, UNRELATED)
    assert [one.model.model_dump()["depth"] for one in networks.architectures] == [1, 2, 3, 4]
    assert any("at most 4" in reason for reason in networks.left_out)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"train.learning_rate": {"name": "choice", "values": [0.1, 0.2]}},
            "train.learning_rate cannot vary with the method architecture",
        ),
        (
            {"train.model.dropout.blocks": {"name": "linear", "low": 0.0, "high": 0.5}},
            "has the range linear, and the method architecture chooses among single values",
        ),
    ],
)
def test_what_is_no_choice_among_networks_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tune(space)
    tune(space, {"name": "tpe"})


def test_spaces_without_a_network_to_share_weights_are_refused() -> None:
    forest = {"name": "random_forest", "features": {"name": "pixels", "side": 8}, "n_estimators": 2}
    forest = {**forest, "min_samples_leaf": 1}
    space = tune({"train.model": {"name": "choice", "values": [forest, {**forest, "n_estimators": 3}]}}).space
    with pytest.raises(ParamsError, match=r"shares weights among cnn, block_cnn, resnet and mlp, and .* random_forest"):
        architectures_of(BLOCKS, space)
    widths = {"train.model.width": {"name": "int", "low": 1, "high": 512, "step": 1}, **SPACE}
    with pytest.raises(ParamsError, match=rf"tune\.space has 8192 combinations.*at most {MAX_ARCHITECTURES}") as caught:
        architectures_of(BLOCKS, tune({**widths, "train.model.shortcuts": SHORTCUTS}).space)
    assert "leave a param out" in str(caught.value)


SHORTCUTS = {"name": "list", "values": [False, True], "length": 1}


def test_the_controller_learns_which_choice_is_worth_more_and_draws_only_what_is_allowed() -> None:
    """Of three decisions one decides on the reward: its value becomes likely, and the others stay open."""
    every = itertools.product(range(2), range(3), range(3))
    allowed: dict[tuple[int, ...], int] = {
        choices: number for number, choices in enumerate(every) if choices[:2] != (0, 0)
    }
    right = 0
    for seed in range(20):
        controller, generator = Controller([2, 3, 3], allowed), np.random.default_rng(seed)
        for _ in range(60):
            samples = [controller.sample(generator) for _ in range(8)]
            assert all(choices in allowed for choices in samples)
            controller.update(samples, [float(one[2] == 1) + generator.normal(0, 0.5) for one in samples])
        probabilities = controller.probabilities
        right += probabilities[2].argmax() == 1 and probabilities[2][1] > 0.6
        assert probabilities[1].max() < 0.95
    assert right >= 19


def test_a_controller_goes_on_where_it_stopped_and_learns_nothing_from_undefined_rewards() -> None:
    one, other = (Controller([2, 2], {(0, 0): 0, (1, 1): 1}) for _ in range(2))
    one.update([(0, 0), (1, 1)], [1.0, 0.0])
    assert one.probabilities[0][0] > 0.5
    other.go_on(one.state())
    other.update([(0, 0), (1, 1)], [float("nan"), 0.0])
    other.update([(0, 0), (1, 1)], [0.5, 0.5])
    assert abs(other.probabilities[0][0] - one.probabilities[0][0]) < 0.01


def test_more_luck_makes_no_search_better() -> None:
    """20 equal models on one side and 2 on the other: the interval of the difference holds 0."""
    groups, metric, wrong = pd.Series([str(number) for number in range(IMAGES)]), metric_named("accuracy"), 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, IMAGES)
        many, few = (of_labels(labels, count, 0.8, generator) for count in (20, 2))
        found = difference_after_selection(metric, (many, few), groups, 100, 1)
        assert found is not None
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 2
    better = difference_after_selection(
        metric, (of_labels(labels, 2, 0.95, generator), of_labels(labels, 20, 0.7, generator)), groups, 100, 1
    )
    assert better is not None
    assert better.low > 0
    assert difference_after_selection(metric, (many, []), groups, 100, 1) is None


def of_labels(labels: Any, count: int, accuracy: float, generator: np.random.Generator) -> list[Predictions]:
    """Models that are right so often, each for itself, on the same labels."""
    wrong = generator.random((count, IMAGES)) >= accuracy
    return [Predictions(("a", "b"), labels, np.where(each, 1 - labels, labels), None) for each in wrong]
