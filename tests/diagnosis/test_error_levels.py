"""What an error level is, and how sure its images make it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.error_levels import (
    HUMAN,
    around,
    differences,
    given,
    levels_of,
    measured,
    metric_of_errors,
    wilson,
)
from pipeline.errors import DataError
from tests.diagnosis.cases import CLASSES, evaluate, levels, predictions


@pytest.mark.parametrize(
    ("optimizing", "error"), [("accuracy", 0.1), ("balanced_accuracy", 0.1), ("macro_f1", 1 - (40 / 44 + 32 / 36) / 2)]
)
def test_error_is_what_the_optimizing_metric_lacks(optimizing: str, error: float) -> None:
    labels, called = ["apple"] * 20 + ["fig"] * 20, ["apple"] * 20 + ["apple"] * 4 + ["fig"] * 16
    frame = pd.DataFrame({"label": labels, "predicted": called, "group": [str(number) for number in range(40)]})
    splits = pd.concat([frame.assign(split=split) for split in ("train", "train_dev", "dev")])
    found = levels_of(splits, evaluate(optimizing))
    assert [level.error for level in found.values()] == pytest.approx([error] * 3)
    assert {len(level.resampled) for level in found.values()} == {300}


@pytest.mark.parametrize(
    "optimizing", ["log_loss", "matthews_correlation", {"name": "mean_cost", "costs": {}, "otherwise": 2.0}], ids=str
)
def test_errors_are_counted_where_the_optimizing_metric_is_no_share(optimizing: Any) -> None:
    frame = predictions(train=(40, 2), train_dev=(40, 4), dev=(40, 8))
    assert [level.error for level in levels_of(frame, evaluate(optimizing)).values()] == pytest.approx([0.05, 0.1, 0.2])


def test_splits_without_predictions_are_named() -> None:
    with pytest.raises(DataError, match=r"^no predictions of train_dev, dev: run `dvc repro evaluate`$"):
        levels_of(predictions(train=(20, 1), test=(20, 1)), evaluate())


def test_a_given_level_has_no_interval_and_no_images() -> None:
    human = given(HUMAN, 0.02)
    assert (human.error, human.low, human.high, human.images) == (0.02, 0.02, 0.02, None)
    assert around(human, 0.001) == (0.02, 0.02)


def test_images_without_any_mistake_leave_room_for_doubt() -> None:
    found = levels(train=(1000, 0), train_dev=(20, 0), dev=(20, 20))
    assert found["train"].low == 0
    assert 0.001 < found["train"].high < 0.005
    # Clopper and Pearson: 0.025 ** (1 / 20).
    assert found["train_dev"].high == pytest.approx(1 - 0.8316, abs=0.001)
    assert found["dev"].low == pytest.approx(0.8316, abs=0.001)
    few = levels(train=(1000, 0), train_dev=(14, 0), dev=(20, 20))["train_dev"]
    assert (few.low, few.high) == (0, 1)


@pytest.mark.parametrize(
    ("share", "images", "ends"),
    # scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    [(0.0, 10, (0.0, 0.27753)), (0.1, 100, (0.05523, 0.17437)), (1.0, 50, (0.92865, 1.0))],
)
def test_wilson_interval_is_that_of_textbooks(share: float, images: int, ends: tuple[float, float]) -> None:
    assert wilson(share, images, 0.05) == pytest.approx(ends, abs=1e-5)


def test_copies_of_an_image_make_no_level_surer() -> None:
    frame = predictions(dev=(200, 20)).assign(split="dev")
    ten = pd.concat([frame] * 10)
    metric = metric_of_errors(evaluate(), CLASSES)
    once, copied = (measured("dev", each, metric, CLASSES, evaluate()) for each in (frame, ten))
    assert copied.images == 2000
    assert copied.effective == pytest.approx(once.effective, rel=0.01)
    assert copied.effective < 300
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.002)
    assert np.array_equal(copied.resampled, once.resampled)


def test_levels_of_the_same_groups_are_paired_and_one_without_errors_is_not() -> None:
    frame = predictions(dev=(200, 40))
    metric = metric_of_errors(evaluate(), CLASSES)
    right = frame.assign(predicted=frame["label"])
    some = frame.assign(predicted=frame["label"].where(frame.index > 20, frame["predicted"]))
    level, same, none, part = (
        measured("dev", each, metric, CLASSES, evaluate()) for each in (frame, frame, right, some)
    )
    drawn, correlation = differences(level, same, metric, evaluate())
    assert correlation == pytest.approx(1)
    assert np.abs(drawn).max() < 1e-12
    assert differences(level, none, metric, evaluate())[1] == 0
    # 21 of 40 errors are the same: the covariance of shares over their deviations.
    expected = 0.105 * 0.8 / np.sqrt(0.105 * 0.895 * 0.2 * 0.8)
    assert differences(level, part, metric, evaluate())[1] == pytest.approx(expected, abs=0.1)
    apart = measured("dev", frame.assign(group="x" + frame["group"]), metric, CLASSES, evaluate())
    assert differences(level, apart, metric, evaluate())[1] == 0
