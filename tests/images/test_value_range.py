"""Files of more than 8 bits a channel: how much of their range they use, and pictures scaled by another one."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.images.decoding import Decoded, decode_file
from pipeline.workers.codec_messages import codec_messages
from tests.examples import encoded, picture
from tests.images.pictures import ingest, saved
from tests.images.test_decoding import icc_profile

TWELVE = (0.0, 4095.0)
RAMP = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) % 4096
COLOURS = np.dstack([RAMP, RAMP[::-1], RAMP.T.reshape(48, 64)]).astype(np.uint16)


def decoded(data: bytes, **changes: Any) -> Decoded:
    found = decode_file(data, ingest(size=512, **changes), codec_messages)
    assert isinstance(found, Decoded), found
    return found


def by_opencv(pixels: npt.NDArray[Any], ending: str = ".png") -> bytes:
    """A file of pixels in the order red, green, blue, alpha."""
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[
        pixels.ndim if pixels.ndim == 2 else pixels.shape[2]
    ]
    data: bytes = cv2.imencode(ending, pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes()
    return data


def scaled(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


WHOLE = (0.0, 65535.0)
DEEP: dict[str, tuple[bytes, float]] = {
    "grey PNG": (saved(Image.fromarray(RAMP), "PNG"), RAMP.max() / 65535),
    "grey TIFF": (saved(Image.fromarray(RAMP), "TIFF"), RAMP.max() / 65535),
    "whole numbers of 32 bits": (saved(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), RAMP.max() / 65535),
    "floats": (saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), RAMP.max() / 65535),
    # Of colours, Pillow keeps the upper 8 bits.
    "colour PNG": (by_opencv(COLOURS), 12 / 256),
    "colour TIFF": (by_opencv(COLOURS, ".tiff"), 12 / 256),
    "colour PNG with alpha": (by_opencv(np.dstack([COLOURS, np.full_like(RAMP, 65535)])), 12 / 256),
}


@pytest.mark.parametrize("name", DEEP)
def test_few_bits_in_a_file_of_many_are_a_fact_of_the_picture(name: str) -> None:
    data, share = DEEP[name]
    assert decoded(data).range_used == pytest.approx(share)
    assert decoded(data, value_range=TWELVE).pixels.max() > 180
    assert decoded(data).pixels.max() < 16


@pytest.mark.parametrize("name", DEEP)
def test_a_range_says_which_values_are_black_and_white(name: str) -> None:
    values = COLOURS if "colour" in name else np.dstack([RAMP] * 3)
    for low, high in (TWELVE, (100.0, 2000.0), (-50.0, 5000.0)):
        found = decoded(DEEP[name][0], value_range=(low, high))
        np.testing.assert_array_equal(found.pixels, scaled(values, low, high))


def test_what_is_transparent_stays_so_in_a_range() -> None:
    alpha = np.where(np.arange(64) < 32, 0, 65535).astype(np.uint16) * np.ones((48, 1), np.uint16)
    found = decoded(by_opencv(np.dstack([COLOURS, alpha])), value_range=TWELVE, background=(1, 2, 3))
    assert (found.pixels[:, :32] == (1, 2, 3)).all()
    np.testing.assert_array_equal(found.pixels[:, 32:], scaled(COLOURS, *TWELVE)[:, 32:])


def test_a_colour_profile_counts_in_a_range_too() -> None:
    data = DEEP["colour PNG"][0]
    plain = decoded(data, value_range=TWELVE).pixels
    small = encoded(picture(1), icc_profile=icc_profile())
    start = small.index(b"iCCP") - 4
    profile = small[start : start + 12 + int.from_bytes(small[start : start + 4])]
    managed = decoded(data[:33] + profile + data[33:], value_range=TWELVE).pixels
    expected = encoded(plain, icc_profile=icc_profile())
    np.testing.assert_array_equal(managed, decoded(expected).pixels)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000"])
def test_a_range_changes_no_picture_of_8_bits(file_format: str) -> None:
    for pixels in (picture(1) // 16, picture(1)[..., 0] // 16):
        data = encoded(pixels, file_format)
        found = decoded(data, value_range=TWELVE)
        np.testing.assert_array_equal(found.pixels, decoded(data).pixels)
        assert found.range_used == 1


@pytest.mark.parametrize(("top", "share"), [(65535, 1.0), (0, 0.0), (32767, 0.5)])
def test_the_share_is_of_what_16_bits_hold_or_of_a_range(top: int, share: float) -> None:
    for pixels in (np.full((8, 8), top, np.uint16), np.full((8, 8, 3), top, np.uint16)):
        data = by_opencv(pixels)
        assert decoded(data).range_used == pytest.approx(share, abs=0.002)
    assert decoded(saved(Image.fromarray(RAMP), "PNG"), value_range=(0, 30_710)).range_used == pytest.approx(
        0.1, abs=1e-3
    )


@pytest.mark.parametrize("wrong", [(5, 5), (6, 5), (0, float("inf")), (float("nan"), 1), (1,), "0-4095"])
def test_a_range_rises_and_has_two_numbers(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        ingest(value_range=wrong)
