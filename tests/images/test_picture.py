"""Files of every kind become one kind of picture, encoded, with its facts."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding import FORMATS
from pipeline.images.pixels import Pixels, decode, encode
from pipeline.manifest import FACTS
from pipeline.stages.ingest.params import JpegEncoding, PngEncoding
from tests.examples import encoded, picture
from tests.images.pictures import (
    BLACK,
    BLUE,
    FITS,
    GREEN,
    RED,
    WHITE,
    accepted,
    distance,
    flat,
    of_mode,
    of_palette,
    saved,
    shown,
    smooth,
    wide,
)

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "TIFF": {}, "JPEG2000": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_is_read(file_format: str) -> None:
    data = encoded(smooth(16, 16), file_format)
    found = accepted(data)
    assert distance(decode(found.image), smooth(16, 16)) < 8
    assert (found.facts["format"], found.facts["bytes"]) == (file_format, len(data))
    assert (found.facts["width"], found.facts["height"]) == (16, 16)


@pytest.mark.parametrize("file_format", LOSSLESS)
@pytest.mark.parametrize("fit", FITS)
def test_lossless_picture_of_the_right_size_is_left_as_it_is(file_format: str, fit: str) -> None:
    data = encoded(picture(1), file_format, **LOSSLESS[file_format])
    np.testing.assert_array_equal(shown(data, fit=fit), picture(1))


@pytest.mark.parametrize(
    ("file_format", "named"),
    [
        pytest.param("GIF", "GIF", id="animation"),
        pytest.param("WEBP", "WEBP", id="animation of photos"),
        pytest.param("AVIF", "AVIF", id="image sequence"),
        pytest.param("TIFF", "TIFF", id="pages"),
        pytest.param("MPO", "JPEG", id="a phone's JPEG with a second picture inside"),
    ],
)
def test_first_of_several_frames_counts(file_format: str, named: str) -> None:
    frames = [Image.fromarray(flat(colour)) for colour in (RED, BLUE)]
    data = saved(frames[0], file_format, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as written:
        assert (written.format, getattr(written, "n_frames", 1)) == (file_format, 2)
    found = accepted(data)
    assert distance(decode(found.image), flat(RED)) < 4
    assert found.facts["format"] == named


def unsigned_tiff(value: int) -> bytes:
    """A flat TIFF file of whole numbers of 32 bits without a sign, as Pillow does not write them."""
    data = bytearray(saved(wide(0, "int32"), "TIFF"))
    place = data.index(struct.pack("<HHI", 339, 3, 1))
    data[place + 8 : place + 10] = struct.pack("<H", 1)
    return bytes(data[: -4 * 256]) + struct.pack("<I", value) * 256


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        pytest.param(saved(of_mode("L", 100), "PNG"), (100, 100, 100), id="grey"),
        pytest.param(saved(of_mode("1", 1), "PNG"), WHITE, id="one bit, white"),
        pytest.param(saved(of_mode("1", 0), "TIFF"), BLACK, id="one bit, black"),
        pytest.param(saved(of_mode("CMYK", (0, 255, 255, 0)), "JPEG"), RED, id="inks, as JPEG"),
        pytest.param(saved(of_mode("CMYK", (255, 0, 255, 0)), "TIFF"), GREEN, id="inks, as TIFF"),
        pytest.param(saved(wide(0x8080, "uint16"), "PNG"), (128, 128, 128), id="16 bits, PNG"),
        pytest.param(saved(wide(0x8080, "uint16"), "TIFF"), (128, 128, 128), id="16 bits, TIFF"),
        pytest.param(saved(wide(0x8080, ">u2"), "TIFF"), (128, 128, 128), id="16 bits, most significant first"),
        pytest.param(saved(wide(200, "uint16"), "PNG"), (1, 1, 1), id="16 bits, dark: not stretched to its own range"),
        pytest.param(saved(wide(65535, "int32"), "TIFF"), WHITE, id="32 bits"),
        pytest.param(saved(wide(1 << 30, "int32"), "TIFF"), (128, 128, 128), id="32 bits, beyond 16"),
        pytest.param(unsigned_tiff(0xC0C0C0C0), (192, 192, 192), id="32 bits without a sign, beyond 31"),
        pytest.param(unsigned_tiff(200), (200, 200, 200), id="32 bits without a sign that hold 8"),
        pytest.param(saved(wide(-5, "int32"), "TIFF"), BLACK, id="below 0"),
        pytest.param(saved(wide(0.2, "float32"), "TIFF"), (51, 51, 51), id="floats up to 1"),
        pytest.param(saved(wide(np.nan, "float32"), "TIFF"), BLACK, id="not a number"),
        pytest.param(saved(of_mode("LA", (0, 0)), "PNG"), WHITE, id="grey, transparent"),
        pytest.param(saved(of_mode("LA", (0, 128)), "PNG"), (127, 127, 127), id="grey, half transparent"),
        pytest.param(saved(of_mode("RGBA", (*RED, 0)), "PNG"), WHITE, id="colour, transparent"),
        pytest.param(saved(of_mode("RGBA", (*RED, 51)), "PNG"), (255, 204, 204), id="colour, four fifths transparent"),
        pytest.param(saved(of_mode("RGBA", (*RED, 0)), "WEBP"), WHITE, id="colour, transparent, WEBP"),
        pytest.param(saved(of_palette(7), "PNG", transparency=7), WHITE, id="palette with a transparent entry"),
        pytest.param(saved(of_palette(8), "PNG", transparency=7), (8, 128, 255), id="palette, another entry"),
        pytest.param(saved(of_palette(8), "PNG", transparency=bytes([0] * 9)), WHITE, id="palette with many of them"),
        pytest.param(saved(of_palette(7), "GIF", transparency=7), WHITE, id="palette, transparent, GIF"),
        pytest.param(saved(of_mode("L", 9), "PNG", transparency=9), WHITE, id="a grey that means transparent"),
        pytest.param(
            saved(of_mode("RGB", BLUE), "PNG", transparency=BLUE), WHITE, id="a colour that means transparent"
        ),
        pytest.param(saved(of_mode("RGB", RED), "PNG", transparency=BLUE), RED, id="another colour does"),
    ],
)
def test_every_kind_of_pixel_becomes_rgb_over_white(data: bytes, colour: tuple[int, ...]) -> None:
    # Inks lose a step or two on their way.
    assert np.abs(shown(data).astype(int) - flat(colour)).max() <= 2


# The EXIF standard says where row 0 and column 0 of the stored picture belong on the upright one.
STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda upright: upright[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        pytest.param("PNG", {}, id="PNG"),
        pytest.param("TIFF", {}, id="TIFF"),
        pytest.param("WEBP", {"lossless": True}, id="WEBP"),
        pytest.param("JPEG", {"quality": 100, "subsampling": 0}, id="JPEG"),
        pytest.param("AVIF", {"quality": 100, "subsampling": "4:4:4"}, id="AVIF"),
    ],
)
def test_every_orientation_gives_the_same_upright_picture(
    orientation: int, fit: str, file_format: str, options: dict[str, Any]
) -> None:
    upright = smooth(40, 64)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(np.ascontiguousarray(STORED[orientation](upright)), file_format, exif=exif, **options)
    found = accepted(data, fit=fit)
    assert distance(decode(found.image), shown(encoded(upright), fit=fit)) < 2
    assert (found.facts["width"], found.facts["height"]) == (64, 40)


@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_png_gives_back_every_pixel(shape: tuple[int, int], seed: int) -> None:
    pixels = picture(seed, *shape)
    np.testing.assert_array_equal(decode(encode(pixels, PngEncoding(name="png"))), pixels)


@pytest.mark.parametrize("encoding", [PngEncoding(name="png"), JpegEncoding(name="jpeg", quality=95)])
def test_grey_pixels_come_back_as_three_equal_channels(encoding: PngEncoding | JpegEncoding) -> None:
    grey = smooth(16, 16)[..., 0]
    found = decode(encode(grey, encoding))
    assert distance(found, np.stack([grey] * 3, axis=2)) < 2
    assert (found == found[..., :1]).all()


def test_picture_is_encoded_as_params_say() -> None:
    data = encoded(smooth(16, 16))
    coarse, fine = (accepted(data, encoding={"name": "jpeg", "quality": quality}).image for quality in (10, 95))
    assert accepted(data).image.startswith(b"\x89PNG")
    assert coarse.startswith(b"\xff\xd8\xff")
    assert len(coarse) < len(fine)
    assert distance(decode(fine), smooth(16, 16)) < distance(decode(coarse), smooth(16, 16))


def test_facts_are_those_of_the_manifest() -> None:
    facts = dict(accepted(encoded(smooth(9, 16))).facts)
    table = pa.Table.from_pylist([facts], schema=FACTS)
    assert list(facts) == FACTS.names
    assert table.to_pylist()[0]["height"] == 9
