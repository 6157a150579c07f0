"""What EXIF says of a picture: when it was taken and by what camera; nothing of it ever costs the picture."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.decoding import Decoded, decode_file
from pipeline.images.exif import MAX_CAMERA
from pipeline.images.normalising import unheard
from tests.examples import encoded, picture
from tests.images.exif import (
    CHANGED,
    DECIMALS,
    DIGITISED,
    DIGITISED_OFFSET,
    MAKE,
    MODEL,
    OFFSET,
    ORIENTATION,
    ORIGINAL,
    with_exif,
)
from tests.images.pictures import ingest

# Pillow warns of broken EXIF; a worker does not.
pytestmark = pytest.mark.filterwarnings("ignore")
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


def decoded(data: bytes) -> Decoded:
    found = decode_file(data, ingest(size=512), unheard)
    assert isinstance(found, Decoded), found
    return found


@pytest.mark.parametrize("file_format", FORMATS)
def test_time_and_camera_are_read_from_every_format_that_has_exif(file_format: str) -> None:
    found = decoded(with_exif({MAKE: "Maker", MODEL: "X100"}, {ORIGINAL: "2024:05:06 07:08:09"}, file_format))
    assert (found.taken, found.camera) == (datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), "Maker X100")


@pytest.mark.parametrize(
    ("details", "taken"),
    [
        ({ORIGINAL: "2024:05:06 07:08:09", OFFSET: "+02:00"}, datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ({ORIGINAL: "2024:05:06 07:08:09", OFFSET: "-05:30"}, datetime(2024, 5, 6, 12, 38, 9, tzinfo=UTC)),
        ({ORIGINAL: "2024:05:06 07:08:09", OFFSET: "   :  "}, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ({ORIGINAL: "2024:05:06 07:08:09", OFFSET: "+99:99"}, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ({ORIGINAL: "2024:05:06 07:08:09", DECIMALS: "25"}, datetime(2024, 5, 6, 7, 8, 9, 250_000, UTC)),
        ({ORIGINAL: "2024-05-06T07:08:09"}, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ({DIGITISED: "2024:05:06 07:08:09"}, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        (
            {ORIGINAL: "0000:00:00 00:00:00", DIGITISED: "2024:05:06 07:08:09", DIGITISED_OFFSET: "+01:00"},
            datetime(2024, 5, 6, 6, 8, 9, tzinfo=UTC),
        ),
        ({ORIGINAL: "0000:00:00 00:00:00"}, None),
        ({ORIGINAL: "2024:13:45 99:00:00"}, None),
        ({ORIGINAL: "0001:01:01 00:00:00", OFFSET: "+14:00"}, None),
        ({ORIGINAL: "    :  :     :  :  "}, None),
        ({ORIGINAL: "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_time_is_that_of_the_shutter_in_utc(details: dict[int, str], taken: datetime | None) -> None:
    # When a file was changed last is not when it was taken.
    assert decoded(with_exif({CHANGED: "2020:01:01 00:00:00"}, details)).taken == taken


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        (None, "iPhone 12", "iPhone 12"),
        ("Apple", None, "Apple"),
        ("  ", " ", ""),
        (None, None, ""),
        ("A\0rest", "B \n\x1b[31m  C", "A B [31m C"),
        ("x" * 500, "y", "x" * MAX_CAMERA),
    ],
)
def test_the_camera_is_one_short_line(make: str | None, model: str | None, camera: str) -> None:
    tags = {tag: value for tag, value in ((MAKE, make), (MODEL, model)) if value is not None}
    assert decoded(with_exif(tags, {})).camera == camera


def test_a_picture_without_exif_says_nothing() -> None:
    for data in (encoded(picture(1)), encoded(picture(1), "JPEG"), encoded(picture(1), "GIF")):
        assert (decoded(data).taken, decoded(data).camera) == (None, "")


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_byte_of_exif_costs_the_picture(data: st.DataObject) -> None:
    """Only turned may it be."""
    tags = {MAKE: "Maker", MODEL: "X100", ORIENTATION: 1}
    whole = with_exif(tags, {ORIGINAL: "2024:05:06 07:08:09", OFFSET: "+02:00"})
    start = whole.index(b"Exif\0\0") + 6
    length = int.from_bytes(whole[start - 8 : start - 6]) - 8
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=6)):
        damaged[start + place] = data.draw(st.integers(0, 255))
    found = decoded(bytes(damaged))
    assert sorted(found.pixels.shape) == [3, 16, 24]
    assert np.sort(found.pixels, axis=None).tolist() == np.sort(decoded(whole).pixels, axis=None).tolist()
    assert found.camera.isprintable()
    assert len(found.camera) <= MAX_CAMERA
