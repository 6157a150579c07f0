"""Facts of pictures are exact, stay in their ranges, and tell what they are meant to tell."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.facts import BLUR_SIDE, REBLUR, blur_as_it_came, blur_of, picture_facts
from pipeline.images.pixels import Pixels
from tests.examples import picture
from tests.stages.curate.similar import scene

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20))
BOARD = (255 * (np.indices((16, 16)).sum(axis=0) % 2)[..., None]).repeat(3, axis=2).astype(np.uint8)


def flat(red: int, green: int, blue: int) -> Pixels:
    return np.full((16, 16, 3), (red, green, blue), np.uint8)


def facts_of(pixels: Pixels) -> dict[str, float]:
    return picture_facts([pixels])[0]


@pytest.mark.parametrize(
    ("pixels", "facts"),
    [
        pytest.param(flat(0, 0, 0), (0, 0, 0, 0), id="black"),
        pytest.param(flat(255, 255, 255), (1, 0, 0, 0), id="white"),
        pytest.param(flat(51, 51, 51), (0.2, 0, 0, 0), id="grey"),
        pytest.param(flat(255, 0, 0), (76 / 255, 0, 0, 1), id="red: 0.299 of luma"),
        pytest.param(flat(100, 200, 100), (159 / 255, 0, 0, 128 / 255), id="pale green: half saturated"),
        # The Laplacian of a checkerboard is 4 at black squares and -4 at white ones.
        pytest.param(BOARD, (0.5, 0.5, 4, 0), id="board"),
    ],
)
def test_facts_of_known_pictures(pixels: Pixels, facts: tuple[float, ...]) -> None:
    found = facts_of(pixels)
    assert [found[name] for name in ("brightness", "contrast", "sharpness", "saturation")] == pytest.approx(facts)


@given(shape=SHAPES, seed=st.integers(0, 999), steps=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_facts_are_what_plain_arithmetic_gives(shape: tuple[int, int], seed: int, steps: int) -> None:
    pixels = picture(seed, *shape) // np.uint8(steps)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    edges = cv2.Laplacian(luma, cv2.CV_64F)
    high, low = pixels.max(axis=2).astype(np.float64), pixels.min(axis=2).astype(np.float64)
    shares = np.unique(luma, return_counts=True)[1] / luma.size
    ranked = {share: np.percentile(luma, share, method="inverted_cdf") for share in (1, 5, 99)}
    found = facts_of(pixels)
    # Each pixel's share is rounded to one of 255.
    assert found.pop("saturation") == pytest.approx(((high - low) / np.maximum(high, 1)).mean(), abs=0.5 / 255 + 1e-9)
    assert found == pytest.approx(
        {
            "brightness": luma.mean() / 255,
            "contrast": luma.std() / 255,
            "sharpness": edges.std() / 255,
            **{f"luma_{share}": level for share, level in ranked.items()},
            "colour_99": np.percentile(high - low, 99, method="inverted_cdf"),
            "information": -(shares * np.log2(shares)).sum(),
        },
        abs=1e-4,
    )


@pytest.mark.parametrize(
    ("pixels", "bits"), [(flat(9, 9, 9), 0.0), (BOARD, 1.0), (np.arange(768, dtype=np.uint8).reshape(16, 16, 3), None)]
)
def test_information_is_the_entropy_in_bits(pixels: Pixels, bits: float | None) -> None:
    found = facts_of(pixels)["information"]
    assert found == bits if bits is not None else 0 < found <= math.log2(pixels.size / 3)


def by_means(luma: Pixels) -> float:
    """The same with the means that are compared, one axis after the other."""
    kept = []
    for values in (luma.astype(np.float64), luma.T.astype(np.float64)):
        means = np.stack([values[row : row + REBLUR].mean(axis=0) for row in range(len(values) - REBLUR + 1)])
        reach = REBLUR // 2
        sharp, soft = np.abs(np.diff(values[reach : len(values) - reach], axis=0)), np.abs(np.diff(means, axis=0))
        kept.append(1 - np.maximum(sharp - soft, 0).sum() / sharp.sum() if sharp.sum() else 0.0)
    return max(kept)


@given(st.integers(REBLUR + 1, 24), st.integers(REBLUR + 1, 24), st.integers(0, 99), st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_blur_is_the_share_of_differences_that_a_running_mean_leaves(
    height: int, width: int, seed: int, steps: int
) -> None:
    luma = picture(seed, height, width)[..., 0] // np.uint8(steps)
    assert blur_of(luma) == pytest.approx(by_means(luma))


def test_blur_rises_with_blurring_and_not_with_contrast_or_brightness() -> None:
    for seed in range(5):
        luma = cv2.cvtColor(scene(seed, 224, 224), cv2.COLOR_RGB2GRAY)
        noise = np.random.default_rng(seed).integers(0, 40, luma.shape, dtype=np.uint8)
        sharp = luma // np.uint8(2) + noise
        found = [blur_of(cv2.GaussianBlur(sharp, (0, 0), sigma)) for sigma in (0.6, 1.0, 1.5, 2.5)]
        assert sorted([blur_of(sharp), *found]) == [blur_of(sharp), *found]
        assert blur_of(sharp + np.full_like(sharp, 50)) == blur_of(sharp)
        assert blur_of(sharp // np.uint8(4)) == pytest.approx(blur_of(sharp), abs=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (REBLUR, REBLUR), (3, 2)])
def test_pictures_too_small_to_blur_have_no_blur(shape: tuple[int, int]) -> None:
    luma = np.zeros(shape, np.uint8)
    assert blur_of(luma) == 0
    assert blur_as_it_came(np.stack([luma] * 3, axis=2)) == 0


def resized(side: int) -> Pixels:
    """One picture, sharp at BLUR_SIDE, with so many pixels on its shorter side."""
    fine = picture(1, BLUR_SIDE, BLUR_SIDE * 4 // 3)
    return np.asarray(cv2.resize(fine, (side * 4 // 3, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("side", [BLUR_SIDE, 2 * BLUR_SIDE - 1, 2 * BLUR_SIDE, 900])
def test_blur_is_told_alike_at_any_size_that_a_picture_came_in(side: int) -> None:
    """A blur of a share of the picture's side, in pictures of one scene."""
    sharp = resized(side)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), side / 100), np.uint8)
    reference = np.asarray(cv2.GaussianBlur(resized(BLUR_SIDE), (0, 0), BLUR_SIDE / 100), np.uint8)
    assert blur_as_it_came(soft) == pytest.approx(blur_as_it_came(reference), abs=0.05)
    assert blur_as_it_came(soft) > blur_as_it_came(sharp) + 0.1


def test_small_pictures_are_measured_as_they_are() -> None:
    small = scene(2, 60, 80)
    assert blur_as_it_came(small) == blur_of(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def test_a_slice_of_a_larger_picture_has_the_facts_of_its_copy() -> None:
    padded = picture(3, 30, 40)
    inside = padded[4:20, 7:31]
    assert facts_of(inside) == facts_of(inside.copy())


@given(st.lists(st.tuples(SHAPES, st.integers(0, 99)), max_size=6))
@settings(max_examples=40, deadline=None)
def test_facts_do_not_hang_on_the_pictures_beside(wanted: list[tuple[tuple[int, int], int]]) -> None:
    pictures = [picture(seed, *shape) for shape, seed in wanted]
    assert picture_facts(pictures) == [facts_of(pixels) for pixels in pictures]
