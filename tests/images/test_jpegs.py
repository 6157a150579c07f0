"""JPEGs without their end, damaged ones, lossless ones: the same outcome whatever their mode and scale."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decoding import Decoded, decode_file
from pipeline.images.jpeg_decoding import NO_END, PREMATURE
from pipeline.images.jpegs import END, has_all_scans, is_lossless, lacks_end, whole_rows, with_end
from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.workers.codec_messages import codec_messages
from tests.examples import encoded, picture
from tests.images.pictures import ingest, saved, smooth
from tests.images.test_decoding import BACKGROUND, icc_profile

SIDE = 96
PHOTO = np.clip(smooth(SIDE, 80).astype(int) + picture(1, SIDE, 80) % 24, 0, 255).astype(np.uint8)


def grey_profile() -> bytes:
    """A profile of one colour, which Pillow reads as one for grey pictures."""
    return icc_profile(b"GRAY")


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    return saved(Image.fromarray(PHOTO).convert(mode), "JPEG", quality=90, **options)


KINDS: dict[str, bytes] = {
    "baseline": jpeg(),
    "subsampled": jpeg(subsampling=2),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_rows=1),
    "grey": jpeg("L"),
    "grey with a profile": jpeg("L", icc_profile=grey_profile()),
    "grey, progressive": jpeg("L", progressive=True),
    "inks": jpeg("CMYK"),
    "inks, progressive": jpeg("CMYK", progressive=True),
}


def outcome(data: bytes, **changes: Any) -> Decoded | Rejection:
    return decode_file(data, ingest(**{"size": 512, **changes}), codec_messages)


def decoded(data: bytes, **changes: Any) -> Decoded:
    found = outcome(data, **changes)
    assert isinstance(found, Decoded), found
    return found


def bits(*codes: tuple[int, int]) -> bytes:
    """Values of so many bits, one after the other, filled up with ones; 255 is followed by 0, as T.81 has it."""
    text = "".join(f"{value:0{length}b}" for value, length in codes if length)
    text += "1" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")


def lossless(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A lossless JPEG (T.81, annex H, SOF3) of grey pixels, each told by its difference to the left one."""
    values = pixels.astype(int)
    left = np.hstack([np.vstack([[[128]], values[:-1, :1]]), values[:, :-1]])
    codes = []
    for difference in (values - left).ravel().tolist():
        size = abs(difference).bit_length()
        codes += [(size, 4), (difference if difference >= 0 else difference + (1 << size) - 1, size)]
    height, width = pixels.shape
    frame = bytes([8, *height.to_bytes(2), *width.to_bytes(2), 1, 1, 0x11, 0])
    table = bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)])  # nine codes of 4 bits
    segments = [(0xC3, frame), (0xC4, table), (0xDA, bytes([1, 1, 0, 1, 0, 0]))]
    return (
        b"\xff\xd8"
        + b"".join(bytes([0xFF, kind]) + (len(body) + 2).to_bytes(2) + body for kind, body in segments)
        + bits(*codes)
        + END
    )


@pytest.mark.parametrize("zeros", [0, 3000])
@pytest.mark.parametrize("without", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_whole(kind: str, without: int, zeros: int, limit: float) -> None:
    whole = decoded(KINDS[kind])
    assert whole.warning == ""
    found = decoded(KINDS[kind][:-without] + bytes(zeros), max_missing=limit)
    np.testing.assert_array_equal(found.pixels, whole.pixels)
    assert found.warning == NO_END


@pytest.mark.parametrize("zeros", [0, 30_000])
@pytest.mark.parametrize("share", [0.95, 0.6])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
def test_a_cut_jpeg_lacks_the_rows_that_other_bytes_would_change(kind: str, share: float, zeros: int) -> None:
    """A download that stopped may have zeros up to the length that was expected."""
    whole = decoded(KINDS[kind]).pixels
    cut = KINDS[kind][: int(share * len(KINDS[kind]))] + bytes(zeros)
    # What any decoder makes of it.
    wrong = (decoded(cut, max_missing=1.0, background=BACKGROUND).pixels != whole).reshape(SIDE, -1).any(axis=1)
    missing = f"{1 - int(wrong.argmax()) / SIDE:.1%} of its rows are missing"
    assert 1 < int(wrong.argmax()) < SIDE - 1
    assert decoded(cut, max_missing=1.0).warning == missing
    assert outcome(cut) == Rejection("truncated", f"{missing}, the limit is 0.0%")


def test_a_progressive_jpeg_without_its_last_scans_lacks_something_in_all_rows() -> None:
    data = KINDS["progressive"]
    cut = data[: data.rindex(b"\xff\xda") - 1]
    words = "some of its scans are missing, so all of its rows are incomplete"
    assert outcome(cut, max_missing=0.99) == Rejection("truncated", f"{words}, the limit is 99.0%")
    # Let in, it shows what there is, no plain background.
    found = decoded(cut, max_missing=1.0)
    assert found.warning == words
    assert np.abs(found.pixels.astype(int) - decoded(data).pixels).mean() < 8


def test_a_progressive_jpeg_that_is_cut_in_its_last_scan_lacks_the_rows_behind_the_cut() -> None:
    data = KINDS["progressive"]
    start = data.rindex(b"\xff\xda")
    found = decoded(data[: (start + len(data)) // 2], max_missing=0.9, background=BACKGROUND)
    rows = int((found.pixels != BACKGROUND).any(axis=(1, 2)).nonzero()[0].max()) + 1
    assert 10 < rows < SIDE - 10
    np.testing.assert_array_equal(found.pixels[:rows], decoded(data).pixels[:rows])


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(sorted(KINDS)), share=st.floats(0, 1, exclude_max=True), size=st.sampled_from([16, 512]))
def test_rows_that_a_cut_jpeg_keeps_are_those_of_the_whole_one(kind: str, share: float, size: int) -> None:
    whole, cut = decoded(KINDS[kind], size=size), KINDS[kind][: int(share * len(KINDS[kind]))]
    found = outcome(cut, size=size, max_missing=0.999, background=BACKGROUND)
    if isinstance(found, Decoded):
        kept = (found.pixels == whole.pixels).reshape(len(whole.pixels), -1).all(axis=1)
        blank = (found.pixels == BACKGROUND).reshape(len(whole.pixels), -1).all(axis=1)
        assert (kept | blank).all()
        assert found.warning


@settings(deadline=None, max_examples=40)
@given(kind=st.sampled_from(sorted(KINDS)), lost=st.integers(1, 60), size=st.sampled_from([8, 16, 40]))
def test_what_a_cut_jpeg_lacks_is_told_alike_at_every_scale(kind: str, lost: int, size: int) -> None:
    """Of a few bytes that only fine structure needs, a small picture shows nothing."""
    cut = KINDS[kind][:-lost]
    small, large = outcome(cut, size=size, max_missing=1.0), outcome(cut, max_missing=1.0)
    assert isinstance(small, Decoded) == isinstance(large, Decoded)
    if isinstance(small, Decoded) and isinstance(large, Decoded):
        assert small.warning == large.warning


def test_a_jpeg_that_is_cut_where_it_restarts_lacks_what_would_follow() -> None:
    data = KINDS["restarts"]
    whole = decoded(data).pixels
    for marker in range(0xD0, 0xD4):
        at = data.index(bytes([0xFF, marker]))
        for cut in (data[:at], data[: at + 1], data[: at + 2], data[: at + 3]):
            found = decoded(cut, max_missing=0.999, background=BACKGROUND)
            # One row above the cut takes half of its colours from below.
            rows = 16 * (marker - 0xD0 + 1) - 1
            np.testing.assert_array_equal(found.pixels[:rows], whole[:rows])
            assert (found.pixels[rows:] == BACKGROUND).all()
            assert found.warning == f"{1 - rows / SIDE:.1%} of its rows are missing"


def zeroed(data: bytes) -> bytes:
    """A fifth of what is coded, gone."""
    start = data.index(b"\xff\xda") + 20
    length = (len(data) - start) // 5
    return data[: start + length] + bytes(length) + data[start + 2 * length :]


@pytest.mark.parametrize("size", [16, 512])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_told_whatever_the_mode_of_a_jpeg(kind: str, size: int) -> None:
    found = outcome(zeroed(KINDS[kind]), size=size)
    words = found.detail if isinstance(found, Rejection) else found.warning
    assert words.startswith("Corrupt JPEG data: "), found
    assert isinstance(found, Rejection) == (PREMATURE in words)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_too_many_are_told_whatever_the_mode_of_a_jpeg(kind: str) -> None:
    data = KINDS[kind]
    found = normalise(data[:-2] + b"\x12\x34\x56\x78" * 5 + END, ingest(codec_warnings="reject"), codec_messages)
    assert isinstance(found, Rejection)
    assert found.reason == "codec_warning"
    assert "extraneous bytes" in found.detail


def test_grey_with_a_profile_is_that_of_pillow_at_any_scale() -> None:
    for size, scale in ((512, 1), (30, 2), (15, 4)):
        image = Image.open(io.BytesIO(KINDS["grey"]))
        image.draft(None, (-(-80 // scale), -(-SIDE // scale)))
        found = decoded(KINDS["grey with a profile"], size=size)
        np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))


def lost(cut: bytes) -> str:
    """Of a cut lossless file: the share of rows behind the first one that differs."""
    differs = (decoded(cut, max_missing=1.0, background=BACKGROUND).pixels[..., 0] != smooth(100, 70)[..., 0]).any(
        axis=1
    )
    assert 0 < differs.argmax() < 99
    return f"{1 - differs.argmax() / 100:.1%}"


@pytest.mark.parametrize("size", [8, 16, 40, 512])
def test_a_lossless_jpeg_is_accepted_whether_or_not_it_is_shrunk(size: int) -> None:
    pixels = smooth(100, 70)[..., 0]
    data = lossless(pixels)
    assert is_lossless(data)
    np.testing.assert_array_equal(decoded(data, size=size).pixels, np.dstack([pixels] * 3))
    assert isinstance(normalise(data, ingest(size=size), codec_messages), Picture)
    assert decoded(data, size=size).warning == ""
    assert decoded(data[:-2], size=size).warning == NO_END
    # libjpeg says nothing of one that ends too soon.
    for cut in (data[:-200], data[:-200] + END):
        assert outcome(cut, size=size) == Rejection(
            "truncated", f"{lost(cut)} of its rows are missing, the limit is 0.0%"
        )


def test_what_markers_say_is_read_and_no_thumbnail_is_taken_for_it() -> None:
    thumbnail = jpeg(exif=b"Exif\0\0" + KINDS["progressive"])
    assert not is_lossless(thumbnail)
    assert not lacks_end(thumbnail)
    assert lacks_end(thumbnail[:-2])
    assert not lacks_end(thumbnail + b"more behind the end")
    for data in KINDS.values():
        assert has_all_scans(data[:-2])
        assert with_end(data[:-2]) == data
    progressive = KINDS["progressive"]
    assert not has_all_scans(progressive[: progressive.rindex(b"\xff\xda")])
    assert not has_all_scans(b"\xff\xd8" + END)
    # Half a table, half a marker.
    at = progressive.rindex(b"\xff\xc4")
    assert with_end(progressive[: at + 9]) == with_end(progressive[: at + 3]) == with_end(progressive[: at + 1])
    assert with_end(progressive[:at]) == progressive[:at] + END


def test_pixels_beyond_the_limit_of_missing_rows_never_come_from_nothing() -> None:
    """A cut before the first row is whole leaves nothing."""
    data = KINDS["baseline"]
    start = data.index(b"\xff\xda") + 14
    assert outcome(data[: start + 3], max_missing=0.99) == Rejection(
        "truncated", "100.0% of its rows are missing, the limit is 99.0%"
    )


def flat_pixels(value: int) -> Pixels:
    return np.full((SIDE, 80, 3), value, np.uint8)


def test_a_plain_picture_without_its_end_marker_is_whole() -> None:
    """Other bytes behind its end change nothing, and neither do they behind most cuts of it."""
    assert decoded(encoded(flat_pixels(128), "JPEG")[:-2]).warning == NO_END


def test_rows_that_libjpeg_decodes_in_another_way_near_the_end_are_not_missing() -> None:
    """It does so with damaged data: other bytes behind the cut then make another picture, but all of them the same."""
    shown, far = flat_pixels(128), flat_pixels(128)
    far[90:] = 7

    def decode(data: bytes) -> Pixels:
        return shown if len(data) < 100 else far

    def lacking(data: bytes) -> Pixels:
        pixels = decode(data).copy()
        pixels[80:] += data[-50]
        return pixels

    cut = b"\xff\xd8" + bytes(50)
    assert whole_rows(cut, decode, shown) == SIDE
    assert whole_rows(cut, lacking, shown) == 80
