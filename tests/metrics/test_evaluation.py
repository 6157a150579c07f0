"""One report on a model: metrics of each split, intervals, slices, limits, and whether the model is accepted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.metrics.evaluation import Evaluation, confusion_rows, evaluation, figure, measure_split
from pipeline.metrics.limits import check_limits, holds, needs_latency, without_latency
from pipeline.metrics.measures import METRICS
from pipeline.stages.evaluate.params import EvaluateParams
from tests.examples import params

CLASSES = ("apple", "fig")


def evaluate(optimizing: Any = "accuracy", slices: tuple[str, ...] = (), **limits: dict[str, Any]) -> EvaluateParams:
    changes = {"optimizing": optimizing, "bootstrap": 200, "satisficing": limits, "slices": list(slices)}
    return params(**{f"evaluate.{name}": value for name, value in changes.items()}).evaluate


def limit(metric: Any, least: float | None = None, most: float | None = None) -> dict[str, Any]:
    return {"metric": metric, "min": least, "max": most}


def predictions(matrix: list[list[int]], split: str = "dev", classes: tuple[str, ...] = CLASSES) -> pd.DataFrame:
    """Images with this confusion matrix, each a group of its own, the model 90 % sure of each."""
    pairs = [
        (label, predicted)
        for label, row in zip(classes, matrix, strict=True)
        for predicted, count in zip(classes, row, strict=True)
        for _ in range(count)
    ]
    frame = pd.DataFrame(pairs, columns=["label", "predicted"])
    shares = {
        f"probability_{name}": np.where(frame["predicted"] == name, 0.9, 0.1 / (len(classes) - 1)) for name in classes
    }
    ids = [f"{split}{number:04}" for number in range(len(frame))]
    return frame.assign(split=split, id=ids, group=ids, confidence=np.float32(0.9), **shares)


UNEVEN = predictions([[80, 10], [5, 5]])


def report(
    frame: pd.DataFrame, rules: EvaluateParams, facts: Mapping[str, float] | None = None, /, **columns: Any
) -> Evaluation:
    """The report on predictions of images that have these further columns."""
    manifest = pd.DataFrame({"source": "phone", **columns}, index=frame.index)
    return evaluation(frame, manifest, CLASSES, facts or {"model_megabytes": 2.5}, "dev", rules)


def test_split_is_measured_by_every_metric() -> None:
    measured = measure_split(UNEVEN, CLASSES, evaluate())
    extra_columns = ["optimizing", "low", "high", "images", "calibration_error"]
    plain = [name for name, row in METRICS.items() if set(row.params.model_fields) == {"name"} and row.fits(CLASSES)]
    assert list(measured) == [*plain, *extra_columns]
    assert measured["images"] == 100
    assert measured["accuracy"] == pytest.approx(0.85)
    assert measured["balanced_accuracy"] == pytest.approx((80 / 90 + 5 / 10) / 2)
    assert measured["macro_f1"] == pytest.approx((2 * 80 / 175 + 2 * 5 / 25) / 2)
    assert measured["worst_class_recall"] == pytest.approx(0.5)
    assert measured["log_loss"] == pytest.approx(-0.85 * np.log(0.9) - 0.15 * np.log(0.1))
    assert measured["calibration_error"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    "optimizing",
    [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "log_loss",
        "macro_pr_auc",
        {"name": "class_recall", "label": "apple"},
    ],
    ids=str,
)
def test_interval_is_that_of_the_optimizing_metric(optimizing: Any) -> None:
    measured = measure_split(UNEVEN, CLASSES, evaluate(optimizing))
    low, value, high = (float(measured[name] or 0) for name in ("low", "optimizing", "high"))
    assert low < value < high


def test_interval_of_a_metric_over_few_images_is_wider() -> None:
    accuracy, balanced = (measure_split(UNEVEN, CLASSES, evaluate(name)) for name in ("accuracy", "balanced_accuracy"))
    wide, narrow = (float(one["high"] or 0) - float(one["low"] or 0) for one in (balanced, accuracy))
    assert wide > 1.5 * narrow


def test_a_metric_of_too_few_independent_groups_has_no_interval_and_the_words_say_so() -> None:
    """Ten images of figs; and a hundred images of ten groups."""
    rare = measure_split(UNEVEN, CLASSES, evaluate({"name": "class_recall", "label": "fig"}))
    assert (rare["low"], rare["high"]) == (None, None)
    few = UNEVEN.assign(group=[str(number % 14) for number in range(len(UNEVEN))])
    assert measure_split(few, CLASSES, evaluate())["low"] is None
    assert "no interval: fewer than 15 independent groups" in report(few, evaluate()).words


def test_measuring_twice_gives_the_same() -> None:
    shuffled = UNEVEN.sample(frac=1, random_state=1)
    assert measure_split(shuffled, CLASSES, evaluate()) == pytest.approx(measure_split(UNEVEN, CLASSES, evaluate()))


def test_class_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(DataError, match="the model does not know the classes fig"):
        measure_split(UNEVEN, ("apple", "pear"), evaluate())


def test_optimizing_metric_without_its_class_is_named_with_the_split() -> None:
    without = predictions([[9, 1], [0, 0]], "train_dev")
    with pytest.raises(DataError, match="class_recall_fig is not defined on train_dev"):
        measure_split(without, CLASSES, evaluate({"name": "class_recall", "label": "fig"}))


def test_dev_of_one_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"^dev has images of one class only \(apple\), .*split\.min_per_class"):
        report(predictions([[9, 1], [0, 0]]), evaluate())


def test_report_has_every_split_and_judges_one() -> None:
    frame = pd.concat([predictions([[50, 0], [0, 50]], "train"), UNEVEN], ignore_index=True)
    found = report(frame, evaluate(worst=limit("worst_class_recall", 0.6)))
    assert found.metrics["train"]["accuracy"] == 1.0
    assert found.metrics["dev"]["accuracy"] == found.metrics["optimizing"] == pytest.approx(0.85)
    assert found.metrics["limits"] == {"worst": {"value": 0.5, "held": False}}
    assert found.metrics["accepted"] is False
    assert found.broken == ["worst"]
    assert found.words.startswith("accuracy: train 1.0000 (0.9638 to 1.0000), dev 0.8500 (")
    assert found.words.endswith("; rejected, it breaks worst")
    assert len(found.confusion) == found.per_class["images"].sum() == found.reliability["images"].sum() == 100


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        pytest.param({}, [], id="without limits every model is accepted"),
        pytest.param({"a": limit("worst_class_recall", 0.5)}, [True], id="held"),
        pytest.param({"a": limit("worst_class_recall", 0.51)}, [False], id="missed"),
        pytest.param({"a": limit("model_megabytes", None, 2.5)}, [True], id="a model of just that size"),
        pytest.param({"a": limit("model_megabytes", None, 2.4)}, [False], id="a model too large"),
        pytest.param({"a": limit("accuracy", 0.8), "b": limit("model_megabytes", None, 1)}, [True, False], id="one"),
        pytest.param({"a": limit({"name": "class_recall", "label": "apple"}, 0.8)}, [True], id="a class's recall"),
        pytest.param({"a": limit("log_loss", None, 0.4)}, [False], id="a loss"),
        pytest.param({"a": limit("latency_p95_ms", None, 20)}, [True], id="time"),
        pytest.param({"a": limit("accuracy", 0.8, 0.9)}, [True], id="between"),
    ],
)
def test_model_is_accepted_when_all_limits_hold(limits: dict[str, Any], held: list[bool]) -> None:
    facts = {"model_megabytes": 2.5, "latency_p95_ms": 12.0}
    found = report(UNEVEN, evaluate("balanced_accuracy", **limits), facts).metrics
    assert [each["held"] for each in found["limits"].values()] == held
    assert found["accepted"] is all(held)


LIGHT = ["night" if number % 10 == 0 else "day" for number in range(100)]
NIGHT = {"name": "slice_error", "column": "meta_light", "value": "night"}


def test_slices_are_measured_one_by_one() -> None:
    found = report(UNEVEN, evaluate(slices=("meta_light",)), meta_light=LIGHT)
    wrong = (UNEVEN["label"] != UNEVEN["predicted"]).to_numpy()
    night = np.array(LIGHT) == "night"
    assert found.slices["bar"].tolist() == ["dev source=phone", "dev meta_light=day", "dev meta_light=night"]
    assert found.slices["error_rate"].tolist() == pytest.approx([0.15, wrong[~night].mean(), wrong[night].mean()])
    assert found.metrics["slices"]["meta_light"]["night"] == {
        "error_rate": pytest.approx(wrong[night].mean()),
        "images": 10,
    }
    # At night there are ten images: too few for an interval.
    told = found.slices[found.slices["value"] != "night"]
    assert (told["low"].le(told["optimizing"]) & told["optimizing"].le(told["high"])).all()
    assert found.slices.loc[found.slices["value"] == "night", ["low", "high"]].isna().all(axis=None)


def test_numbers_and_times_are_sliced_by_quarters() -> None:
    brightness = np.linspace(0.9, 0.1, 100)
    times = pd.Series(pd.date_range("2026-01-01", periods=100, tz="UTC")).where(np.arange(100) >= 20)
    found = report(UNEVEN, evaluate(slices=("brightness", "captured_at")), brightness=brightness, captured_at=times)
    images = found.slices.set_index("bar")["images"]
    assert [images[f"dev brightness={number} of 4"] for number in (1, 2, 3, 4)] == [25] * 4
    assert [images[f"dev captured_at={value}"] for value in ("", "1 of 4", "4 of 4")] == [20, 20, 20]
    darkest = found.metrics["slices"]["brightness"]["1 of 4"]["error_rate"]
    wrong = (UNEVEN["label"] != UNEVEN["predicted"]).to_numpy()
    assert darkest == pytest.approx(wrong[75:].mean())


def test_truths_are_sliced_by_yes_and_no() -> None:
    dark = np.arange(100) % 4 == 0
    found = report(UNEVEN, evaluate(slices=("dark",)), dark=dark)
    images = found.slices.set_index("bar")["images"]
    assert [images[f"dev dark={value}"] for value in ("no", "yes")] == [75, 25]


def test_limit_on_a_slice_needs_no_entry_among_slices() -> None:
    found = report(UNEVEN, evaluate(night=limit(NIGHT, None, 0.05)), meta_light=LIGHT)
    assert found.broken == ["night"]
    assert "meta_light" in found.metrics["slices"]


def test_limits_on_what_has_no_images_are_all_named() -> None:
    rules = evaluate(
        dusk=limit({**NIGHT, "value": "dusk"}, None, 0.1), fig=limit({"name": "class_recall", "label": "fig"}, 0.5)
    )
    frame = predictions([[90, 5, 0], [0, 0, 0], [0, 0, 5]], classes=("apple", "fig", "pear"))
    with pytest.raises(DataError) as caught:
        evaluation(
            frame, pd.DataFrame({"source": "x", "meta_light": LIGHT}), ("apple", "fig", "pear"), {}, "dev", rules
        )
    assert str(caught.value) == (
        "evaluate.satisficing.dusk: dev has no images with meta_light 'dusk', it has 'day' (90), 'night' (10); "
        "evaluate.satisficing.fig: dev has no images of the class 'fig': "
        "add such images to the production sources, or remove the limit"
    )


def test_columns_that_cannot_be_sliced_by_are_all_named() -> None:
    rules = evaluate(slices=("light", "width", "kind", "many"))
    many = pd.concat([UNEVEN, UNEVEN.assign(split="train")], ignore_index=True)
    with pytest.raises(ParamsError) as caught:
        report(many, rules, meta_light=LIGHT * 2, width=5, many=[f"{number:04}" for number in range(200)])
    assert str(caught.value) == (
        "evaluate.slices and limits on slices: the manifest has no column 'light', did you mean meta_light?; "
        "the manifest has no column 'kind'; the column 'many' has 200 values; a column to slice by has at most 100. "
        "There are many, meta_light, source, width"
    )


def test_rows_of_the_confusion_plot_are_one_an_image_in_fixed_order() -> None:
    rows = confusion_rows(UNEVEN.astype({"label": "category"}).sample(frac=1, random_state=1))
    assert list(rows.columns) == ["actual", "predicted"]
    counts = rows.value_counts(sort=False)
    assert counts.to_dict() == {("apple", "apple"): 80, ("apple", "fig"): 10, ("fig", "apple"): 5, ("fig", "fig"): 5}
    assert np.array_equal(rows, rows.sort_values(["actual", "predicted"]))


def test_a_limit_at_its_bound_holds() -> None:
    """Recalls of .6, .7 and .8 have the mean .7, which floating point puts below."""
    classes = ("apple", "fig", "pear")
    frame = predictions([[6, 4, 0], [0, 7, 3], [2, 0, 8]], classes=classes)
    assert np.mean([0.6, 0.7, 0.8]) < 0.7
    for bound, held in ((0.7, True), (0.7001, False)):
        rules = evaluate(mean=limit("balanced_accuracy", bound))
        assert check_limits(frame, classes, {}, rules)["mean"].held is held


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""), (0.0, "0.0000"), (5e-4, "0.0005"), (4.9876e-4, "0.0004988"), (-4.9876e-4, "-0.0004988"),
        (9999.0, "9999.0000"), (12345.6, "1.235e+04"), (10000.0, "1e+04"), (-10000.0, "-1e+04"),
    ],
)  # fmt: skip
def test_values_are_shown_with_digits_that_say_something(value: float | None, shown: str) -> None:
    assert figure(value) == shown


def test_time_is_measured_only_for_a_limit_on_it() -> None:
    timed = evaluate(time=limit("latency_p95_ms", None, 20), size=limit("model_megabytes", None, 3))
    assert needs_latency(timed)
    rest = without_latency(timed)
    assert (list(rest.satisficing), needs_latency(rest)) == (["size"], False)


def test_a_bound_holds_within_roundings_of_the_value() -> None:
    (large,) = evaluate(size=limit("model_megabytes", 1000, 1000)).satisficing.values()
    assert holds(large, 1000 + 9e-7)
    assert holds(large, 1000 - 9e-7)
    assert not holds(large, 1000 + 3e-6)
    assert not holds(large, 1000 - 3e-6)
