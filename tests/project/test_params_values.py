"""Values of params.yaml: which are taken, which are refused, and that any value is one or the other."""

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.project.params_file import check_params
from pipeline.stages.augment.copies import PerClass
from tests.examples import params, params_values
from tests.project.test_params_file import KEYS, problems


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ("augment.copies", {"name": "per_imag", "count": 1}, "augment.copies: there is no choice 'per_imag', "
         "did you mean per_image? it may be 'per_image', 'per_class', 'up_to'"),
        ("augment.copies", 3, "augment.copies: must be a mapping, got 3"),
        ("augment.transforms", "Blur", "augment.transforms: must be a list, got 'Blur'"),
        ("augment.transforms", {"name": "Blur"}, "augment.transforms: must be a list, got {'name': 'Blur'}"),
        ("augment.transforms", ["Blur"], "augment.transforms.0: must be a mapping, got 'Blur'"),
        ("augment.transforms", [None], "augment.transforms.0: must be a mapping, got None"),
        ("augment.transforms", [{"name": 5}], "augment.transforms.0.name: must be text, got 5: put it in quotes"),
        ("split.stratify_by", "dark", "split.stratify_by: must be a list, got 'dark'"),
    ],
)  # fmt: skip
def test_what_must_stand_somewhere_is_said_in_words_of_yaml(place: str, value: Any, line: str) -> None:
    assert problems(params_values(**{place: value})) == [line]


@pytest.mark.parametrize("argument", [math.nan, [-10, math.inf]])
def test_a_transforms_arguments_are_finite_too(argument: Any) -> None:
    [line] = problems(params_values(**{"augment.transforms": [{"name": "Affine", "rotate": argument}]}))
    assert line.startswith("augment.transforms.0.rotate")
    assert "finite" in line


@pytest.mark.parametrize("counts", [{"0": 2, "cat": 0}, {0: 2, "cat": 0}])
def test_classes_of_copies_may_be_numbers(counts: dict[Any, int]) -> None:
    copies = params(**{"augment.copies": {"name": "per_class", "counts": counts, "otherwise": 1}}).augment.copies
    assert isinstance(copies, PerClass)
    assert dict(copies.counts) == {"0": 2, "cat": 0}


def test_no_copies_need_no_transforms() -> None:
    copies = {"name": "per_class", "counts": {"cat": 0}, "otherwise": 0}
    assert params(**{"augment.transforms": [], "augment.copies": copies}).augment.transforms == ()


def test_a_whole_number_counts_where_any_number_may_stand() -> None:
    assert params(**{"train.learning_rate": 1}).train.learning_rate == 1.0


def test_no_later_change_is_possible() -> None:
    loaded = params()
    with pytest.raises(ValidationError, match="frozen"):
        loaded.train.epochs = 1
    with pytest.raises(ValidationError, match="frozen"):
        loaded.train = loaded.train


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 98), st.data())
def test_shares_pass_when_they_sum_to_one_and_only_then(train: int, data: st.DataObject) -> None:
    dev = data.draw(st.integers(1, 99 - train))
    shares = {"train": train / 100, "dev": dev / 100, "test": (100 - train - dev) / 100}
    assert params(**{"split.production": shares}).split.production.dev == dev / 100
    off = data.draw(st.floats(1e-6, 0.004)) * data.draw(st.sampled_from([-1, 1]))
    [line] = problems(params_values(**{"split.production": shares | {"dev": dev / 100 + off}}))
    assert line.startswith("split.production: train + dev + test must sum to 1, got ")


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


def message_of(values: dict[str, Any]) -> str:
    try:
        check_params(values, "mine.yaml")
    except ParamsError as error:
        return str(error)
    return ""


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(KEYS), YAML_VALUES)
def test_any_value_anywhere_is_taken_or_named(place: str, value: Any) -> None:
    message = message_of(params_values(**{place: value}))
    assert not message or re.match(rf"mine\.yaml breaks \d+ rules?:\n  {place.partition('.')[0]}\b", message)
