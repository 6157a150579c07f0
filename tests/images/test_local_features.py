"""Local features: two pictures of one scene agree, and two of one kind do not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pipeline.images.local_features import MIN_SIDE, SIDE, agreement, can_tell, local_features
from pipeline.images.pixels import Pixels
from tests.scenes import crowded

Change = Callable[[Pixels], Pixels]


def warped(pixels: Pixels, corners: list[list[float]]) -> Pixels:
    """The picture as a camera sees it that moved so that its corners come to lie there, as shares of the side."""
    side = len(pixels)
    before = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    matrix = cv2.getPerspectiveTransform(before, np.array(corners, np.float32) * side)
    return np.asarray(cv2.warpPerspective(pixels, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101))


def turned(pixels: Pixels) -> Pixels:
    side = len(pixels)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), 10, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (side, side)))


def cropped(share: float) -> Change:
    return lambda pixels: pixels[int(len(pixels) * share) :, int(len(pixels) * share / 2) :]


def written_on(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.putText(pixels.copy(), "SAMPLE", (10, 140), 0, 1.6, (255, 255, 255), 5))


def recoloured(pixels: Pixels) -> Pixels:
    hue = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hue[..., 0] = (hue[..., 0].astype(int) + 20) % 180
    return np.asarray(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB))


CHANGES: dict[str, Change] = {
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "cropped by 10 %": cropped(0.1),
    "cropped by 20 %": cropped(0.2),
    "turned by 10 degrees": turned,
    "a word across": written_on,
    "hue shifted": recoloured,
    "a step aside": lambda pixels: warped(pixels, [[-0.3, -0.1], [0.9, 0.0], [0.85, 1.0], [-0.25, 1.15]]),
    "nearer": lambda pixels: warped(pixels, [[-0.4, -0.3], [1.4, -0.4], [1.3, 1.4], [-0.3, 1.3]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_scene_is_found_again(change: str) -> None:
    found = [
        agreement(local_features(crowded(seed)), local_features(CHANGES[change](crowded(seed)))) for seed in range(20)
    ]
    assert sum(one.confirmed for one in found) >= 18
    assert {one.mirrored for one in found if one.confirmed} == {change == "mirrored"}


def test_scenes_of_one_kind_are_told_apart() -> None:
    features = [local_features(crowded(seed)) for seed in range(16)]
    places = [agreement(one, other).places for number, one in enumerate(features) for other in features[:number]]
    assert max(places) == 0


def test_what_stands_in_one_label_alone_does_not_count() -> None:
    # As full of detail as a printed code.
    code = 255 * np.random.default_rng(9).integers(0, 2, (12, 12, 1)).repeat(4, axis=0).repeat(4, axis=1)

    def labelled(seed: int) -> Pixels:
        pixels = crowded(seed)
        pixels[172:220, 4:52] = code
        return pixels

    found = [agreement(local_features(labelled(seed)), local_features(labelled(seed + 50))) for seed in range(10)]
    assert not any(one.confirmed for one in found)


def test_the_order_of_two_pictures_does_not_count_for_what_agrees() -> None:
    one, other = local_features(crowded(1)), local_features(turned(crowded(1)))
    assert agreement(one, other).confirmed
    assert agreement(other, one).confirmed
    features = agreement(one, other)
    assert len(features.one) == len(features.other) >= features.places


def test_left_out_features_no_longer_agree() -> None:
    one, other = local_features(crowded(1)), local_features(crowded(1))
    same = agreement(one, other)
    assert same.places > 100
    assert not agreement(one.without(same.one), other.without(same.other)).confirmed


def test_mirrored_twice_is_the_same() -> None:
    features = local_features(crowded(3))
    twice = features.mirrored().mirrored()
    np.testing.assert_array_equal(features.descriptors, twice.descriptors)
    np.testing.assert_allclose(features.points, twice.points, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (64, 64)])
def test_plain_and_tiny_pictures_agree_with_nothing(shape: tuple[int, int]) -> None:
    plain = local_features(np.full((*shape, 3), 120, np.uint8))
    assert len(plain) == 0
    assert not agreement(plain, plain).confirmed
    assert not agreement(plain, local_features(crowded(1))).confirmed


def test_small_pictures_cannot_tell() -> None:
    assert can_tell(np.zeros((MIN_SIDE, 300, 3), np.uint8))
    assert not can_tell(np.zeros((MIN_SIDE - 1, 300, 3), np.uint8))


def test_stripes_and_grids_agree_with_nothing() -> None:
    def grid(step: int, start: int) -> Pixels:
        pixels = np.full((SIDE, SIDE, 3), 200, np.uint8)
        pixels[start::step] = 30
        pixels[:, start::step] = 30
        return pixels

    assert not agreement(local_features(grid(20, 3)), local_features(grid(27, 9))).confirmed


def test_a_code_at_any_place_seldom_makes_a_scene() -> None:
    """Its features spill over the cells beside it."""
    draw = np.random.default_rng(5)
    code = 255 * draw.integers(0, 2, (12, 12, 1)).repeat(4, axis=0).repeat(4, axis=1)
    confirmed = 0
    for seed, (left, top) in enumerate(draw.integers(0, 176, (20, 2)).tolist()):
        both = []
        for number in (seed, seed + 50):
            place = crowded(number)
            place[top : top + 48, left : left + 48] = code
            both.append(local_features(place))
        confirmed += agreement(*both).confirmed
    assert confirmed <= 6
