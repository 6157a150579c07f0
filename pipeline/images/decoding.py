"""One file's bytes -> upright sRGB pixels, or the reason why not.

Pillow decodes, in this one place: it knows every format, and OpenCV disagrees with it on
orientation, CMYK, 16 bits and palettes. OpenCV decodes plain JPEGs (jpeg_decoding.py), and the plainest PNGs, where it
takes less time and refuses more.
Not here: limits on a decoder's time and memory, which workers/serving.py sets.
"""

import io
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.images.colours import beyond_palette, bits_of, palette_colours, range_used, scaled_colours, to_srgb
from pipeline.images.exif import read_exif
from pipeline.images.jpeg_decoding import JPEGS, PREMATURE, Listener, MissingError, by_opencv, pixels_of_jpeg
from pipeline.images.pillow import pillow_lines, pillow_settings
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection, failure
from pipeline.images.truncation import HEIC_BRANDS, PNG_END, PNG_START, lacks_codestream_end, unidentified, with_its_end
from pipeline.stages.ingest.params import IngestParams

# An allow-list: some of Pillow's formats (TGA) accept any bytes, others (PSD, EPS) run programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
# EXIF orientation -> what makes the picture upright (CIPA DC-008, 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}


@dataclass(frozen=True)
class Decoded:
    """Pixels (height, width, 3); of a JPEG, possibly at a smaller scale than the upright original."""

    pixels: Pixels
    width: int
    height: int
    file_format: str
    warning: str
    """What the codec complained of, or ""."""
    taken: datetime | None = None
    camera: str = ""
    """Of its EXIF, as is the time when it was taken."""
    range_used: float = 1.0
    """See colours.range_used."""


def decode_file(data: bytes, params: IngestParams, listen: Listener) -> Decoded | Rejection:
    """Decode a file to a picture that covers `params.size`: upright, first frame, over the background.

    Never raises because of the content of `data`. The pixels are those that Pillow makes (open, draft, exif_transpose,
    profileToProfile, alpha_composite).
    """
    plain = _plain_png(data, params, listen)
    if plain is not None:
        return plain
    with pillow_settings(params.max_bytes), pillow_lines() as said:
        opened = _opened(data, params)
        if isinstance(opened, Rejection):
            return _with_lines(opened, said)
        width, height = opened.size
        file_format = "JPEG" if opened.format in JPEGS else str(opened.format)
        try:
            # One attempt on one object: a load() that failed may seem to succeed when repeated.
            pixels, lines, used = _pixels(opened, data, params, listen)
            exif = read_exif(opened)
            turn = _TURNS.get(exif.orientation)
            if turn is not None:
                pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
        except MissingError as missing:
            return missing.rejection
        except Exception as error:
            return _with_lines(with_its_end(_unpacks_too_much(error, params) or failure(error), data), said)
    if PREMATURE in "".join(lines):
        return Rejection("truncated", "; ".join(lines))
    if turn in _SIDEWAYS:
        width, height = height, width
    return Decoded(pixels, width, height, file_format, "; ".join([*said, *lines]), exif.taken, exif.camera, used)


def _opened(data: bytes, params: IngestParams) -> Image.Image | Rejection:
    """The image by its header, nothing decoded yet."""
    formats: tuple[str, ...] = FORMATS
    if is_heic(data):
        if not heic_installed():
            return Rejection("heic_not_installed", "a HEIC file: `pip install 'image-data-pipeline[heic]'` to read it")
        formats = ("HEIF",)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        return unidentified(data, f"{', '.join(FORMATS)}, HEIC")
    except Exception as error:  # Pillow raises many types on hostile headers; each costs one file
        return _unpacks_too_much(error, params) or with_its_end(failure(error), data)
    return _beyond_limits(*image.size, params) or _incomplete(image, data) or image


def _incomplete(image: Image.Image, data: bytes) -> Rejection | None:
    """What a file lacks that its decoder makes up without a word."""
    if image.format == "JPEG2000" and lacks_codestream_end(data):
        # OpenJPEG fills what a cut file lacks with grey.
        return Rejection("truncated", "the file is cut short: it has no end-of-codestream marker")
    if image.format == "PNG" and image.mode == "P" and image.palette is None:
        # Pillow shows it black.
        return Rejection("undecodable", "its pixels refer to a palette, but it has none (no PLTE chunk)")
    return None


def is_heic(data: bytes) -> bool:
    """Whether a file is HEIC, by its first bytes."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and not _is_avif(data)


def _is_avif(data: bytes) -> bool:
    """Whether a file whose main brand says no more than that it holds an image names AVIF among the others."""
    size = int.from_bytes(data[:4], "big")
    return b"avif" in data[8 : min(size, 256)] or b"avis" in data[8 : min(size, 256)]


def heic_installed() -> bool:
    """Whether Pillow can open HEIC files: registers the package of the extra `heic`, if it is installed."""
    try:
        import pillow_heif  # an extra
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _beyond_limits(width: int, height: int, params: IngestParams) -> Rejection | None:
    """What the header claims, against the limits."""
    claimed = f"{width} x {height} pixels"
    if width * height > params.max_pixels:
        return Rejection("too_many_pixels", f"{claimed}, the limit is {params.max_pixels}")
    if max(width, height) > params.max_side:
        return Rejection("side_too_long", f"{claimed}, the limit of a side is {params.max_side}")
    if max(width, height) > params.max_aspect * min(width, height):
        return Rejection("strip", f"{claimed}, the limit is {params.max_aspect:g} to 1")
    return None


def _pixels(image: Image.Image, data: bytes, params: IngestParams, listen: Listener) -> tuple[Pixels, list[str], float]:
    """sRGB pixels as they are stored, what the codec said of them, and how much of their range they use."""
    if image.format in JPEGS:
        return *pixels_of_jpeg(image, data, params, listen), 1.0
    bits, colours = bits_of(image, data), palette_colours(image)
    with listen() as lines:
        image.load()
        scaled = None
        if params.value_range is not None and bits == 16 and image.mode in {"RGB", "RGBA", "LA"}:
            scaled = scaled_colours(data, params.value_range, image.info)
    used = range_used(image, bits, params.value_range)
    shown = to_srgb(scaled or image, params.background, params.value_range)
    return shown, [*beyond_palette(image, colours), *lines], used


def _plain_png(data: bytes, params: IngestParams, listen: Listener) -> Decoded | Rejection | None:
    """What is in one of the plainest PNGs, by OpenCV; None for all else, and for what it refuses or complains of.

    That is Pillow's to judge, whose look at a header takes a third of the time in which a small picture is decoded.
    """
    if not is_plain_png(data):
        return None
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    if _beyond_limits(width, height, params) is not None:
        return None
    try:
        with listen() as lines:
            found = by_opencv(data, 1, cv2.IMREAD_COLOR_RGB)
    except Exception as error:  # without memory
        return with_its_end(failure(error), data)
    if found is None or lines or found.shape[:2] != (height, width):
        return None
    return Decoded(found, width, height, "PNG", "")


def is_plain_png(data: bytes) -> bool:
    """Whether a file is a PNG that is grey or RGB of 8 bits, not interlaced, and has nothing but its picture.

    No colours to be converted, no transparency, orientation or animation, which are chunks of their own.
    """
    if data[:16] != PNG_START or data[24:29] not in {b"\x08\0\0\0\0", b"\x08\x02\0\0\0"}:
        return False
    at = 33  # behind the header
    while data[at + 4 : at + 8] == b"IDAT":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[at : at + 12] == PNG_END


def _unpacks_too_much(error: Exception, params: IngestParams) -> Rejection | None:
    """Why a file is refused whose texts or profile, unpacked, go beyond the limit that `pillow_settings` gave."""
    if "MAX_TEXT_" not in str(error):
        return None
    words = f"its unpacked texts or colour profile have more than {params.max_bytes} bytes"
    return Rejection("too_many_bytes", f"{words}, which is the limit")


def _with_lines(refused: Rejection, said: list[str]) -> Rejection:
    return Rejection(refused.reason, f"{refused.detail} ({'; '.join(said)})") if said else refused
