"""Metrics of numbers: as scikit-learn has them, with intervals by groups, influences, and where they are undefined."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from pipeline.data.predictions import prediction_table
from pipeline.errors import DataError, ParamsError
from pipeline.metrics.evaluation import evaluation
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import Metric, Tally, check_defined, metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions, checked_predictions, classes_of, predictions_of_numbers
from pipeline.problem.quantities import Quantity, text_of
from tests.examples import params
from tests.levers import NUMBERS

RIPENESS = Quantity(("ripeness",))
THEIRS: dict[str, Any] = {
    "mean_absolute_error": mean_absolute_error,
    "root_mean_squared_error": root_mean_squared_error,
    "r2": r2_score,
}


def metric(name: str) -> Metric:
    return metric_of(TypeAdapter[Any](AnyMetric).validate_python(name), RIPENESS)


def seen(count: int = 200, seed: int = 1, noise: float = 0.5, scale: float = 1.0) -> Predictions:
    generator = np.random.default_rng(seed)
    truth = generator.normal(5, 2, count)
    return predictions_of_numbers(RIPENESS, scale * truth, scale * (truth + generator.normal(0.1, noise, count)))


@pytest.mark.parametrize("name", THEIRS)
def test_a_metric_of_numbers_is_scikit_learns_for_any_weights(name: str) -> None:
    found = seen()
    assert found.numbers is not None
    weights = np.random.default_rng(2).integers(0, 4, (5, 200))
    expected = [THEIRS[name](found.numbers.truth, found.numbers.predicted, sample_weight=row) for row in weights]
    np.testing.assert_allclose(metric(name).values(found, weights), expected, rtol=1e-9)


@pytest.mark.parametrize("name", THEIRS)
def test_the_influence_of_an_image_is_what_one_more_of_it_changes(name: str) -> None:
    found, one = seen(), metric(name)
    influence = image_influence(one, found)
    assert influence.mean() == pytest.approx(0, abs=1e-9)
    weights = np.full((2, 200), 10_000)
    weights[1, 7] += 100
    before, after = one.values(found, weights)
    # A share of 100 / 2,000,000 more of one image.
    assert (after - before) * 20_000 == pytest.approx(influence[7], rel=0.02)


@pytest.mark.parametrize("name", THEIRS)
def test_an_interval_holds_the_value_scales_with_the_unit_and_is_wider_for_copies(name: str) -> None:
    one = metric(name)
    alone = metric_interval(one, seen(), pd.Series(range(200)))
    assert alone is not None
    assert alone[0] < one.value(seen()) < alone[1]
    grams = metric_interval(one, seen(scale=1e-9), pd.Series(range(200)))
    times = 1 if name == "r2" else 1e-9
    assert grams == pytest.approx(tuple(times * end for end in alone), rel=1e-6)
    copied = seen(50)
    assert copied.numbers is not None
    four = predictions_of_numbers(RIPENESS, np.repeat(copied.numbers.truth, 4), np.repeat(copied.numbers.predicted, 4))
    by_group = metric_interval(one, four, pd.Series(np.repeat(np.arange(50), 4)))
    as_if = metric_interval(one, four, pd.Series(range(200)))
    assert by_group is not None and as_if is not None  # noqa: PT018
    assert by_group == pytest.approx(metric_interval(one, copied, pd.Series(range(50))))
    assert by_group[1] - by_group[0] > 1.8 * (as_if[1] - as_if[0])
    assert metric_interval(one, seen(14), pd.Series(range(14))) is None


@pytest.mark.parametrize("name", THEIRS)
def test_intervals_hold_the_truth(name: str) -> None:
    """Of 100 draws of 60 images; coverage.py has more."""
    truth = metric(name).value(seen(100_000, seed=99))
    ends = [metric_interval(metric(name), seen(60, seed=seed), pd.Series(range(60))) for seed in range(100)]
    assert np.mean([end is not None and end[0] <= truth <= end[1] for end in ends]) >= 0.89


def test_r2_of_equal_numbers_is_not_defined_and_the_others_are() -> None:
    same = predictions_of_numbers(RIPENESS, np.full(20, 3.0), np.linspace(0, 1, 20))
    assert np.isnan(metric("r2").value(same))
    with pytest.raises(DataError, match="r2 is not defined on dev, whose images all have the same number"):
        check_defined(metric("r2"), np.full(20, 3.0), RIPENESS, "dev")
    check_defined(metric("mean_absolute_error"), np.full(20, 3.0), RIPENESS, "dev")


def test_metrics_of_classes_and_of_numbers_are_told_apart() -> None:
    with pytest.raises(ParamsError, match=r"accuracy is about classes, and with problem regression .* r2$"):
        metric("accuracy")
    with pytest.raises(ParamsError, match="r2 is about numbers"):
        metric_of(TypeAdapter[Any](AnyMetric).validate_python("r2"), ("a", "b"))


def test_batches_of_an_epoch_give_the_metric_of_all_also_after_a_stop() -> None:
    found = seen()
    assert found.numbers is not None
    whole, parts = Tally(metric("r2"), 1), Tally(metric("r2"), 1)
    truth, predicted = found.numbers.truth.astype(np.float32), found.numbers.predicted.astype(np.float32)[:, None]
    whole.add(truth, predicted)
    parts.add(truth[:50], predicted[:50])
    resumed = Tally(metric("r2"), 1)
    resumed.go_on(parts.state())
    resumed.add(truth[50:], predicted[50:])
    assert resumed.value == whole.value == pytest.approx(metric("r2").value(found), abs=1e-5)


def predicted_rows(count: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Manifest and predictions of train, train_dev and dev."""
    found = seen(3 * count)
    assert found.numbers is not None
    manifest = pd.DataFrame(
        {
            "id": [f"{number:03}" for number in range(3 * count)],
            "group": [f"{number:03}" for number in range(3 * count)],
            "split": np.repeat(["train", "train_dev", "dev"], count),
            "label": [text_of(number) for number in found.numbers.truth],
            "source": np.where(np.arange(3 * count) % 2, "web", "phone"),
        }
    )
    return manifest, prediction_table(manifest, RIPENESS, found.numbers.predicted.astype(np.float32)[:, None])


def test_the_table_of_predictions_reads_back_as_numbers() -> None:
    _, table = predicted_rows()
    assert classes_of(table) == RIPENESS
    assert isinstance(classes_of(table), Quantity)
    again = checked_predictions(table, classes_of(table))
    assert again.numbers is not None
    np.testing.assert_allclose(again.numbers.truth, [float(text) for text in table["label"]])
    np.testing.assert_allclose(again.numbers.predicted, [float(text) for text in table["predicted"]], rtol=1e-5)
    with pytest.raises(DataError, match=r"the model measures a number, and 1 labels are none: ripe"):
        checked_predictions(table.assign(label="ripe"), RIPENESS)


def test_a_report_has_errors_parts_of_the_range_and_nothing_of_classes() -> None:
    manifest, table = predicted_rows()
    limits = {"close": {"metric": "mean_absolute_error", "min": None, "max": 0.3}}
    chosen = params(**{**NUMBERS, "evaluate.satisficing": limits}).evaluate
    found = evaluation(table, manifest, RIPENESS, {}, "dev", chosen)
    assert set(THEIRS) < set(found.metrics["dev"])
    assert not {"accuracy", "calibration_error"} & set(found.metrics["dev"])
    assert found.broken == ["close"]
    assert found.per_class["images"].tolist() == [12] * 5
    assert found.per_class["label"].iloc[0].startswith("1 of 5: below ")
    assert found.per_class["low"].isna().all()  # fewer than 15 groups each
    assert len(found.confusion) == 60
    assert (found.confusion["actual"] == found.confusion["predicted"]).mean() > 0.5
    assert found.reliability.empty
    assert found.slices["error_rate"].isna().all()
    assert set(found.metrics["slices"]["source"]["web"]) == {"optimizing", "images"}
    assert found.words.startswith("mean_absolute_error: train 0.")


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("size", [1, 10])
def test_an_interval_is_that_of_the_logarithm_over_groups(name: str, size: int) -> None:
    """By hand: influences summed over groups, Student's quantile at Satterthwaite's degrees of freedom."""
    found, groups = seen(), np.arange(200) // size
    numbers = found.numbers
    assert numbers is not None
    errors = numbers.predicted - numbers.truth
    losses = np.abs(errors) if name == "mean_absolute_error" else errors**2
    influence = losses / losses.mean() - 1
    if name == "root_mean_squared_error":
        influence = influence / 2
    if name == "r2":
        squares = (numbers.truth - numbers.truth.mean()) ** 2
        influence = influence - (squares / squares.mean() - 1)
    sums = np.bincount(groups, weights=influence)
    variance = (sums**2).sum() * len(sums) / (len(sums) - 1) / 200**2
    freedom = max((sums**2).sum() ** 2 / (sums**4).sum() - 1, 5.0)
    reach = stats.t.isf(0.025, freedom) * np.sqrt(variance)
    value = metric(name).value(found)
    lost = 1 - value if name == "r2" else value
    ends = (lost * np.exp(-reach), lost * np.exp(reach))
    expected = (1 - ends[1], 1 - ends[0]) if name == "r2" else ends
    assert metric_interval(metric(name), found, pd.Series(groups)) == pytest.approx(expected)


def test_one_group_with_most_of_the_error_leaves_five_degrees_of_freedom() -> None:
    truth = np.zeros(40)
    predicted = np.where(np.arange(40) == 0, 100.0, 1.0)
    found = predictions_of_numbers(RIPENESS, truth, predicted)
    influence = predicted / predicted.mean() - 1
    reach = stats.t.isf(0.025, 5) * np.sqrt((influence**2).sum() * 40 / 39) / 40
    ends = (predicted.mean() * np.exp(-reach), predicted.mean() * np.exp(reach))
    assert metric_interval(metric("mean_absolute_error"), found, pd.Series(range(40))) == pytest.approx(ends)


def test_predictions_without_an_error_have_no_reach() -> None:
    truth = np.arange(20.0)
    found = predictions_of_numbers(RIPENESS, truth, truth)
    assert metric_interval(metric("mean_absolute_error"), found, pd.Series(range(20))) == (0, 0)
