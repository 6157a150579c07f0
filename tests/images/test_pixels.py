"""What shards hold are the files that Pillow would write, and their pixels are those that Pillow would read."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.pixels import Pixels, decode, encode
from pipeline.stages.ingest.params import JpegEncoding, PngEncoding

PNG = PngEncoding(name="png")
ENCODINGS = [PNG, JpegEncoding(name="jpeg", quality=90)]


def picture(seed: int, height: int, width: int, grain: int = 60, grey: bool = False) -> Pixels:
    """Smooth in parts, and noisy: grain 0 is one colour."""
    random = np.random.default_rng(seed)
    shape = (height, width) if grey else (height, width, 3)
    noise = random.normal(0, grain, shape)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(shape)
    return np.clip(random.integers(0, 256) + 3 * smooth + noise / 4, 0, 255).astype(np.uint8)


def by_pillow(pixels: Pixels, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    grain=st.sampled_from([0, 5, 60, 200]),
    grey=st.booleans(),
    quality=st.integers(1, 100),
)
@settings(max_examples=150, deadline=None)
def test_jpegs_are_those_of_pillow(seed: int, shape: tuple[int, int], grain: int, grey: bool, quality: int) -> None:
    pixels = picture(seed, *shape, grain, grey)
    data = encode(pixels, JpegEncoding(name="jpeg", quality=quality))
    assert data == by_pillow(pixels, quality)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pixels_go_into_memory_of_their_shape(encoding: PngEncoding | JpegEncoding) -> None:
    data = encode(picture(1, 20, 30), encoding)
    batch = np.zeros((3, 20, 30, 3), np.uint8)
    place = batch[1]
    assert decode(data, place) is place
    np.testing.assert_array_equal(batch[1], decode(data))
    assert not batch[[0, 2]].any()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", [(30, 20, 3), (20, 15, 3), (10, 60, 3), (40, 60, 3)])
def test_memory_of_another_shape_is_left_alone(
    encoding: PngEncoding | JpegEncoding, shape: tuple[int, int, int]
) -> None:
    place = np.zeros(shape, np.uint8)
    found = decode(encode(picture(1, 20, 30), encoding), place)
    assert found.shape == (20, 30, 3)
    assert not place.any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pixels_in_memory_of_their_own_cannot_be_changed(encoding: PngEncoding | JpegEncoding) -> None:
    assert not decode(encode(picture(1, 20, 30), encoding)).flags.writeable


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_cut_anywhere_is_refused_or_lacks_no_pixel(encoding: PngEncoding | JpegEncoding) -> None:
    data = encode(picture(1, 20, 30), encoding)
    accepted = []
    for length in range(len(data)):
        try:
            found = decode(data[:length])
        except Exception:  # noqa: BLE001 - any refusal will do
            continue
        accepted.append(length)
        np.testing.assert_array_equal(found, decode(data))
    # At the end of a PNG are checksums, and that it ends.
    assert min(accepted, default=len(data)) > len(data) - 24


@given(place=st.integers(2, 10_000), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_jpeg_is_refused_or_has_the_pixels_that_pillow_makes_of_it(place: int, value: int) -> None:
    data = bytearray(encode(picture(2, 40, 30), JpegEncoding(name="jpeg", quality=90)))
    data[2 + place % (len(data) - 2)] = value
    try:
        found = decode(bytes(data))
    except Exception:  # noqa: BLE001 - any refusal will do
        return
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))
