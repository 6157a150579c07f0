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


def of_sources(*sources: tuple[str, dict[str, int]]) -> Seen:
    facts = ImageFacts(sides=[32], formats={"PNG": 1})
    return Seen(
        [SourceSeen(name, {"role": "production", "path": name}, classes, 0, facts) for name, classes in sources]
    )


def test_sources_with_a_class_of_their_own_are_said_to_give_it_away() -> None:
    notes = [*seen_lines(of_sources(("shop", {"apple": 9}), ("kitchen", {"pear": 9}), ("van", {"fig": 5, "nut": 5})))]
    (note,) = [line for line in notes if "no other source" in line]
    assert note.startswith("note: shop has only apple, kitchen has only pear, and no other source has these classes")
    assert "shop (production): 9 images in 1 class, shop" in notes
    shared = of_sources(("shop", {"apple": 9}), ("kitchen", {"apple": 9, "pear": 9}))
    assert not [line for line in seen_lines(shared) if "no other source" in line]


def test_a_class_of_a_few_images_is_said_to_be_too_small_to_measure() -> None:
    counts = {"apple": 90, "pear": 80, "fig": 4}
    (note,) = [line for line in seen_lines(of_sources(("shop", counts))) if "too few to tell" in line]
    assert note == (
        "note: 1 class has fewer than 15 production images (fig 4): in dev too few to tell how well the model "
        "recognises it. Add images, or use --min-images 15"
    )
    (note,) = [line for line in seen_lines(of_sources(("shop", {"fig": 4, "nut": 5}))) if "too few to tell" in line]
    assert note.endswith("(fig 4, nut 5): in dev too few to tell how well the model recognises them. Add images")
