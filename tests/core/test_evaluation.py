"""One report per split: metrics, the interval, limits, and whether the model is accepted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core.evaluation import confusion_rows, judge, measure_split
from pipeline.core.metrics import METRICS
from pipeline.errors import DataError
from pipeline.params import EvaluateParams

CLASSES = ("apple", "fig")


def evaluate(optimizing: str = "accuracy", **limits: dict[str, float | None]) -> EvaluateParams:
    values = {"seed": 1, "optimizing": optimizing, "bootstrap": 200, "satisficing": limits}
    return EvaluateParams.model_validate(values)


def predictions(matrix: list[list[int]], split: str = "dev") -> pd.DataFrame:
    """Images with this confusion matrix, each a group of its own."""
    pairs = [
        (label, predicted)
        for label, row in zip(CLASSES, matrix, strict=True)
        for predicted, count in zip(CLASSES, row, strict=True)
        for _ in range(count)
    ]
    frame = pd.DataFrame(pairs, columns=["label", "predicted"])
    return frame.assign(split=split, group=[f"{number:04}" for number in range(len(frame))])


UNEVEN = predictions([[80, 10], [5, 5]])


def test_split_is_measured_by_every_metric() -> None:
    measured = measure_split(UNEVEN, CLASSES, evaluate())
    assert list(measured) == [*METRICS, "low", "high", "images"]
    assert measured["images"] == 100
    assert measured["accuracy"] == pytest.approx(0.85)
    assert measured["balanced_accuracy"] == pytest.approx((80 / 90 + 5 / 10) / 2)
    assert measured["macro_f1"] == pytest.approx((2 * 80 / 175 + 2 * 5 / 25) / 2)
    assert measured["worst_class_recall"] == pytest.approx(0.5)


@pytest.mark.parametrize("optimizing", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_interval_is_that_of_the_optimizing_metric(optimizing: str) -> None:
    measured = measure_split(UNEVEN, CLASSES, evaluate(optimizing))
    assert measured["low"] < measured[optimizing] < measured["high"]


def test_interval_of_a_metric_over_few_images_is_wider() -> None:
    accuracy, balanced = (measure_split(UNEVEN, CLASSES, evaluate(name)) for name in ("accuracy", "balanced_accuracy"))
    assert balanced["high"] - balanced["low"] > 1.5 * (accuracy["high"] - accuracy["low"])


def test_split_names_the_resamples() -> None:
    dev, train = (measure_split(UNEVEN.assign(split=split), CLASSES, evaluate()) for split in ("dev", "train"))
    assert dev["accuracy"] == train["accuracy"]
    assert (dev["low"], dev["high"]) != (train["low"], train["high"])


def test_measuring_twice_gives_the_same() -> None:
    shuffled = UNEVEN.sample(frac=1, random_state=1)
    assert measure_split(shuffled, CLASSES, evaluate()) == measure_split(UNEVEN, CLASSES, evaluate())


def test_class_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(DataError, match="the model does not know the classes fig"):
        measure_split(UNEVEN, ("apple", "pear"), evaluate())


MEASURED = {"accuracy": 0.9, "balanced_accuracy": 0.7, "worst_class_recall": 0.5}


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        pytest.param({}, [], id="without limits every model is accepted"),
        pytest.param({"worst_class_recall": (0.5, None)}, [True], id="held"),
        pytest.param({"worst_class_recall": (0.6, None)}, [False], id="missed"),
        pytest.param({"model_megabytes": (None, 2.5)}, [True], id="a model of just that size"),
        pytest.param({"model_megabytes": (None, 2.4)}, [False], id="a model too large"),
        pytest.param({"accuracy": (0.8, None), "model_megabytes": (None, 1.0)}, [True, False], id="one of two"),
    ],
)
def test_model_is_accepted_when_all_limits_hold(limits: dict[str, tuple[Any, Any]], held: list[bool]) -> None:
    bounds = {name: {"min": least, "max": most} for name, (least, most) in limits.items()}
    report = judge(MEASURED, 2_500_000, evaluate("balanced_accuracy", **bounds))
    assert report["optimizing"] == 0.7
    assert [limit["held"] for limit in report["limits"].values()] == held
    assert report["accepted"] is all(held)


def test_report_tells_each_limit_by_its_value() -> None:
    report = judge(MEASURED, 2_500_000, evaluate(model_megabytes={"min": None, "max": 1.0}))
    assert report["limits"] == {"model_megabytes": {"value": 2.5, "held": False}}


def test_rows_of_the_confusion_plot_are_one_an_image_in_fixed_order() -> None:
    rows = confusion_rows(UNEVEN.astype({"label": "category"}).sample(frac=1, random_state=1))
    assert list(rows.columns) == ["actual", "predicted"]
    counts = rows.value_counts(sort=False)
    assert counts.to_dict() == {("apple", "apple"): 80, ("apple", "fig"): 10, ("fig", "apple"): 5, ("fig", "fig"): 5}
    assert np.array_equal(rows, rows.sort_values(["actual", "predicted"]))
