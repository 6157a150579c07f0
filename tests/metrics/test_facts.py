"""Facts of images as a few values: texts, numbers in bins, rare values together, missing ones as a value."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.metrics.facts import NONE, OTHERS, coded, fact_names
from pipeline.metrics.matching import FACTS


def coded_values(values: list[str], classes: int = 2) -> list[str] | None:
    """What each row's value is counted as."""
    found = coded(pd.DataFrame({"meta_of": values}), "meta_of", classes)
    return None if found is None else [found.names[code] for code in found.codes]


def test_few_texts_are_taken_as_they_are_and_a_missing_one_is_a_value() -> None:
    assert coded_values(["night", "day", "", "day", "night", ""]) == ["night", "day", NONE, "day", "night", NONE]


def test_one_value_alone_and_nearly_as_many_as_images_say_nothing() -> None:
    assert coded_values(["day"] * 6) is None
    assert coded_values(["a", "b", "a", "b"]) == ["a", "b", "a", "b"]
    assert coded_values(["a", "b", "c", "a", "b"]) is None


def test_rare_texts_count_as_one_value() -> None:
    values = [f"v{number:02}" for number in range(23) for _ in range(3)] + ["v00"]
    found = coded_values(values)
    assert found is not None
    assert sorted(set(found)) == [OTHERS, *(f"v{number:02}" for number in range(20))]
    assert [one for one in found if one != OTHERS] == [value for value in values if value < "v20"]


def test_many_numbers_are_in_bins_of_equal_size_with_missing_ones_in_their_own() -> None:
    numbers = [str(number) for number in range(1, 121)]
    found = coded(pd.DataFrame({"meta_of": [*numbers, ""]}), "meta_of", 2)
    assert found is not None
    assert np.bincount(found.codes).tolist() == [6] * 20 + [1]
    assert (found.names[0], found.names[1], found.names[-2:]) == ("up to 6", "6 to 12", ("above 114", NONE))


@pytest.mark.parametrize(
    ("fact", "value"),
    [("size", 20.0), ("aspect", math.log(4)), ("file_quality", 8 * 600 / 400), ("brightness", 7.0)],
)
def test_facts_are_measured_as_their_names_say(fact: str, value: float) -> None:
    rows = pd.DataFrame({"width": [40], "height": [10], "bytes": [600], "brightness": [7.0]})
    assert FACTS[fact](rows).tolist() == pytest.approx([value])


def test_facts_are_those_whose_columns_are_there() -> None:
    assert fact_names(pd.DataFrame(columns=["meta_b", "source", "width", "meta_a"])) == ["source", "meta_a", "meta_b"]


def test_bins_of_numbers_have_five_images_at_least() -> None:
    found = coded(pd.DataFrame({"meta_of": [str(number) for number in range(1, 41)]}), "meta_of", 2)
    assert found is not None
    assert np.bincount(found.codes).tolist() == [5] * 8
