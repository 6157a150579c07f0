"""Classes and slices that fail are found, and chance is not taken for one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from pipeline.diagnosis.diagnosis import of_predictions
from pipeline.diagnosis.error_levels import levels_of
from pipeline.diagnosis.failing_slices import hidden, slice_name
from pipeline.diagnosis.findings import CLASS, HARD_SLICE, HIDDEN, LEAK, SLICE, Finding, more_wrong, sure, units
from pipeline.manifest import SPLIT
from tests.diagnosis.cases import diagnosing, run_of
from tests.examples import with_columns

CLASSES = ("apple", "banana", "cherry", "date", "elder")


def seen(
    images: int = 600, seed: int = 0, error: float = 0.05, **chances: dict[str, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and manifest of dev and train: wrong by chance, more so for the values of columns that are named."""
    generator = np.random.default_rng(seed)
    names = [f"{split}/{number:05}" for split in ("dev", "train", "train_dev") for number in range(images)]
    frame = pd.DataFrame({"id": names, "group": names, "split": [name.split("/")[0] for name in names]})
    frame["label"] = generator.choice(CLASSES, len(frame), p=[0.3, 0.3, 0.2, 0.15, 0.05])
    frame["source"] = generator.choice(["phone", "kiosk"], len(frame))
    frame["role"] = "production"
    frame["brightness"] = generator.uniform(0, 255, len(frame)).astype(np.float32)
    frame["width"] = frame["height"] = generator.choice([100, 200, 300, 400], len(frame))
    frame["meta_light"] = generator.choice(["day", "night"], len(frame))
    risk = np.full(len(frame), error)
    for column, values in chances.items():
        for value, chance in values.items():
            risk[(frame[column].astype(str) == value).to_numpy()] = chance
    wrong = generator.random(len(frame)) < risk
    other = frame["label"].map(dict(zip(CLASSES, (*CLASSES[1:], CLASSES[0]), strict=True)))
    called = frame.assign(predicted=frame["label"].where(~wrong, other), confidence=np.float32(1 - error))
    return called[["id", "group", "split", "label", "predicted", "confidence"]], with_columns(frame, SPLIT).assign(
        meta_light=frame["meta_light"], pixels=frame["id"]
    )


def findings(frames: tuple[pd.DataFrame, pd.DataFrame], **changes: Any) -> list[Finding]:
    evaluate = run_of(**changes).evaluate
    return of_predictions(levels_of(frames[0], evaluate), *frames, diagnosing(relevant=0.02), evaluate)


@pytest.mark.parametrize(
    ("chances", "name", "subject"),
    [
        pytest.param({"label": {"elder": 0.5}}, CLASS, "elder", id="a class"),
        pytest.param({"source": {"kiosk": 0.2}}, SLICE, "source=kiosk", id="a source"),
        pytest.param({"meta_light": {"night": 0.2}}, SLICE, "meta_light=night", id="a column of the user's"),
        pytest.param({"width": {"100": 0.3}}, SLICE, "shorter_side=1 of 4", id="small pictures"),
    ],
)
def test_what_fails_is_named(chances: dict[str, Any], name: str, subject: str) -> None:
    found = [each for each in findings(seen(**chances)) if each.name in {CLASS, SLICE}]
    assert [(each.name, each.subject) for each in found] == [(name, subject)]
    (only,) = found
    assert only.p is not None
    assert only.p < 0.001
    assert only.figures["low"] < only.figures["error"] < only.figures["high"]  # type: ignore[operator]
    assert 0 < only.gain < 0.2
    assert subject.split("=", maxsplit=1)[0] in only.words


def test_chance_is_seldom_taken_for_a_finding() -> None:
    """80 healthy runs of about 25 tests each: at most 2.5 % of runs, with a chance of 99.9 % fewer than 8 of 80."""
    alarms = sum(bool(findings(seen(150, seed))) for seed in range(80))
    assert alarms < 8


def test_a_class_that_the_metric_hides_is_said_to_be_hidden_unless_a_limit_guards_it() -> None:
    frames = seen(label={"elder": 0.35})
    free: dict[str, Any] = {"evaluate.satisficing": {}}
    assert [each.subject for each in findings(frames, **free) if each.name == HIDDEN] == ["elder"]
    guards: list[dict[str, Any]] = [
        {},  # params.yaml has a limit on worst_class_recall
        {
            "evaluate.satisficing": {
                "e": {"metric": {"name": "class_recall", "label": "elder"}, "min": 0.5, "max": None}
            }
        },
        {**free, "evaluate.optimizing": "balanced_accuracy"},
    ]
    for guard in guards:
        assert not [each for each in findings(frames, **guard) if each.name == HIDDEN]


def test_a_held_out_split_that_is_better_than_what_was_learnt_is_suspicious() -> None:
    frames = seen(600, split={"train": 0.2})
    found = [each for each in findings(frames) if each.name == LEAK]
    assert {each.subject for each in found} == {"dev", "train_dev"}
    assert "below that of the same kind of images in train" in found[0].words


def test_groups_count_once() -> None:
    """A burst of 40 pictures of one wrong thing is one mistake."""
    predictions, manifest = seen(300)
    burst = predictions["id"].isin(predictions["id"][:40])
    predictions.loc[burst, ["label", "group"]] = ["elder", "burst"]
    predictions.loc[burst, "predicted"] = "apple"
    assert not [each for each in findings((predictions, manifest)) if each.name == CLASS]
    assert units(pd.Series([True, True, False]), pd.Series(["a", "a", "b"])) == (2, 1)


@pytest.mark.parametrize("table", [((20, 8), (200, 20)), ((5, 5), (50, 1)), ((30, 0), (70, 3)), ((10, 10), (10, 10))])
def test_chance_is_that_of_fishers_test(table: tuple[tuple[int, int], tuple[int, int]]) -> None:
    (size, wrong), (others, extra_columns) = table
    expected = fisher_exact(
        [[wrong, size - wrong], [extra_columns, others - extra_columns]], alternative="greater"
    ).pvalue
    assert more_wrong(*table) == pytest.approx(expected, rel=1e-6)


def test_many_tests_ask_for_more_of_each() -> None:
    """Holm's: the smallest p against level / tests, the next against level / (tests - 1), until one fails."""
    made = [Finding(CLASS, "", p=p, subject=str(p)) for p in (0.0001, 0.0012, 0.003)]
    assert [each.p for each in sure(made, 20)] == [0.0001, 0.0012]
    assert [each.p for each in sure(made, 300)] == []
    assert len(sure([Finding(LEAK, ""), *made], 300)) == 1


@pytest.mark.parametrize(("values", "told"), [(20, True), (21, False)])
def test_a_column_of_many_values_names_images_and_no_kind_of_them(values: int, told: bool) -> None:
    predictions, manifest = seen(900)
    number = np.arange(len(manifest)) % values
    wrong = (number == 3) & (np.random.default_rng(1).random(len(manifest)) < 0.8)
    other = predictions["label"].map(lambda label: "fig" if label != "fig" else "apple")
    predictions = predictions.assign(predicted=predictions["predicted"].where(~wrong, other))
    manifest = manifest.assign(meta_light=[f"shop {one}" for one in number])
    found = {each.subject for each in findings((predictions, manifest)) if each.name == SLICE}
    assert ("meta_light=shop 3" in found) == told


def test_what_a_hidden_class_would_gain_is_told_in_points() -> None:
    shown = findings(seen(label={"elder": 0.35}), **{"evaluate.satisficing": {}})
    (found,), (failing,) = ([each for each in shown if each.name == name] for name in (HIDDEN, CLASS))
    assert failing.gain == pytest.approx(float(failing.figures["excess"]) * float(failing.figures["images"]) / 600)
    assert found.words.endswith(f"dev's error would fall by only {100 * failing.gain:.1f} points")


@pytest.mark.parametrize(
    ("column", "asked", "name"),
    [("shorter_side", [], HARD_SLICE), ("shorter_side", ["shorter_side"], SLICE), ("meta_light", [], SLICE)],
)
def test_a_slice_that_nobody_asked_for_is_a_note_unless_it_could_gain_what_is_worth_work(
    column: str, asked: list[str], name: str
) -> None:
    """A quarter of dev with 25 points more could gain six: worth work if that is five points, not if it is 15."""
    fails: dict[str, Any] = {"width": {"100": 0.3}} if column == "shorter_side" else {"meta_light": {"night": 0.25}}
    predictions, manifest = seen(**fails)
    evaluate = run_of(**{"evaluate.slices": asked}).evaluate
    levels = levels_of(predictions, evaluate)
    found = {
        relevant: of_predictions(levels, predictions, manifest, diagnosing(relevant=relevant), evaluate)
        for relevant in (0.05, 0.15)
    }
    named = {
        relevant: [each.name for each in those if each.subject.startswith(column)] for relevant, those in found.items()
    }
    assert named == {0.05: [SLICE], 0.15: [name]}


def test_of_slices_that_fail_no_more_than_five_are_told_the_worst_first() -> None:
    predictions, manifest = seen(2000)
    number = np.arange(len(manifest)) % 18
    wrong = (number < 7) & (np.random.default_rng(1).random(len(manifest)) < 0.9 - 0.1 * number)
    other = predictions["label"].map(lambda label: "fig" if label != "fig" else "apple")
    predictions = predictions.assign(predicted=predictions["predicted"].where(~wrong, other))
    manifest = manifest.assign(meta_shop=[f"shop {one}" for one in number])
    told = [each.subject for each in findings((predictions, manifest)) if each.name == SLICE]
    assert told == [f"meta_shop=shop {one}" for one in range(5)]


@pytest.mark.parametrize(("error", "told"), [(0.33, True), (0.34, False)])
def test_a_class_hides_where_its_error_is_more_than_three_times_that_of_all(error: float, told: bool) -> None:
    failing = Finding(CLASS, "", {"error": 1.0}, gain=0.01, subject="elder")
    evaluate = run_of(**{"evaluate.satisficing": {}}).evaluate
    assert bool(hidden([failing], error, evaluate, 0.02)) == told


def test_a_cluster_without_facts_in_common_has_its_number() -> None:
    rows = pd.DataFrame({"label": ["fig", "kiwi", "pear", "plum"] * 2})
    inside = pd.Series([True] * 4 + [False] * 4)
    assert slice_name(rows, "cluster", "3", inside) == "images of dev that look alike (cluster 3)"
    told = rows.assign(**{"by meta_light": ["night"] * 4 + ["day"] * 4})
    assert slice_name(told, "cluster", "3", inside) == "images of dev that look alike (meta_light night)"
