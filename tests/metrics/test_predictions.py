"""Predictions as numbers: classes known, probabilities finite."""

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.metrics.predictions import checked_predictions, class_codes, classes_of
from pipeline.problem.quantities import Quantity

CLASSES = ("apple", "fig", "pear", "quince")


def test_unknown_classes_are_all_named_with_the_known_ones() -> None:
    message = r"^the model does not know the classes kiwi, plum: it was trained on apple, fig, pear, quince\. Train it"
    with pytest.raises(DataError, match=message):
        class_codes(np.array(["plum", "apple", "kiwi", "plum"]), CLASSES)


def test_classes_are_those_of_labels_and_predictions() -> None:
    frame = pd.DataFrame({"label": ["pear", "apple"], "predicted": ["fig", "pear"]}, dtype="category")
    assert classes_of(frame) == ("apple", "fig", "pear")


def test_classes_that_have_a_probability_count_although_nobody_names_them() -> None:
    frame = pd.DataFrame({"label": ["b"], "predicted": ["b"], "probability_a": [0.0], "probability_b": [1.0]})
    assert classes_of(frame) == ("a", "b")
    seen = checked_predictions(frame, ("a", "b"))
    assert seen.labels.tolist() == [1]
    np.testing.assert_array_equal(seen.probabilities, [[0.0, 1.0]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_numbers_are_named(value: float) -> None:
    frame = pd.DataFrame({"id": ["x", "y"], "label": "a", "predicted": "a", "probability_a": [1.0, value]})
    message = r"^the model predicts NaN or infinity for 1 of 2 images \(y\): .* smaller train\.learning_rate$"
    with pytest.raises(DataError, match=message):
        checked_predictions(frame, ("a",))


def test_predictions_without_the_number_are_refused() -> None:
    frame = pd.DataFrame({"label": ["1.5"], "predicted": ["2.0"], "confidence": [1.0]})
    with pytest.raises(DataError, match=r"^the predictions lack the column number_weight: run `dvc repro evaluate`$"):
        checked_predictions(frame, Quantity(("weight",)))
