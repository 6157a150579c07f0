"""A picture of any size has views, a hash for each of them, and a measure of its detail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.perceptual import (
    CROPS,
    SIDE,
    detail_strengths,
    fine_detail,
    marks,
    perceptual_hash,
    views,
    views_of,
)
from pipeline.manifest import HASHES
from pipeline.stages.curate.near_hashes import RADIUS
from pipeline.stages.curate.similarity import MIN_DETAIL
from tests.stages.curate.similar import CHANGES, cropped, jpeg, scene, within


def test_a_hash_takes_any_number_of_pictures() -> None:
    seen = np.stack([views(scene(seed)) for seed in range(3)])
    hashes = perceptual_hash(seen)
    assert hashes.shape == (3, len(CROPS))
    assert hashes.dtype == np.uint64
    assert perceptual_hash(seen[1, 2]) == hashes[1, 2]


def test_half_of_the_bits_of_a_hash_are_set() -> None:
    assert np.bitwise_count(perceptual_hash(views(scene(1))[0])) == 32


def test_hashes_of_different_scenes_are_far_apart() -> None:
    hashes = perceptual_hash(np.stack([views(scene(seed))[0] for seed in range(40)]))
    assert within(hashes, 2 * RADIUS) == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_has_a_view_whose_hash_is_near(change: str) -> None:
    for seed in range(10):
        original, copy = (perceptual_hash(views(pixels)) for pixels in (scene(seed), CHANGES[change](scene(seed))))
        assert np.bitwise_count(original[:, None] ^ copy[None]).min() <= RADIUS


@pytest.mark.parametrize("side", [1, 2, 28, 64, 500])
def test_pictures_of_any_size_have_views(side: int) -> None:
    seen = views(scene(1, side, side))
    assert seen.shape == (len(CROPS), SIDE, SIDE)
    assert seen.dtype == np.uint8


def test_views_are_the_whole_and_what_a_crop_leaves() -> None:
    pixels = scene(1, 256, 256)
    for view, share in zip(views(pixels), CROPS, strict=True):
        np.testing.assert_allclose(view.astype(int), views(cropped(pixels, share))[0].astype(int), atol=12)


SHAPES = st.sampled_from([(64, 64), (28, 28), (224, 224), (30, 200), (1, 1), (64, 64)])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(SHAPES, st.integers(0, 9)), min_size=1, max_size=20))
def test_views_do_not_hang_on_the_pictures_beside(wanted: list[tuple[tuple[int, int], int]]) -> None:
    pictures = [scene(seed, *shape) for shape, seed in wanted]
    seen = views_of(pictures)
    assert seen.tolist() == [views(pixels).tolist() for pixels in pictures]
    assert detail_strengths(seen[:, 0]) == [marks(views(pixels))[1] for pixels in pictures]


def test_marks_are_the_hash_of_each_view_and_the_detail_of_the_whole() -> None:
    seen = views(scene(1))
    hashes, strength = marks(seen)
    assert hashes.tolist() == perceptual_hash(seen).tolist()
    assert len(hashes) == len(CROPS) == len(HASHES)
    assert strength == pytest.approx(fine_detail(seen)[0].std(), rel=0.01)
    assert type(strength) is float


def test_detail_is_what_a_blur_takes_away() -> None:
    ramp = np.broadcast_to(np.linspace(0, 248, SIDE, dtype=np.uint8), (1, SIDE, SIDE))
    assert np.abs(fine_detail(ramp)[0, :, 2:-2]).max() < 1
    dot = np.zeros((1, SIDE, SIDE), np.uint8)
    dot[0, 9, 9] = 250
    assert fine_detail(dot)[0, 9, 9] == pytest.approx(240)
    assert fine_detail(dot)[0, 7:12, 7:12].sum() == pytest.approx(0, abs=0.01)


def test_smooth_gradients_have_less_detail_than_is_compared_and_scenes_more() -> None:
    ramp = np.broadcast_to(np.linspace(100, 180, 80)[:, None, None], (80, 80, 3)).astype(np.uint8)
    assert marks(views(ramp))[1] < MIN_DETAIL < marks(views(jpeg(scene(1))))[1]
