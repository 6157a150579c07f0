"""What a file holds is never an exception: limits, broken headers, cut files and noise become reasons."""

import importlib.util
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding import FORMATS
from pipeline.images.normalising import Picture, normalise
from pipeline.images.rejection import REASONS, Rejection
from pipeline.images.truncation import PNG_END
from pipeline.workers.codec_messages import codec_messages
from tests.examples import encoded, picture
from tests.images import test_decoding
from tests.images.pictures import FITS, accepted, distance, ingest, rejected, saved, shown, smooth
from tests.images.test_decoding import chunk

# Pillow warns of broken EXIF and large headers; a worker prints that and goes on.
pytestmark = pytest.mark.filterwarnings("ignore")
WITH_EXIF = ["JPEG", "PNG", "WEBP"]
ORIENTATION = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


def claiming(width: int, height: int) -> bytes:
    """A grey PNG file whose header claims a size; it holds no pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, four bytes of value)."""
    directory = b"".join(struct.pack("<HHI4s", *entry) for entry in sorted(entries))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + directory + bytes(4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="no content"),
        pytest.param(b"\0" * 500, "not_an_image", id="zeros"),
        pytest.param(b"apple,pear\n" * 50, "not_an_image", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image", id="vector graphics"),
        pytest.param(b"PK\x03\x04" + b"\0" * 60, "not_an_image", id="archive"),
        pytest.param(encoded(picture(1), "TGA"), "not_an_image", id="a format that accepts any bytes"),
        pytest.param(encoded(picture(1), "EPS"), "not_an_image", id="a format that runs a program"),
        pytest.param(encoded(picture(1), "PPM"), "not_an_image", id="a format beyond the list"),
    ],
)
def test_what_is_no_image_says_so(data: bytes, reason: str) -> None:
    assert rejected(data).reason == reason


def test_file_that_is_no_image_is_told_which_formats_are() -> None:
    assert rejected(b"text").detail == f"its content is in none of the formats {', '.join(FORMATS)}, HEIC"


def test_limit_on_bytes_is_the_last_size_that_passes() -> None:
    data = encoded(picture(1))
    assert accepted(data, max_bytes=len(data)).facts["bytes"] == len(data)
    found = rejected(data, max_bytes=len(data) - 1)
    assert found == Rejection("too_many_bytes", f"{len(data)} bytes, the limit is {len(data) - 1}")


def test_limit_on_pixels_is_the_last_size_that_passes() -> None:
    data = encoded(picture(1, 10, 20))
    assert accepted(data, max_pixels=200).facts["width"] == 20
    assert rejected(data, max_pixels=199) == Rejection("too_many_pixels", "20 x 10 pixels, the limit is 199")


def test_limit_on_a_side_is_the_last_that_passes() -> None:
    data = encoded(picture(1, 10, 20))
    assert accepted(data, max_side=20).facts["width"] == 20
    assert rejected(data, max_side=19) == Rejection("side_too_long", "20 x 10 pixels, the limit of a side is 19")


@pytest.mark.parametrize("shape", [(1, 60), (60, 1)])
def test_strip_is_refused_by_the_ratio_of_its_sides(shape: tuple[int, int]) -> None:
    data = encoded(picture(1, *shape))
    assert isinstance(normalise(data, ingest(max_aspect=60)), Picture)
    assert rejected(data, max_aspect=59.5) == Rejection(
        "strip", f"{shape[1]} x {shape[0]} pixels, the limit is 59.5 to 1"
    )


@pytest.mark.parametrize("side", [8_000, 10_000, 20_000, 2**31 - 1])
def test_header_that_claims_too_much_is_refused_before_decoding_by_the_limit_of_params(side: int) -> None:
    found = rejected(claiming(side, side), max_pixels=50_000_000)
    assert found == Rejection("too_many_pixels", f"{side} x {side} pixels, the limit is 50000000")


def test_no_other_limit_than_that_of_params_holds() -> None:
    found = rejected(claiming(20_000, 10_000), max_pixels=200_000_000)
    assert found.reason == "truncated"


@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"Exif\0\0", id="nothing in it"),
        pytest.param(b"Exif\0\0II*\0", id="cut off"),
        pytest.param(b"Exif\0\0" + bytes(40), id="zeros"),
        pytest.param(b"Exif\0\0I", id="cut off at once"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40, id="absurd entries"),
        pytest.param(exif_of((0x0112, 3, 1, struct.pack("<HH", 0, 0))), id="orientation 0"),
        pytest.param(exif_of((0x0112, 3, 1, struct.pack("<HH", 9, 0))), id="orientation 9"),
        pytest.param(exif_of((0x0112, 2, 2, b"6\0\0\0")), id="orientation in words"),
        pytest.param(exif_of((0x0112, 3, 0, bytes(4))), id="orientation without a value"),
    ],
)
@pytest.mark.parametrize("file_format", WITH_EXIF)
def test_exif_without_a_known_orientation_leaves_the_picture_upright(exif: bytes, file_format: str) -> None:
    data = encoded(smooth(8, 16), file_format, exif=exif)
    found = accepted(data)
    assert (found.facts["width"], found.facts["height"]) == (16, 8)
    assert distance(shown(data), shown(encoded(smooth(8, 16)))) < 8


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param((0x010F, 2, 4, b"abc\0"), id="a good one"),
        pytest.param((0x0100, 2, 3, b"16\0\0"), id="width in words"),
        pytest.param((0x010F, 3, 1, struct.pack("<HH", 7, 0)), id="maker as a number"),
        pytest.param((0x8769, 2, 4, b"abc\0"), id="place of a directory in words"),
        pytest.param((0x011A, 7, 4, b"\xff\xff\xff\xff"), id="resolution as bytes"),
        pytest.param((0x0131, 99, 4, b"abc\0"), id="a type that does not exist"),
        pytest.param((0x0131, 2, 2**31, b"abc\0"), id="more text than the file has"),
    ],
)
@pytest.mark.parametrize("file_format", WITH_EXIF)
def test_orientation_counts_whatever_its_neighbours_in_exif(
    neighbour: tuple[int, int, int, bytes], file_format: str
) -> None:
    found = accepted(encoded(smooth(8, 16), file_format, exif=exif_of(ORIENTATION, neighbour)))
    assert (found.facts["width"], found.facts["height"]) == (8, 16)


TILES = encoded(picture(1), "JPEG2000", tile_size=(8, 8))


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG2000 file with a box before the picture that holds the markers of a JPEG file."""
    box = struct.pack(">I4s16s4s", 28, b"uuid", bytes(16), b"\xff\xd8\xff\xd9")
    place = data.index(b"jp2c") - 4
    return data[:place] + box + data[place:]


def tiff_of_floats() -> bytes:
    """A TIFF file of a red, a green and a blue pixel of floats."""
    found, data = cv2.imencode(".tiff", np.eye(3, dtype=np.float32)[None])
    assert found
    return data.tobytes()


def frames(file_format: str, **options: Any) -> bytes:
    """A file of two small pictures."""
    first, second = (Image.fromarray(picture(seed, 6, 8)) for seed in (1, 2))
    return saved(first, file_format, save_all=True, append_images=[second], **options)


# Several pictures in a file, of which the first counts, and the further ways in which formats hold one.
WAYS = {
    "progressive JPEG": encoded(picture(1), "JPEG", progressive=True),
    "TIFF of JPEG": encoded(picture(1), "TIFF", compression="jpeg"),
    "TIFF, LZW": encoded(picture(1), "TIFF", compression="tiff_lzw"),
    "TIFF, most significant byte first": saved(Image.fromarray(picture(1)[..., 0].astype(">u2")), "TIFF"),
    "TIFF, deflated": encoded(picture(1), "TIFF", compression="tiff_adobe_deflate"),
    "WEBP, lossless": encoded(picture(1), "WEBP", lossless=True),
    "JPEG2000 of tiles": TILES,
    "JPEG2000 of tiles with a thumbnail": with_thumbnail(TILES),
    "JPEG2000, codestream alone": saved(Image.fromarray(picture(1)), "JPEG2000", no_jp2=True),
    **{f"{name}, two pictures": frames(name) for name in ("MPO", "PNG", "WEBP", "GIF", "AVIF", "TIFF")},
}
if importlib.util.find_spec("pillow_heif"):
    importlib.import_module("pillow_heif").register_heif_opener()
    WAYS |= {
        "HEIF": encoded(picture(1), "HEIF", quality=90),
        "HEIF, grey": encoded(picture(1)[..., 0], "HEIF"),
        "HEIF, two pictures": frames("HEIF"),
    }


@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(encoded(picture(1), name), id=name) for name in FORMATS),
        *(pytest.param(data, id=name) for name, data in WAYS.items()),
    ],
)
def test_cut_file_is_refused_or_shows_the_whole_picture(data: bytes) -> None:
    whole = accepted(data).image
    found = {length: normalise(data[:length], ingest()) for length in range(1, len(data))}
    broken = [length for length, cut in found.items() if isinstance(cut, Picture) and cut.image != whole]
    assert broken == []
    reasons = {length: cut.reason for length, cut in found.items() if isinstance(cut, Rejection)}
    assert reasons[1] == "not_an_image"
    # As soon as it is known what the file was to be.
    assert {reason for length, reason in reasons.items() if length >= 12} == {"truncated"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(encoded(picture(1))[:8] + bytes(80) + PNG_END, "PNG", id="PNG without a header"),
        pytest.param(b"\xff\xd8\xff" + bytes(80) + b"\xff\xd9", "JPEG", id="JPEG without a header"),
        pytest.param(b"GIF89a" + bytes(3) + b";", "GIF", id="GIF without a header"),
        pytest.param(tiff_of_floats(), "TIFF", id="TIFF of a kind that Pillow does not read"),
        pytest.param(b"\0\0\0\x10ftypavif\0\0\0\0\0\0\0\x08mdat", "AVIF or HEIC", id="AVIF without a header"),
    ],
)
def test_what_begins_as_an_image_and_is_whole_is_no_other_kind_of_file(data: bytes, kind: str) -> None:
    words = f"it starts like {kind}, but its header is damaged or of an unsupported kind"
    assert rejected(data) == Rejection("undecodable", words)


def test_a_damaged_file_that_has_its_end_is_not_called_cut() -> None:
    whole = encoded(smooth(200, 200))
    place = whole.index(b"IDAT") + 9
    assert rejected(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]).reason == "undecodable"


HEADS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\0\0\0\0WEBP",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf",
    b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
    b"RIFF\0\0\0\0WEBPVP8X",
]


@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=200), fit=st.sampled_from(FITS))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_picture_or_a_reason(head: bytes, tail: bytes, fit: str) -> None:
    assert isinstance(normalise(head + tail, ingest(fit=fit)), Picture | Rejection)


EXIF = exif_of(ORIENTATION, (0x010F, 2, 4, b"abc\0"))
FILES = [encoded(picture(1, 12, 20), name, **({"exif": EXIF} if name in WITH_EXIF else {})) for name in FORMATS]
FILES += [*test_decoding.FILES.values(), *WAYS.values()]


@given(data=st.data(), fit=st.sampled_from(FITS))
@settings(max_examples=600, deadline=None)
def test_damaged_file_is_a_square_picture_or_a_reason(data: st.DataObject, fit: str) -> None:
    damaged = bytearray(data.draw(st.sampled_from(FILES)))
    # Headers stand in front, and are where damage is interesting.
    place = st.one_of(st.integers(0, min(200, len(damaged)) - 1), st.integers(0, len(damaged) - 1))
    for number, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=6)):
        damaged[number] = value
    missing = data.draw(st.sampled_from([0.0, 0.5]))
    found = normalise(bytes(damaged), ingest(fit=fit, max_missing=missing), codec_messages)
    if isinstance(found, Picture):
        with Image.open(io.BytesIO(found.image)) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (16, 16))
        assert np.isfinite([found.facts[name] for name in ("brightness", "contrast", "sharpness", "saturation")]).all()
    else:
        assert found.reason in REASONS
        assert found.detail
