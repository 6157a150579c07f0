"""What is most worth a label: uncertain images that are unlike one another and any labelled one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.vectors import principal, small_picture, unit
from pipeline.tools.label_queue.ranking import groups_in_turn, margins, representative, spread_out
from tests.examples import picture

NOBODY = np.empty((0, 2), np.float32)
POINTS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=12)


def points(kinds: list[int]) -> np.ndarray:
    """Images at corners of a square, by the corner's number."""
    return np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)], np.float32)[kinds]


def test_the_lead_of_the_likeliest_class() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.35, 0.25], [0.5, 0.5, 0]])
    assert margins(probabilities).tolist() == pytest.approx([0.8, 0.05, 0.0])


def test_each_kind_is_drawn_before_any_is_drawn_again_and_a_known_one_last() -> None:
    images = points([0] * 50 + [1, 2, 3])
    for seed in range(20):
        drawn = spread_out(images, points([0]), np.ones(53), 3, seed)
        assert sorted(drawn.tolist()) == [50, 51, 52]


def test_what_is_worth_more_is_likelier() -> None:
    images = points([1] * 20 + [2] * 20)
    worth = np.repeat([1.0, 0.01], 20)
    first = [int(spread_out(images, points([0]), worth, 1, seed)[0]) for seed in range(100)]
    assert np.mean(np.array(first) < 20) > 0.9


@settings(deadline=None, max_examples=100)
@given(POINTS, POINTS, st.integers(1, 12), st.integers(0, 9))
def test_rows_come_once_and_a_longer_queue_goes_on_from_a_shorter_one(
    images: list[tuple[float, float]], known: list[tuple[float, float]], count: int, seed: int
) -> None:
    shown, others = np.array(images, np.float32), np.array(known, np.float32)
    worth = np.linspace(0, 1, len(shown))
    order = spread_out(shown, others, worth, count, seed).tolist()
    assert len(set(order)) == len(order) == min(count, len(shown))
    assert spread_out(shown, NOBODY, worth, 0, seed).tolist() == []
    assert spread_out(shown, others, worth, count + 3, seed).tolist()[: len(order)] == order


def names(count: int) -> np.ndarray:
    return np.array([f"new/{number}.png" for number in range(count)])


def test_typical_images_of_kinds_without_a_label_come_first_and_the_largest_kind_before() -> None:
    generator = np.random.default_rng(1)
    images = points([0] * 30 + [1] * 20 + [2] * 10 + [3]) + generator.normal(0, 0.05, (61, 2)).astype(np.float32)
    drawn = representative(images, points([0]), 3, names(61), 1).tolist()
    assert [30 <= drawn[0] < 50, 50 <= drawn[1] < 60, drawn[2] == 60] == [True] * 3


@settings(deadline=None, max_examples=50)
@given(POINTS, POINTS, st.integers(0, 12))
def test_typical_rows_come_once_and_a_longer_queue_goes_on_from_a_shorter_one(
    images: list[tuple[float, float]], known: list[tuple[float, float]], count: int
) -> None:
    shown, others = np.array(images, np.float32), np.array(known, np.float32)
    order = representative(shown, others, count, names(len(shown)), 1).tolist()
    assert len(set(order)) == len(order) == min(count, len(shown))
    assert representative(shown, others, count + 3, names(len(shown)), 1).tolist()[: len(order)] == order
    assert representative(shown, NOBODY, 1, names(len(shown)), 1).shape == (1,)


def test_equal_images_are_all_drawn() -> None:
    same = points([0] * 9)
    assert sorted(spread_out(same, same, np.zeros(9), 9, 1).tolist()) == list(range(9))


def test_groups_take_turns() -> None:
    assert groups_in_turn([4, 0, 1, 2, 3], ["a", "a", "b", "c", "a"]).tolist() == [4, 2, 3, 0, 1]


def test_a_picture_in_small_keeps_its_colours() -> None:
    flat = np.full((16, 16, 3), (10, 20, 30), np.uint8)
    assert small_picture(flat).reshape(-1, 3).tolist() == [[10, 20, 30]] * 64
    assert small_picture(picture(1, 40, 40)).shape == (192,)


def test_principal_components_keep_distances_and_directions() -> None:
    generator = np.random.default_rng(1)
    vectors = unit(generator.normal(0, 1, (30, 6)).astype(np.float32))
    found = principal(vectors, 6)
    assert np.allclose(((found[0] - found[1]) ** 2).sum(), ((vectors[0] - vectors[1]) ** 2).sum(), atol=1e-5)
    assert np.allclose(principal(-vectors, 2), -found[:, :2], atol=1e-4)
    assert (found.std(axis=0)[:-1] >= found.std(axis=0)[1:] - 1e-6).all()
