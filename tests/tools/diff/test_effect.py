"""The parts of a metric's change: of other dev images, and of another model."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from pipeline.tools.diff.diff import effect_lines
from pipeline.tools.diff.effect import Effect, metric_change
from tests.examples import params

ACCURACY = params(**{"evaluate.optimizing": "accuracy"}).evaluate.optimizing
CLASSES = np.array(["apple", "fig"])


def images(first: int, last: int, wrong: set[int], split: str = "dev") -> pd.DataFrame:
    """Predictions of images by number, each in a group of its own."""
    numbers = np.arange(first, last)
    labels = numbers % 2
    predicted = np.where(np.isin(numbers, sorted(wrong)), 1 - labels, labels)
    names = [f"web/{number:04}.jpg" for number in numbers]
    frame = pd.DataFrame({"id": names, "group": names, "split": split, "label": CLASSES[labels]})
    shares = {f"probability_{name}": np.where(CLASSES[predicted] == name, 0.9, 0.1) for name in CLASSES}
    return frame.assign(predicted=CLASSES[predicted], confidence=0.9, **shares)


def never(ids: list[str]) -> pd.DataFrame:
    raise AssertionError(ids)


def parts_sum(effect: Effect) -> float:
    return effect.by_dev.value + effect.by_model.value + effect.rest


def test_on_the_same_dev_all_is_the_model_s() -> None:
    effect = metric_change(images(0, 200, set(range(40))), images(0, 200, set(range(20))), ACCURACY, never)
    assert (effect.by_dev.value, effect.rest) == (0, 0)
    assert effect.by_model.value == pytest.approx(0.1)
    assert effect.by_model.low is not None
    assert effect.by_model.high is not None
    assert 0 < effect.by_model.low < 0.1 < effect.by_model.high
    assert "so all of it comes from the model: (+" in effect_lines(effect, "main")[1]


def test_easier_dev_images_are_not_the_model_s_merit() -> None:
    """The same model; the wrong half of dev went, and easy images came."""
    before, after = images(0, 200, set(range(40))), images(40, 300, set())
    asked: list[str] = []

    def predict(ids: list[str]) -> pd.DataFrame:
        asked.extend(ids)
        return images(200, 300, set())

    effect = metric_change(before, after, ACCURACY, predict)
    assert effect.by_dev.value == pytest.approx(0.2)
    assert effect.by_model.value == pytest.approx(0)
    assert (len(asked), effect.predicted, effect.common) == (100, 100, 160)
    assert parts_sum(effect) == pytest.approx(effect.after - effect.before)


def test_what_the_earlier_model_was_trained_on_is_left_out() -> None:
    train = images(200, 250, set(), "train")
    before = pd.concat([images(0, 200, set(range(20))), train])
    after = images(100, 250, set(range(200, 225)))
    effect = metric_change(before, after, ACCURACY, never)
    assert effect.left_out == 50
    assert effect.by_model.value == pytest.approx(0)
    assert effect.rest == pytest.approx(-1 / 6)
    assert parts_sum(effect) == pytest.approx(effect.after - effect.before)
    assert "50 current dev images that the model of main was trained on" in effect_lines(effect, "main")[-1]


def test_images_of_a_group_that_was_trained_on_are_left_out_too() -> None:
    train = images(300, 301, set(), "train").assign(group="web/0150.jpg")
    effect = metric_change(pd.concat([images(0, 200, set()), train]), images(0, 200, {150}), ACCURACY, never)
    assert effect.left_out == 1


def test_another_label_counts_for_both_models() -> None:
    before = images(0, 100, set())
    after = before.assign(label=CLASSES[::-1][(np.arange(100) % 2)])
    effect = metric_change(before, after, ACCURACY, never)
    assert effect.by_dev.value == -1
    assert effect.by_model.value == 0
    assert effect.common == 0


def test_a_class_that_the_earlier_model_does_not_know_is_its_error() -> None:
    before, after = images(0, 100, set()), images(0, 100, set())
    after.loc[:9, ["label", "predicted"]] = "pear"
    after = after.assign(probability_pear=np.where(after["predicted"] == "pear", 0.9, 0.05))
    effect = metric_change(before, after, ACCURACY, never)
    assert effect.by_dev.value == pytest.approx(-0.1)
    assert effect.by_model.value == pytest.approx(0.1)


def test_few_groups_have_no_interval() -> None:
    effect = metric_change(images(0, 10, {1}), images(0, 10, set()), ACCURACY, never)
    assert (effect.by_model.low, effect.by_model.high) == (None, None)


def _given(rows: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    return rows


def test_intervals_hold_the_truth_in_most_samples() -> None:
    """Both models are right on 80 %; the second dev is drawn from harder images, on which both are right on 60 %."""
    generator = np.random.default_rng(0)
    held = {"dev": 0, "model": 0}
    for _ in range(200):
        wrong = {int(n) for n in np.flatnonzero(generator.random(150) < 0.2)}
        hard = {int(n) for n in 150 + np.flatnonzero(generator.random(150) < 0.4)}
        other = {int(n) for n in 150 + np.flatnonzero(generator.random(150) < 0.4)}
        new = images(150, 300, hard)
        effect = metric_change(images(0, 150, wrong), images(150, 300, other), ACCURACY, partial(_given, new))
        for name, part, truth in (("dev", effect.by_dev, -0.2), ("model", effect.by_model, 0.0)):
            assert part.low is not None
            assert part.high is not None
            held[name] += part.low <= truth <= part.high
    assert held["dev"] >= 180
    assert held["model"] >= 180
