"""Every metric of params is built, knows which value is better, and refuses classes that are not there."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, ParamsError
from pipeline.metrics.class_measures import MeanCost, cost_table
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import Tally, check_defined, metric_of, plain_metrics
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions
from tests.examples import params

TWO, FOUR = ("cat", "dog"), ("apple", "fig", "pear", "quince")
COSTS = {"name": "mean_cost", "costs": {"fig": {"apple": 5.0, "fig": 0.5}}, "otherwise": 1.0}
CHOICES: list[Any] = [
    *(
        name
        for name, row in METRICS.items()
        if set(row.params.model_fields) == {"name"} and row.classes is None and row.fits(FOUR)
    ),
    {"name": "class_recall", "label": "fig"},
    {"name": "class_pr_auc", "label": "fig"},
    COSTS,
]


def choice(value: Any) -> MetricParams:
    return params(**{"evaluate.optimizing": value}).evaluate.optimizing


def example(seed: int = 1, images: int = 60, sharpness: float = 1.0, classes: tuple[str, ...] = FOUR) -> Predictions:
    """Images whose label is likelier the sharper the model is."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(classes), size=images)
    logits = generator.normal(size=(images, len(classes)))
    logits[np.arange(images), labels] += sharpness
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(classes, labels, probabilities.argmax(axis=1), probabilities)


@pytest.mark.parametrize("value", CHOICES, ids=str)
def test_a_better_model_has_a_better_value(value: Any) -> None:
    metric = metric_of(choice(value), FOUR)
    poor, good = (metric.value(example(sharpness=sharpness)) for sharpness in (0.5, 4.0))
    assert metric.better(good, poor)
    assert not metric.better(poor, good)
    assert not metric.better(good, good)


@pytest.mark.parametrize("value", CHOICES, ids=str)
def test_batches_give_what_the_whole_gives(value: Any) -> None:
    metric, whole = metric_of(choice(value), FOUR), example()
    assert whole.probabilities is not None
    tally = Tally(metric, 4)
    for part in np.array_split(np.arange(60), 7):
        tally.add(whole.labels[part], whole.probabilities[part])
    assert tally.value == pytest.approx(metric.value(whole))


@pytest.mark.parametrize("value", CHOICES, ids=str)
def test_resamples_scatter_around_the_value(value: Any) -> None:
    metric, seen = metric_of(choice(value), FOUR), example(images=200, sharpness=2.0)
    groups = pd.Series([f"{number:03}" for number in range(200)])
    found = metric.resampled(seen, groups, 300, 1, "dev")
    assert found.shape == (300,)
    assert np.quantile(found, 0.02) < metric.value(seen) < np.quantile(found, 0.98)


def test_two_classes_are_ranked_by_the_second() -> None:
    seen = example(classes=TWO)
    one = metric_of(choice("pr_auc"), TWO)
    assert one.value(seen) == metric_of(choice({"name": "class_pr_auc", "label": "dog"}), TWO).value(seen)
    assert one.key == "pr_auc"


def test_ten_classes_where_a_metric_needs_two() -> None:
    message = (
        r"^the metric pr_auc needs two classes, the model has 4 \(apple, fig, pear, quince\): take "
        r"\{name: class_pr_auc, label: apple\} for one class against all others, or macro_pr_auc$"
    )
    with pytest.raises(ParamsError, match=message):
        metric_of(choice("pr_auc"), FOUR)
    assert "pr_auc" not in {metric.key for metric in plain_metrics(FOUR)}
    assert "pr_auc" in {metric.key for metric in plain_metrics(TWO)}


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"name": "class_recall", "label": "figg"}, "did you mean fig?"),
        ({"name": "class_pr_auc", "label": "zzz"}, "it has apple, fig, pear, quince"),
        ({"name": "mean_cost", "costs": {"fig": {"aple": 1.0}}, "otherwise": 1.0}, "did you mean apple?"),
    ],
)
def test_a_class_that_is_not_there_is_named(value: Any, hint: str) -> None:
    with pytest.raises(ParamsError, match=r"evaluate names the class '.*', which the model does not have") as caught:
        metric_of(choice(value), FOUR)
    assert str(caught.value).endswith(hint)


@given(st.sampled_from(FOUR))
def test_a_metric_of_a_class_without_images_is_not_defined(absent: str) -> None:
    labels = np.array([number for number, name in enumerate(FOUR) if name != absent])
    for name in ("class_recall", "class_pr_auc"):
        metric = metric_of(choice({"name": name, "label": absent}), FOUR)
        with pytest.raises(DataError, match=rf"{name}_{absent} is not defined on dev, which has no images"):
            check_defined(metric, labels, FOUR, "dev")
    for metric in plain_metrics(FOUR):
        check_defined(metric, labels, FOUR, "dev")


def test_costs_are_those_named_and_being_right_costs_nothing() -> None:
    chosen = choice(COSTS)
    assert isinstance(chosen, MeanCost)
    expected = np.ones((4, 4)) - np.eye(4)
    expected[1, 0], expected[1, 1] = 5.0, 0.5
    np.testing.assert_array_equal(cost_table(chosen, FOUR), expected)


def test_a_name_and_a_tag_are_one_choice() -> None:
    assert choice("log_loss") == choice({"name": "log_loss"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("f1", "evaluate.optimizing: there is no choice 'f1'; it may be "),
        (3, "evaluate.optimizing: must be a mapping, got 3"),
        ({"name": "class_recall"}, "evaluate.optimizing.label: is missing"),
        ({"name": "mean_cost", "costs": {"a": {"b": -1.0}}, "otherwise": 1.0}, "evaluate.optimizing.costs.a.b: "),
        ("latency_p95_ms", "evaluate.optimizing: "),
    ],
)
def test_what_is_no_metric_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        choice(value)
    assert message in str(caught.value)
