"""Any shape becomes a square: what crop, pad and stretch keep, and that a JPEG decoded small looks no different."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.pixels import decode, without_bars
from tests.examples import encoded, picture
from tests.images.pictures import BLUE, FITS, GREEN, RED, accepted, distance, flat, shown, smooth

BANDS = np.concatenate([flat(RED), flat(GREEN), flat(BLUE)], axis=1)


def test_crop_takes_the_middle() -> None:
    np.testing.assert_array_equal(shown(encoded(BANDS), fit="crop"), flat(GREEN))
    np.testing.assert_array_equal(shown(encoded(BANDS.swapaxes(0, 1)), fit="crop"), flat(GREEN))


def test_stretch_keeps_everything_in_its_place() -> None:
    wanted = np.repeat(np.array([RED, GREEN, BLUE], np.uint8)[None], 24, axis=0).repeat(8, axis=1)
    np.testing.assert_array_equal(shown(encoded(BANDS), size=24), wanted)
    np.testing.assert_array_equal(shown(encoded(BANDS.swapaxes(0, 1)), size=24), wanted.swapaxes(0, 1))


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(8, 32),
    file_format=st.sampled_from(["PNG", "JPEG"]),
)
@example(height=52, width=63, size=8, file_format="JPEG")
@settings(max_examples=60, deadline=None)
def test_pad_keeps_the_shape_and_puts_black_evenly_around(height: int, width: int, size: int, file_format: str) -> None:
    canvas = shown(encoded(np.full((height, width, 3), 255, np.uint8), file_format), fit="pad", size=size)
    for axis, length in ((0, height), (1, width)):
        bright = np.flatnonzero((canvas == 255).all(axis=2).any(axis=1 - axis))
        assert abs(len(bright) - max(1, length * size / max(height, width))) <= 0.5
        before, after = bright[0], size - 1 - bright[-1]
        assert 0 <= after - before <= 1
    assert set(np.unique(canvas)) <= {0, 255}


@given(shape=st.tuples(st.integers(1, 50), st.integers(1, 50)), fit=st.sampled_from(FITS), size=st.integers(8, 40))
@settings(max_examples=50, deadline=None)
def test_any_shape_becomes_a_square_of_the_size_asked_for(shape: tuple[int, int], fit: str, size: int) -> None:
    found = accepted(encoded(picture(1, *shape)), fit=fit, size=size)
    assert decode(found.image).shape == (size, size, 3)
    assert (found.facts["height"], found.facts["width"]) == shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1)])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_thinnest_pictures_keep_their_colour(shape: tuple[int, int], fit: str, file_format: str) -> None:
    data = encoded(np.full((*shape, 3), (90, 90, 90), np.uint8), file_format)
    np.testing.assert_array_equal(shown(data, fit=fit), flat((90, 90, 90)))


@given(
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    fit=st.sampled_from(FITS),
    size=st.sampled_from([8, 17, 64]),
)
@example(shape=(63, 52), fit="pad", size=8)
@settings(max_examples=50, deadline=None)
def test_jpeg_decoded_small_looks_like_the_full_decode(shape: tuple[int, int], fit: str, size: int) -> None:
    data = encoded(smooth(*shape), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        full = np.asarray(image.convert("RGB"))
    # A block of eight pixels that the edge cuts may move what lies there by part of a pixel shown.
    assert distance(shown(data, fit=fit, size=size), shown(encoded(full), fit=fit, size=size)) < 160 / size


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("width", [128, 1024])
def test_jpeg_is_never_decoded_smaller_than_it_is_shown(fit: str, width: int) -> None:
    # Stripes two pixels high at the size shown: half the resolution would turn them grey.
    size = 32 if fit != "pad" else width // 4
    stripes = np.where(np.arange(128) // 8 % 2, 255, 0).astype(np.uint8)
    data = encoded(np.tile(stripes[:, None, None], (1, width, 3)), "JPEG", quality=95)
    middle = shown(data, fit=fit, size=size)[size // 2 - 8 : size // 2 + 8]
    assert middle.std() > 0.45 * 255


@pytest.mark.parametrize("encoding", [{"name": "png"}, {"name": "jpeg", "quality": 60}])
def test_pixels_are_those_before_encoding(encoding: dict[str, object]) -> None:
    data = encoded(picture(1, 40, 30))
    found = accepted(data, encoding=encoding)
    np.testing.assert_array_equal(found.shown, shown(data))
    assert (decode(found.image) == found.shown).all() == (encoding["name"] == "png")


@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(8, 32))
@settings(max_examples=60, deadline=None)
def test_a_padded_picture_without_its_bars_is_the_picture(height: int, width: int, size: int) -> None:
    data = encoded(np.full((height, width, 3), 255, np.uint8))
    found, padded = accepted(data, fit="pad", size=size), shown(data, fit="pad", size=size)
    assert found.shown.size == np.count_nonzero(padded)
    assert (found.shown == 255).all()
    np.testing.assert_array_equal(without_bars(padded, width, height, "pad"), found.shown)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_only_pad_adds_bars(fit: str) -> None:
    pixels = shown(encoded(picture(1, 30, 60)), fit=fit)
    assert without_bars(pixels, 60, 30, fit) is pixels
