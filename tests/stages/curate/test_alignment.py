"""A picture that was moved, turned, zoomed or cropped a little is told from one that only has its shape."""

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.pixels import Pixels
from pipeline.stages.curate.alignment import PORTRAIT_SIDE, is_filled, is_moved_copy, portrait
from tests.stages.curate.similar import Pictures, brighter, cropped, half, jpeg, labels, scene

SIDE = 200
Make = Callable[[np.random.Generator], Pixels]


def busy(seed: int, height: int = 240, width: int = 320) -> Pixels:
    """Structure nearly all over, finer than a scene's."""
    random = np.random.default_rng(seed)
    fine = random.normal(0, 20, (height // 14, width // 14, 3)).astype(np.float32)
    grain = cv2.resize(fine, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(scene(seed, height, width) * 0.7 + 30 + grain, 0, 255), np.uint8)


def mapped(pixels: Pixels, degrees: float = 0, zoom: float = 1, right: float = 0, down: float = 0) -> Pixels:
    """Turned, zoomed and moved by shares of the sides, without the margin that this leaves empty."""
    height, width = pixels.shape[:2]
    by = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    by[:, 2] += right * width, down * height
    turned = cv2.warpAffine(pixels, by, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return cropped(np.asarray(turned, np.uint8), 0.03)


def without(pixels: Pixels, left: float = 0, top: float = 0, right: float = 0) -> Pixels:
    height, width = pixels.shape[:2]
    return pixels[round(top * height) :, round(left * width) : width - round(right * width)]


def noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    return np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)


MOVES: dict[str, Callable[[Pixels], Pixels]] = {
    "3 % off the left": lambda pixels: without(pixels, left=0.03),
    "3 % off the top": lambda pixels: without(pixels, top=0.03),
    "moved by 2 %": lambda pixels: without(pixels, left=0.02, top=0.02),
    "turned": lambda pixels: mapped(pixels, 1, 0.98),
    "zoomed": mapped,
    "burst": lambda pixels: brighter(noisy(mapped(pixels, -0.5, 0.97, 0.01, -0.01))),
    "all at once": lambda pixels: jpeg(half(brighter(without(pixels, right=0.02)))),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_moved_copy_is_linked_to_its_original(move: str) -> None:
    originals = [busy(seed) for seed in range(20)]
    copies = [MOVES[move](pixels) for pixels in originals]
    assert labels([*originals, *copies], [0] * 20 + [1] * 20) == [*range(20), *range(20)]


@given(st.integers(0, 99), st.floats(-1.5, 1.5), st.floats(1, 1.03), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
@settings(deadline=None, max_examples=60)
def test_any_small_move_is_undone(seed: int, degrees: float, zoom: float, right: float, down: float) -> None:
    one, other = portrait(busy(seed)), portrait(noisy(mapped(busy(seed), degrees, zoom, right, down)))
    assert is_filled(one)
    assert is_filled(other)
    assert is_moved_copy(one, other)


@given(st.integers(0, 99), st.integers(100, 199))
@settings(deadline=None, max_examples=60)
def test_different_pictures_are_none_however_they_are_laid(one: int, other: int) -> None:
    assert not is_moved_copy(portrait(busy(one)), portrait(busy(other)))


def test_a_move_that_is_too_far_is_none() -> None:
    pixels = busy(1)
    assert is_moved_copy(portrait(pixels), portrait(without(pixels, left=0.08)))
    assert not is_moved_copy(portrait(pixels), portrait(without(pixels, left=0.13)))


def test_a_picture_with_one_thing_more_is_none() -> None:
    """A stamp on one of two pictures of a shelf is what they differ in, however small its part."""
    stamped = busy(1)
    stamped[100:160, 60:140] = busy(2)[100:160, 60:140]
    assert not is_moved_copy(portrait(busy(1)), portrait(stamped))


def paper(grey: int = 255) -> Pixels:
    return np.full((SIDE, SIDE, 3), grey, np.uint8)


def stroke(random: np.random.Generator) -> Pixels:
    canvas = paper(0)
    ends = (np.array([[100, 20], [100, 180]]) + random.integers(-12, 13, (2, 2))).tolist()
    cv2.line(canvas, ends[0], ends[1], (255, 255, 255), int(random.integers(10, 20)), cv2.LINE_AA)
    return canvas


def digit(random: np.random.Generator) -> Pixels:
    canvas = paper(0)
    place = tuple((np.array([60, 140]) + random.integers(-4, 5, 2)).tolist())
    font, scale = int(random.integers(0, 4)), 4 + random.uniform(-0.3, 0.3)
    cv2.putText(canvas, "8", place, font, scale, (255, 255, 255), int(random.integers(8, 14)), cv2.LINE_AA)
    return canvas


def disc(random: np.random.Generator) -> Pixels:
    canvas = paper()
    middle = (100 + random.integers(-5, 6, 2)).tolist()
    cv2.circle(canvas, middle, int(random.integers(55, 65)), (30, 30, 30), -1, cv2.LINE_AA)
    return canvas


def stripes(random: np.random.Generator) -> Pixels:
    wave = 127 + 100 * np.sin(np.arange(SIDE) / SIDE * 2 * np.pi * 9 + random.uniform(0, 6))
    return np.broadcast_to(wave[None, :, None], (SIDE, SIDE, 3)).astype(np.uint8)


def form(random: np.random.Generator) -> Pixels:
    canvas = paper()
    for line in range(20, SIDE, 20):
        cv2.line(canvas, (10, line), (190, line), (0, 0, 0), 1)
        cv2.putText(canvas, "Name:", (12, line - 4), 0, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
        answer = "".join(random.choice(list("abcdefghijklmnop"), 8))
        cv2.putText(canvas, answer, (70, line - 4), 0, 0.4, (0, 0, 120), 1, cv2.LINE_AA)
    return canvas


def surface(random: np.random.Generator) -> Pixels:
    """A round fruit on a white table, with a surface of its own."""
    circle = np.hypot(*np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j])[..., None] < 0.85
    return np.asarray(np.where(circle, busy(int(random.integers(1 << 30)), SIDE, SIDE) // 2 + 60, 245), np.uint8)


PLAIN: list[Make] = [stroke, digit, disc, stripes]
BUSY: list[Make] = [form, surface]


@pytest.mark.parametrize("make", PLAIN)
def test_line_art_and_plain_shapes_are_not_laid_over_each_other(make: Make) -> None:
    random = np.random.default_rng(0)
    assert not any(is_filled(portrait(make(random))) for _ in range(30))


@pytest.mark.parametrize("make", [*PLAIN, *BUSY])
def test_pictures_that_share_their_shape_are_no_moved_copies(make: Make) -> None:
    random = np.random.default_rng(1)
    shown = [picture for _ in range(20) if is_filled(picture := portrait(make(random)))]
    assert not any(is_moved_copy(one, other) for one, other in itertools.combinations(shown, 2))


def test_a_crowd_of_forms_is_laid_over_each_other_so_many_times_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    laid = []

    def counted(one: Pixels, other: Pixels) -> bool:
        laid.append(1)
        return is_moved_copy(one, other)

    monkeypatch.setattr("pipeline.stages.curate.similarity.is_moved_copy", counted)
    monkeypatch.setattr("pipeline.stages.curate.similarity._VAIN", 4)
    random = np.random.default_rng(0)
    crowd = Pictures([form(random) for _ in range(40)])
    crowd.families([*range(40)])
    assert 40 < len(laid) <= 4 * 40 / 2
    assert sorted(crowd.closer_looks) == sorted(set(crowd.closer_looks))


def test_a_moved_copy_joins_a_chain() -> None:
    steps = [busy(1), without(busy(1), left=0.03), without(busy(1), left=0.06)]
    assert labels([busy(2), *steps], [0, 1, 2, 3]) == [0, 1, 1, 1]


def test_a_portrait_has_one_size_whatever_the_picture_has() -> None:
    for shape in [(32, 500), (64, 64), (20, 20), (900, 700)]:
        assert portrait(scene(1, *shape)).shape == (PORTRAIT_SIDE, PORTRAIT_SIDE)
