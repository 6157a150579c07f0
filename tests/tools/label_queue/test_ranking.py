"""What is most worth a label: the least certain first, or the least like what has one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tools.label_queue.ranking import by_margin, farthest_first, groups_in_turn, small_picture
from tests.examples import picture

NOBODY = np.empty((0, 2), np.int32)
POINTS = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=12)


def test_the_smallest_lead_comes_first_and_the_earlier_row_of_two() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.35, 0.25], [0.5, 0.5, 0], [0.1, 0, 0.9]])
    assert by_margin(probabilities).tolist() == [2, 1, 0, 3]


def test_the_farthest_from_all_known_is_taken_and_then_from_that_too() -> None:
    images = np.array([[0, 1], [9, 9], [9, 8], [0, 9]], np.int32)
    assert farthest_first(images, np.array([[0, 0]], np.int32), 3).tolist() == [1, 3, 0]


def test_without_known_ones_the_middle_comes_first() -> None:
    images = np.array([[0, 0], [4, 5], [9, 9]], np.int32)
    assert farthest_first(images, NOBODY, 3).tolist() == [1, 0, 2]


@settings(deadline=None, max_examples=100)
@given(POINTS, POINTS, st.integers(1, 12))
def test_each_choice_is_as_far_as_any_that_is_left(images: list[list[int]], known: list[list[int]], count: int) -> None:
    points, others = np.array(images, np.int32), np.array(known, np.int32)
    order = farthest_first(points, others, count).tolist()
    assert len(set(order)) == len(order) == min(count, len(points))
    for number, row in enumerate(order):
        held = np.concatenate([others, points[order[:number]]])
        distances = ((points[:, None] - held[None]) ** 2).sum(axis=2).min(axis=1)
        assert distances[row] == max(distances[left] for left in range(len(points)) if left not in order[:number])


def test_groups_take_turns() -> None:
    assert groups_in_turn([4, 0, 1, 2, 3], ["a", "a", "b", "c", "a"]).tolist() == [4, 2, 3, 0, 1]


def test_a_picture_in_small_keeps_its_colours() -> None:
    flat = np.full((16, 16, 3), (10, 20, 30), np.uint8)
    assert small_picture(flat).reshape(-1, 3).tolist() == [[10, 20, 30]] * 64
    assert small_picture(picture(1, 40, 40)).shape == (192,)
