"""PNGs: palettes missing or too short, and what is packed beside the picture; what Pillow logs of a file."""

import logging
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.images.decoding import Decoded
from pipeline.images.rejection import Rejection
from tests.examples import encoded, picture
from tests.images.pictures import of_palette, saved, smooth
from tests.images.test_decoding import ALPHA, chunk
from tests.images.test_jpegs import outcome

TEXT = 1_100_000


def without(data: bytes, kind: bytes) -> bytes:
    """A PNG less its chunks of a kind."""
    kept, at = data[:8], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kept += data[at:end] if data[at + 4 : at + 8] != kind else b""
        at = end
    return kept


@pytest.mark.parametrize("options", [{}, {"transparency": 3}, {"bits": 4}, {"optimize": True}], ids=str)
def test_a_palette_png_without_its_palette_is_refused(options: dict[str, Any]) -> None:
    whole = saved(of_palette(7), "PNG", **options)
    assert isinstance(outcome(whole), Decoded)
    found = outcome(without(whole, b"PLTE"))
    assert isinstance(found, Rejection)
    assert found.reason == "undecodable"
    assert "PLTE" in found.detail


def test_colours_beyond_the_palette_are_told() -> None:
    data = saved(of_palette(7), "PNG")
    start = data.index(b"PLTE") - 4
    length = int.from_bytes(data[start : start + 4])
    short = data[:start] + chunk(b"PLTE", data[start + 8 : start + 14]) + data[start + 12 + length :]
    found = outcome(short)
    assert isinstance(found, Decoded)
    assert found.warning == "its pixels refer to colours beyond the 2 of its palette"
    assert isinstance(whole := outcome(data), Decoded)
    assert whole.warning == ""


def with_text(length: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * length, zip=True)
    return saved(Image.fromarray(picture(1)), "PNG", pnginfo=info)


def with_xmp(length: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * length, zip=True)
    return saved(Image.fromarray(picture(1)), "PNG", pnginfo=info)


def with_profile(length: int) -> bytes:
    return encoded(picture(1), icc_profile=bytes(length))


def with_texts(length: int) -> bytes:
    """Each within the limit, all of them not."""
    half = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(length // 2 + 1)))
    data = encoded(picture(1))
    return data[:33] + 2 * half + data[33:]


def with_text_behind(length: int) -> bytes:
    """Behind the picture, where it is read last."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(length)))
    data = encoded(picture(1))
    return data[:-12] + text + data[-12:]


PACKED = [with_text, with_xmp, with_profile, with_texts, with_text_behind]


@pytest.mark.parametrize("packed", PACKED)
def test_what_is_packed_beside_a_picture_may_have_as_many_bytes_as_a_file(packed: Callable[[int], bytes]) -> None:
    found = outcome(packed(TEXT), max_bytes=2 * TEXT)
    assert isinstance(found, Decoded), found
    np.testing.assert_array_equal(found.pixels, picture(1))
    assert found.warning == ""
    assert outcome(packed(TEXT), max_bytes=TEXT - 1) == Rejection(
        "too_many_bytes",
        f"its unpacked texts or colour profile have more than {TEXT - 1} bytes, which is the limit",
    )


def test_pillows_own_limits_are_as_before_once_a_file_is_decoded() -> None:
    before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS
    outcome(with_text(TEXT), max_bytes=TEXT - 1)
    assert before == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS)


def many_samples() -> bytes:
    """A TIFF that claims more samples a pixel than Pillow knows, which it logs."""
    data = saved(Image.fromarray(smooth(16, 16)), "TIFF")
    place = data.index(struct.pack("<HHI", 277, 3, 1))
    return data[: place + 8] + struct.pack("<H", 99) + data[place + 10 :]


def test_what_pillow_logs_stands_with_the_file_and_not_on_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a worker, where nobody has set logging up.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    found = outcome(many_samples())
    assert isinstance(found, Rejection)
    assert "(More samples per pixel than can be decoded: 99)" in found.detail
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("PIL").propagate
    assert not logging.getLogger("PIL").handlers


def test_what_pillow_logs_of_a_picture_that_it_reads_is_its_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved(ALPHA, "PNG")
    opened = Image.open

    def loud(*args: Any, **options: Any) -> Any:
        logging.getLogger("PIL.PngImagePlugin").warning("odd %s", "chunk")
        logging.getLogger("PIL.PngImagePlugin").warning("odd %s", "chunk")
        return opened(*args, **options)

    monkeypatch.setattr(Image, "open", loud)
    found = outcome(whole)
    assert isinstance(found, Decoded)
    assert found.warning == "odd chunk"
