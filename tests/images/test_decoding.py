"""Pixels are those of careful code with plain Pillow; cut JPEGs, complaints of codecs, HEIC."""

import io
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from pipeline.images.decoding import Decoded, decode_file
from pipeline.images.jpeg_decoding import SPARE
from pipeline.images.normalising import Picture, normalise, unheard
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.workers.codec_messages import codec_messages
from tests.examples import encoded, picture
from tests.images.pictures import distance, ingest, of_mode, of_palette, saved, smooth

BACKGROUND = (10, 200, 90)


def decoded(data: bytes, **changes: Any) -> Decoded:
    found = decode_file(data, ingest(**{"size": 512, **changes}), unheard)
    assert isinstance(found, Decoded), found
    return found


def careful(data: bytes) -> Pixels:
    """What a careful person writes."""
    image: Image.Image = Image.open(io.BytesIO(data))
    ImageOps.exif_transpose(image, in_place=True)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    if profile is not None:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), inPlace=True)
    return np.asarray(image.convert("RGB"))


def icc_profile(space: bytes = b"RGB ") -> bytes:
    """An RGB profile (ICC.1) whose red and green are exchanged, with a gamma of 1.8."""
    xyz = {b"rXYZ": (0.385, 0.717, 0.097), b"gXYZ": (0.436, 0.222, 0.014), b"bXYZ": (0.143, 0.061, 0.714)}
    tags = {
        name: b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
        for name, values in {**xyz, b"wtpt": (0.9642, 1.0, 0.8249)}.items()
    }
    gamma = b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)) + bytes(2)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma)
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags[b"desc"] += bytes(-len(tags[b"desc"]) % 4)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0" + bytes(3)
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head = struct.pack(">I4xI4s4s4s12x4s", place + len(body), 0x02100000, b"mntr", space, b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def with_inks_as_ycck() -> bytes:
    """A CMYK JPEG whose Adobe marker says YCCK."""
    data = bytearray(saved(of_mode("CMYK", (30, 90, 160, 20)), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


ALPHA = Image.merge("RGBA", [*Image.fromarray(smooth(16, 24)).split(), Image.linear_gradient("L").resize((24, 16))])
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6
FILES = {
    "grey JPEG": encoded(smooth(30, 40)[..., 0], "JPEG"),
    "JPEG": encoded(smooth(30, 41), "JPEG"),
    "JPEG, sideways": encoded(smooth(30, 41), "JPEG", exif=SIDEWAYS),
    "JPEG with profile": encoded(smooth(30, 41), "JPEG", icc_profile=icc_profile()),
    "JPEG with profile, sideways": encoded(smooth(30, 41), "JPEG", icc_profile=icc_profile(), exif=SIDEWAYS),
    "CMYK": saved(of_mode("CMYK", (30, 90, 160, 20)), "JPEG"),
    "YCCK": with_inks_as_ycck(),
    "AVIF": encoded(smooth(30, 40), "AVIF"),
    # As bytes: of an object, Pillow would take the orientation out.
    "AVIF, sideways": encoded(smooth(30, 40), "AVIF", exif=SIDEWAYS.tobytes()),
    "WEBP": encoded(smooth(30, 40), "WEBP"),
    "WEBP, sideways": encoded(smooth(30, 40), "WEBP", exif=SIDEWAYS),
    "WEBP with alpha": saved(ALPHA, "WEBP"),
    "PNG with profile": encoded(smooth(30, 40), "PNG", icc_profile=icc_profile()),
    "PNG with alpha": saved(ALPHA, "PNG"),
    "PNG, grey with alpha": saved(ALPHA.convert("LA"), "PNG"),
    "PNG, sideways": encoded(smooth(30, 40), "PNG", exif=SIDEWAYS),
    "PNG, 1 bit": saved(Image.fromarray(smooth(30, 40)).convert("1"), "PNG"),
    "PNG, palette": saved(Image.fromarray(smooth(30, 40)).convert("P"), "PNG"),
    "PNG, palette with transparency": saved(of_palette(7), "PNG", transparency=bytes([255] * 7 + [99])),
    "GIF": encoded(smooth(30, 40), "GIF"),
    "BMP": encoded(smooth(30, 40), "BMP"),
    "TIFF": encoded(smooth(30, 40), "TIFF"),
    "TIFF, sideways": encoded(smooth(30, 40), "TIFF", exif=SIDEWAYS),
    "TIFF, inks": saved(of_mode("CMYK", (30, 90, 160, 20)), "TIFF"),
    "TIFF of JPEG": encoded(smooth(30, 40), "TIFF", compression="jpeg"),
    "TIFF, YCbCr": saved(Image.fromarray(smooth(30, 40)).convert("YCbCr"), "TIFF"),
    "JPEG 2000": encoded(smooth(30, 40), "JPEG2000"),
    "JPEG 2000 with alpha": saved(ALPHA, "JPEG2000"),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_careful_code_with_pillow(name: str) -> None:
    np.testing.assert_array_equal(decoded(FILES[name], background=BACKGROUND).pixels, careful(FILES[name]))


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("sideways")])
def test_a_sideways_picture_is_turned_upright(name: str) -> None:
    found = decoded(FILES[name])
    assert found.pixels.shape[:2] == (found.height, found.width)
    assert found.height > found.width


def test_a_profile_changes_pixels() -> None:
    """Else the test above would tell nothing of profiles."""
    plain = decoded(encoded(smooth(30, 40), "PNG")).pixels
    assert distance(decoded(FILES["PNG with profile"]).pixels, plain) > 20


def test_a_profile_counts_for_transparent_pictures_too() -> None:
    half = saved(ALPHA, "PNG", icc_profile=icc_profile())
    shown = ALPHA.copy()
    shown.putalpha(255)
    whole = saved(shown, "PNG", icc_profile=icc_profile())
    alpha = np.asarray(ALPHA)[..., 3:] / 255
    over = alpha * decoded(whole).pixels + (1 - alpha) * np.array(BACKGROUND)
    assert np.abs(decoded(half, background=BACKGROUND).pixels - over).max() <= 1


@pytest.mark.parametrize(
    "profile", [b"", b"no profile", icc_profile()[:200], icc_profile(b"GRAY"), icc_profile(b"CMYK"), bytes(500)]
)
def test_a_profile_that_is_broken_or_of_another_kind_does_not_count(profile: bytes) -> None:
    np.testing.assert_array_equal(decoded(encoded(picture(1), icc_profile=profile)).pixels, picture(1))


def test_lab_is_converted() -> None:
    colours = Image.merge("LAB", [Image.new("L", (16, 16), value) for value in (136, 208, 195)])
    assert np.abs(decoded(saved(colours, "TIFF")).pixels.astype(int) - (255, 0, 0)).max() < 12


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


shapes = st.tuples(st.integers(1, 150), st.integers(1, 150))


@given(shape=shapes, seed=st.integers(0, 99), size=st.integers(8, 40), grey=st.booleans(), data=st.data())
@settings(max_examples=60)
def test_jpegs_are_decoded_as_pillow_does_at_any_scale(
    shape: tuple[int, int], seed: int, size: int, grey: bool, data: st.DataObject
) -> None:
    fit = data.draw(st.sampled_from(["crop", "pad"]))
    # At more than 90, noise is too much for the buffer that Pillow gives a progressive file.
    options = {"quality": data.draw(st.integers(1, 90)), "progressive": data.draw(st.booleans())}
    subsampling = {} if grey else {"subsampling": data.draw(st.sampled_from([0, 1, 2]))}
    pixels = picture(seed, *shape)
    file = encoded(pixels[..., 0] if grey else pixels, "JPEG", **options, **subsampling)
    with Image.open(io.BytesIO(file)) as image:
        scale = SPARE * size / (max(image.size) if fit == "pad" else min(image.size))
        if scale < 1:
            image.draft(None, (-int(-image.width * scale // 1), -int(-image.height * scale // 1)))
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decoded(file, size=size, fit=fit).pixels, expected)


PHOTO = smooth(160, 120)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_cut_jpeg_may_lack_as_many_rows_as_params_say(mode: str) -> None:
    whole = saved(Image.fromarray(PHOTO).convert(mode), "JPEG", quality=95)
    cut = whole[: int(len(whole) * 0.7)]
    refused = decode_file(cut, ingest(), unheard)
    assert isinstance(refused, Rejection)
    assert refused.reason == "truncated"
    found = decoded(cut, max_missing=0.9, background=BACKGROUND)
    rows = int((found.pixels != BACKGROUND).any(axis=(1, 2)).nonzero()[0].max()) + 1
    assert 60 < rows < 150
    np.testing.assert_array_equal(found.pixels[:rows], decoded(whole).pixels[:rows])
    missing = 1 - rows / 160
    assert found.warning == f"{missing:.1%} of its rows are missing"
    assert decoded(cut, max_missing=missing).warning
    refused = decode_file(cut, ingest(size=512, max_missing=missing - 1e-6), unheard)
    assert isinstance(refused, Rejection)
    assert refused.detail.startswith(f"{missing:.1%} of its rows are missing, the limit is ")


def complaining() -> bytes:
    """A JPEG that decodes, with some bytes more than its picture needs before the end."""
    whole = encoded(PHOTO, "JPEG")
    return whole[:-2] + b"\x12\x34\x56\x78" * 5 + whole[-2:]


def test_what_a_codec_complains_of_is_told_or_refused_as_params_say() -> None:
    data = complaining()
    found = normalise(data, ingest(), codec_messages)
    assert isinstance(found, Picture)
    assert found.codec_warning.startswith("Corrupt JPEG data: ")
    assert normalise(data, ingest(codec_warnings="reject"), codec_messages) == Rejection(
        "codec_warning", found.codec_warning
    )
    quiet = normalise(encoded(PHOTO, "JPEG"), ingest(codec_warnings="reject"), codec_messages)
    assert isinstance(quiet, Picture)
    assert quiet.codec_warning == ""


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_without_the_extra_a_heic_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    found = normalise(HEIC, ingest())
    assert found == Rejection("heic_not_installed", "a HEIC file: `pip install 'image-data-pipeline[heic]'` to read it")


def test_heic_is_read_with_the_extra() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = encoded(smooth(64, 48), "HEIF", quality=95)
    found = decoded(data)
    assert distance(found.pixels, smooth(64, 48)) < 4
    assert (found.width, found.height, found.file_format) == (48, 64, "HEIF")
    assert isinstance(normalise(data[:-200], ingest()), Rejection)
    assert isinstance(normalise(HEIC, ingest()), Rejection)
