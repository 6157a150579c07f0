"""Plain PNGs, which are decoded without Pillow, come out as by Pillow."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.images import decoding
from pipeline.images.decoding import Decoded, decode_file, is_plain_png
from pipeline.images.rejection import Rejection
from pipeline.workers.codec_messages import codec_messages
from tests.examples import encoded, picture
from tests.images.pictures import ingest, saved, wide
from tests.images.test_decoding import chunk, decoded


def png(*chunks: tuple[bytes, bytes], mode: int = 2, lines: bytes | None = None) -> bytes:
    """A PNG of 9 x 7 pixels from its own lines, which may be too few or too many, and chunks behind the header."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[mode]
    wanted = b"".join(b"\1" + picture(row, 1, 9 * channels)[..., 0].tobytes() for row in range(7))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 7, 8, mode, 0, 0, 0))
    body = b"".join(chunk(*one) for one in chunks) or chunk(b"IDAT", zlib.compress(wanted if lines is None else lines))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


LINES = zlib.compress(bytes(7 * 28))


def by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Decoded | Rejection:
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "is_plain_png", lambda _: False)
        return decode_file(data, ingest(size=512), codec_messages)


def assert_as_by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found, wanted = decode_file(data, ingest(size=512), codec_messages), by_pillow(data, monkeypatch)
    if isinstance(found, Decoded):
        assert isinstance(wanted, Decoded)
        np.testing.assert_array_equal(found.pixels, wanted.pixels)
        found = replace(found, pixels=wanted.pixels)
    assert found == wanted


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(), id="plain"),
        pytest.param(png(mode=0), id="grey"),
        pytest.param(png((b"IDAT", LINES[:9]), (b"IDAT", b""), (b"IDAT", LINES[9:])), id="in parts"),
        pytest.param(png(lines=bytes(7 * 28 - 1)), id="too few lines"),
        pytest.param(png(lines=bytes(7 * 28 + 99)), id="too many lines"),
        pytest.param(png(lines=b"\7" * 7 * 28), id="an unknown filter"),
        pytest.param(png((b"IDAT", LINES[:-1] + b"?")), id="a wrong checksum of the lines"),
        pytest.param(png((b"IDAT", LINES[:-4])), id="no checksum of the lines"),
        pytest.param(png((b"IDAT", LINES + b"behind")), id="more behind the lines"),
        pytest.param(png((b"IDAT", b"no stream")), id="no stream"),
        pytest.param(png((b"IDAT", b"")), id="empty"),
    ],
)
def test_plain_pngs_and_their_damage_come_out_as_by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_plain_png(data)
    assert_as_by_pillow(data, monkeypatch)


@pytest.mark.parametrize("mode", [0, 2])
def test_no_damaged_byte_and_no_cut_of_a_png_is_seen_otherwise_than_by_pillow(
    mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png(mode=mode)
    for place in range(len(data)):
        assert_as_by_pillow(data[:place], monkeypatch)
        for value in (0, 255, data[place] ^ 1, data[place] ^ 32):
            assert_as_by_pillow(data[:place] + bytes([value]) + data[place + 1 :], monkeypatch)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png((b"tRNS", bytes(6)), (b"IDAT", LINES)), id="one colour is transparent"),
        pytest.param(png((b"IDAT", LINES), (b"eXIf", bytes(8))), id="orientation behind the picture"),
        pytest.param(png((b"gAMA", bytes(4)), (b"IDAT", LINES)), id="gamma"),
        pytest.param(png(mode=6), id="alpha"),
        pytest.param(encoded(picture(1, 9, 9), "JPEG"), id="a JPEG"),
        pytest.param(png()[:-1], id="cut"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_has_more_than_its_picture_is_no_plain_png(data: bytes) -> None:
    assert not is_plain_png(data)


def test_many_rows_of_16_bits_are_scaled_alike() -> None:
    values = np.arange(600 * 110, dtype=np.uint32).reshape(600, 110).astype(np.uint16)
    expected = np.rint(values / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(values), "PNG")).pixels[..., 1], expected)
    assert decoded(saved(wide(np.inf, "float32"), "TIFF")).pixels.max() == 0
