"""Each kind of degradation does what its name says; pictures are functions of key, strengths and pixels."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.pixels import Pixels
from pipeline.stages.augment.degradation import ABSENT, FARTHEST, KINDS, NOTHING, Strength, Strengths, degrade
from tests.scenes import scene

FEW = settings(max_examples=25, deadline=None)
SIDES = st.sampled_from([(8, 8), (9, 13), (24, 24), (40, 16)])
KEYS = [(image, copy) for image in ("web/a.png", "web/b.png") for copy in (1, 2, 3)]
RICH = Strengths(
    brightness=Strength(-0.3, 0.2),
    contrast=Strength(0.0, 0.3),
    resolution=Strength(0.5, 0.3),
    blur=Strength(0.0, 1.0),
    noise=Strength(0.03, 0.02),
    jpeg=Strength(50.0, 30.0),
)


def luma(pixels: Pixels) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float64)


def degraded(seed: int, **typical: float) -> Pixels:
    """A scene with one strength of each kind, no spread."""
    return degrade(scene(seed, 48), Strengths(**{kind: Strength(value) for kind, value in typical.items()}), 1, "a", 1)


@st.composite
def strengths(draw: st.DrawFn) -> Strengths:
    found = {}
    for kind in draw(st.sets(st.sampled_from(sorted(KINDS)))):
        limits = KINDS[kind]
        typical, spread = draw(st.floats(limits.low, limits.high)), draw(st.floats(0, limits.widest * limits.step))
        found[kind] = Strength(typical, spread)
    return Strengths(**found)


def test_strengths_have_a_field_for_each_kind_in_order() -> None:
    assert [field.name for field in dataclasses.fields(Strengths)] == list(KINDS)
    assert NOTHING.used() == []
    assert RICH.used() == [kind for kind in KINDS if getattr(RICH, kind) != ABSENT]
    assert RICH.numbers()["jpeg"] == {"typical": 50.0, "spread": 30.0}


@given(chosen=strengths(), sides=SIDES, seed=st.integers(0, 9))
@FEW
def test_any_strengths_keep_shape_and_type_and_leave_the_original_alone(
    chosen: Strengths, sides: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8)
    before = pixels.copy()
    found = degrade(pixels, chosen, 1, "web/a.png", 1)
    assert found.shape == pixels.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(found, degrade(pixels, chosen, 1, "web/a.png", 1))


def test_nothing_changes_nothing() -> None:
    np.testing.assert_array_equal(degrade(scene(1), NOTHING, 1, "web/a.png", 1), scene(1))


@given(st.permutations(KEYS))
@FEW
def test_a_picture_does_not_depend_on_those_made_before(keys: list[tuple[str, int]]) -> None:
    made = {key: degrade(scene(1), RICH, 1, *key).tobytes() for key in keys}
    assert made == {key: degrade(scene(1), RICH, 1, *key).tobytes() for key in KEYS}


def test_copies_images_and_seeds_differ() -> None:
    made = [degrade(scene(1), RICH, seed, *key).tobytes() for seed in (1, 2) for key in KEYS]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("side", [0, 255])
def test_blank_pictures_stay_blank_without_noise(side: int) -> None:
    blank = np.full((16, 16, 3), side, np.uint8)
    without_noise = dataclasses.replace(RICH, noise=ABSENT)
    assert np.ptp(degrade(blank, without_noise, 1, "a", 1)) <= 1


def test_brightness_multiplies_values() -> None:
    pixels = np.random.default_rng(1).integers(0, 120, (48, 48, 3), dtype=np.uint8)
    twice = degrade(pixels, Strengths(brightness=Strength(1.0)), 1, "a", 1)
    np.testing.assert_allclose(twice, pixels * 2.0, atol=1)
    half = degrade(pixels, Strengths(brightness=Strength(-1.0)), 1, "a", 1)
    np.testing.assert_allclose(half, pixels / 2.0, atol=1)


def test_contrast_spreads_values_around_the_mean_luma() -> None:
    pixels, found = scene(1, 48), degraded(1, contrast=-1.0)
    middle = luma(pixels).mean()
    np.testing.assert_allclose(found, middle + (pixels - middle) / 2, atol=1.5)


def test_red_and_blue_multiply_their_channels() -> None:
    pixels = np.full((8, 8, 3), 100, np.uint8)
    found = degrade(pixels, Strengths(red=Strength(0.5), blue=Strength(-0.5)), 1, "a", 1)
    np.testing.assert_allclose(found[0, 0], [141.4, 100, 70.7], atol=1)


def test_saturation_moves_to_grey_and_keeps_luma() -> None:
    found = degraded(1, saturation=-3.0)
    np.testing.assert_allclose(luma(found), luma(scene(1, 48)), atol=1.5)
    apart = np.ptp(scene(1, 48).astype(int), axis=2).mean()
    assert np.ptp(found.astype(int), axis=2).mean() == pytest.approx(apart / 8, abs=1)


def test_resolution_is_that_of_a_picture_of_fewer_pixels() -> None:
    small = cv2.resize(scene(1, 48).astype(np.float32), (12, 12), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(degraded(1, resolution=2.0), np.clip(large, 0, 255), atol=1)


def test_blur_is_a_gaussian_of_so_many_pixels() -> None:
    dot = np.zeros((33, 33, 3), np.uint8)
    dot[16, 16] = 255
    found = luma(degrade(dot, Strengths(brightness=Strength(0.0), blur=Strength(1.0)), 1, "a", 1))
    assert found[16, 16] == pytest.approx(255 / (2 * np.pi), rel=0.05)
    assert found[16, 17] / found[16, 16] == pytest.approx(np.exp(-0.5), rel=0.05)


def test_noise_has_its_deviation_and_no_colour() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    found = degrade(grey, Strengths(noise=Strength(0.05)), 1, "a", 1)
    assert found.std() == pytest.approx(0.05 * 255, rel=0.05)
    assert np.ptp(found, axis=2).max() == 0
    assert found.mean() == pytest.approx(128, abs=1)


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    lost = [np.abs(degraded(1, jpeg=value).astype(int) - scene(1, 48)).mean() for value in (5.0, 50.0, 90.0)]
    assert 0 < lost[0] < lost[1] < lost[2]
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    np.testing.assert_allclose(degrade(flat, Strengths(jpeg=Strength(20.0)), 1, "a", 1), flat, atol=3)


def test_draws_have_the_spread_and_stay_near() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    chosen = Strengths(brightness=Strength(-0.3, 0.2))
    drawn = [np.log2(degrade(grey, chosen, 1, "a", copy).mean() / 100) for copy in range(400)]
    assert np.mean(drawn) == pytest.approx(-0.3, abs=0.03)
    assert np.std(drawn) == pytest.approx(0.2, abs=0.03)
    assert np.max(np.abs(np.array(drawn) + 0.3)) <= FARTHEST * 0.2 + 0.01


def test_draws_end_at_the_ends_of_their_kind() -> None:
    chosen = Strengths(noise=Strength(0.0, 0.04))
    changed = [not np.array_equal(degrade(scene(1), chosen, 1, "a", copy), scene(1)) for copy in range(60)]
    assert 15 < sum(changed) < 45


def test_light_comes_before_resolution_blur_noise_and_jpeg() -> None:
    """Noise in a picture that is darkened first is as strong as in one that is not."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    found = degrade(grey, Strengths(brightness=Strength(-1.0), blur=Strength(2.0), noise=Strength(0.05)), 1, "a", 1)
    assert found.mean() == pytest.approx(64, abs=1)
    assert found.std() == pytest.approx(0.05 * 255, rel=0.05)
    smoothed = degrade(grey, Strengths(brightness=Strength(-1.0), noise=Strength(0.05), jpeg=Strength(90.0)), 1, "a", 1)
    assert smoothed.std() < 0.03 * 255
