"""What `pipeline init` makes of labels that are numbers."""

import pytest

from pipeline.errors import DataError
from pipeline.project.image_facts import ImageFacts
from pipeline.project.inspect_sources import SourceSeen
from pipeline.project.seen import Seen, check
from pipeline.project.seen_text import seen_lines


def seen(labels: dict[str, int], unlabelled: int = 0) -> Seen:
    facts = ImageFacts(sides=[32], formats={"PNG": 1})
    return Seen([SourceSeen("phone", {"role": "production", "path": "phones"}, labels, unlabelled, facts)])


def test_numbers_with_fractions_are_numbers_and_nothing_is_in_the_way() -> None:
    found = seen({f"{number / 4}": 1 for number in range(40)} | {"nan": 2})
    assert found.numbers is not None
    check(found)
    assert "  from 0 to 9.75; no numbers: nan 2" in [*seen_lines(found)]


def test_labels_that_are_no_numbers_are_named_where_most_are() -> None:
    found = seen({f"{number / 4}": 1 for number in range(40)} | {"nan": 15, "x": 15})
    assert found.numbers is None
    with pytest.raises(DataError, match=r"If the labels are numbers, correct those that are not: nan 15, x 15"):
        check(found)


def test_one_number_for_all_is_nothing_to_predict() -> None:
    with pytest.raises(DataError, match=r"all images have the number 5\.5, so there is nothing to predict"):
        check(seen({"5.5": 60}))


def test_images_without_a_label_are_said_to_have_none() -> None:
    assert next(seen_lines(seen({}, 7))).startswith("phone (production): 7 images without a label")
