"""All near pairs are found without comparing all, and only copies count as the same picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.perceptual import Hashes, fine_detail, views
from pipeline.stages.curate.near_hashes import near_pairs
from pipeline.stages.curate.similarity import (
    AGREEMENT,
    MIN_DETAIL,
    MIN_SIDE,
    agreement,
    comparable,
    linked,
)
from tests.stages.curate.similar import CHANGES, half, jpeg, labels, scene, within


def found(hashes: Hashes, radius: int) -> list[tuple[int, int]]:
    """All pairs by the index, the smaller number first."""
    return [(min(i, j), max(i, j)) for block in near_pairs(hashes, radius) for i, j in zip(*block, strict=True)]


@st.composite
def clustered(draw: st.DrawFn) -> Hashes:
    """Hashes of which many lie a few bits apart, in any band."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    flips = st.lists(st.integers(0, 63), max_size=9)
    members = draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=40))
    return np.array([centre ^ sum({1 << bit for bit in bits}) for centre, bits in members], np.uint64)


@given(clustered(), st.integers(0, 15))
@settings(deadline=None)
def test_all_pairs_of_different_hashes_are_found_once(hashes: Hashes, radius: int) -> None:
    hashes = np.unique(hashes)
    pairs = found(hashes, radius)
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == within(hashes, radius)


@pytest.mark.parametrize("radius", [*range(8), 12])
def test_pairs_are_found_wherever_the_bits_differ(radius: int) -> None:
    random = np.random.default_rng(radius)
    base = random.integers(0, 2**64, 300, dtype=np.uint64)
    masks = [sum(1 << int(bit) for bit in random.choice(64, radius, replace=False)) for _ in base]
    hashes = np.concatenate([base, base ^ np.array(masks, np.uint64)])
    assert radius == 0 or set(found(hashes, radius)) == within(hashes, radius)
    assert {(number, 300 + number) for number in range(300)} <= set(found(hashes, radius))


@pytest.mark.parametrize("radius", [-1, 16])
def test_a_radius_that_the_index_cannot_search_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match=rf"radius must be in \[0, 16\), got {radius}"):
        list(near_pairs(np.zeros(3, np.uint64), radius))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_hashes_for_a_pair(count: int) -> None:
    assert found(np.zeros(count, np.uint64), 6) == []


def test_work_in_several_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**12, 500, dtype=np.uint64)) << np.uint64(20)
    whole = set(found(hashes, 3))
    monkeypatch.setattr("pipeline.stages.curate.near_hashes._BLOCK", 64)
    assert set(found(hashes, 3)) == whole
    assert whole


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_linked_to_its_original(change: str) -> None:
    originals = [scene(seed, 240, 320) for seed in range(20)]
    copies = [CHANGES[change](pixels) for pixels in originals]
    assert labels([*originals, *copies], [0] * 20 + [1] * 20) == [*range(20), *range(20)]


def test_pictures_of_one_part_are_not_linked() -> None:
    assert labels([scene(1), jpeg(scene(1))], [0, 0]) == [0, 1]


def test_a_chain_of_copies_has_the_first_as_its_name() -> None:
    assert labels([scene(2), scene(1), jpeg(scene(1)), half(scene(1))], [0, 1, 2, 3]) == [0, 1, 1, 1]


def test_different_pictures_of_one_kind_of_scene_are_not_linked() -> None:
    """A round fruit in the middle of a white table, each with a surface of its own."""
    circle = np.hypot(*np.mgrid[-1:1:120j, -1:1:120j])[..., None] < 0.6
    pictures = [np.asarray(np.where(circle, scene(seed, 120, 120) // 3 + 80, 245), np.uint8) for seed in range(20)]
    assert labels(pictures, list(range(20))) == list(range(20))


def test_line_art_of_one_shape_is_not_linked() -> None:
    """Strokes of one digit by different hands: nearly one hash, and yet not one picture."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(30):
        canvas = np.zeros((64, 64, 3), np.uint8)
        ends = (np.array([[32, 6], [32, 58]]) + random.integers(-6, 7, (2, 2))).tolist()
        cv2.line(canvas, ends[0], ends[1], (255, 255, 255), int(random.integers(3, 8)))
        pictures.append(canvas)
    assert labels(pictures, list(range(30))) == list(range(30))


@pytest.mark.parametrize("noise", [0, 1, 4, 30])
def test_plain_pictures_are_not_linked(noise: int) -> None:
    random = np.random.default_rng(noise)
    pictures = [np.asarray(250 - random.integers(0, noise + 1, (80, 80, 3)), np.uint8) for _ in range(30)]
    assert labels(pictures, list(range(30))) == list(range(30))


def test_smooth_gradients_are_too_plain_to_be_linked() -> None:
    ramp = np.broadcast_to(np.linspace(100, 180, 80)[:, None, None], (80, 80, 3)).astype(np.uint8)
    assert labels([ramp, np.asarray(ramp + 9, np.uint8)], [0, 1]) == [0, 1]


@pytest.mark.parametrize(
    ("detail", "width", "height", "expected"),
    [
        pytest.param(MIN_DETAIL, MIN_SIDE, MIN_SIDE, True, id="just enough"),
        pytest.param(MIN_DETAIL - 0.01, 500, 500, False, id="too plain"),
        pytest.param(9, MIN_SIDE - 1, 500, False, id="too narrow"),
        pytest.param(9, 500, MIN_SIDE - 1, False, id="too low"),
    ],
)
def test_plain_and_small_pictures_are_not_compared(detail: float, width: int, height: int, expected: bool) -> None:
    assert comparable(np.array([detail]), np.array([width]), np.array([height])).tolist() == [expected]


def test_the_same_picture_is_told_pair_by_pair() -> None:
    one, other = (fine_detail(np.stack([views(pixels)[0] for pixels in pictures])) for pictures in ROWS)
    assert (agreement(one, other) >= AGREEMENT).tolist() == [True, True, False, False]


ROWS = (
    [scene(1), scene(1), scene(1), np.full((9, 9, 3), 255, np.uint8)],
    [scene(1), jpeg(scene(1)), scene(2), np.full((9, 9, 3), 255, np.uint8)],
)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_links_join_what_a_chain_connects(pairs: list[tuple[int, int]]) -> None:
    expected = list(range(20))
    for _ in range(20):
        for i, j in pairs:
            expected[i] = expected[j] = min(expected[i], expected[j])
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    assert linked(np.arange(20), ends[:, 0], ends[:, 1]).tolist() == expected
