"""One file's bytes -> upright sRGB pixels, or the reason why not.

Pillow decodes, in this one place: it knows every format, and OpenCV disagrees with it on
orientation, CMYK, 16 bits and palettes. OpenCV decodes plain JPEGs alone: the same library makes the same
pixels in both (a test holds that), but only OpenCV lets it complain of what is broken; and the plainest PNGs, where it
takes less time and refuses more.
Not here: limits on a decoder's time and memory, which workers/serving.py sets.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from pipeline.images.colours import to_srgb
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection, failure
from pipeline.images.truncation import HEIC_BRANDS, PNG_END, PNG_START, lacks_codestream_end, unidentified, with_its_end
from pipeline.stages.ingest.params import IngestParams

# An allow-list: some of Pillow's formats (TGA) accept any bytes, others (PSD, EPS) run programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
# What libjpeg says, and fills the rest with grey, when there is a marker before the picture's end.
PREMATURE = "premature end of data segment"
# Pixels decoded for each pixel of the target, along a side, at least. Measured (benchmarks/scaling.py): with just one,
# a photo in twenty is below 31 dB and 0.95 SSIM of a full decode with LANCZOS; with these below 34 dB and 0.97.
SPARE = 4 / 3
# Scale of libjpeg -> how OpenCV is told; colours in the order red, green, blue.
_REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
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

Listener = Callable[[], AbstractContextManager[list[str]]]
"""Gives a list that holds, afterwards, the lines that codecs wrote to file descriptor 2."""


@dataclass(frozen=True)
class Decoded:
    """Pixels (rows, columns, 3), which a JPEG may have at a smaller scale than the upright original's size."""

    pixels: Pixels
    width: int
    height: int
    file_format: str
    warning: str
    """What the codec complained of, or ""."""


def decode_file(data: bytes, params: IngestParams, listen: Listener) -> Decoded | Rejection:
    """The picture at a scale that covers `params.size`; upright, first frame, over the background.

    Never raises for what `data` holds. The pixels are those that Pillow makes (open, draft, exif_transpose,
    profileToProfile, alpha_composite).
    """
    plain = _plain_png(data, params, listen)
    if plain is not None:
        return plain
    with _pillow_settings():
        opened = _opened(data, params)
        if isinstance(opened, Rejection):
            return opened
        width, height = opened.size
        file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
        try:
            # One attempt on one object: a load() that failed may seem to succeed when repeated.
            pixels, lines = _pixels(opened, data, params, listen)
            turn = _TURNS.get(_orientation(opened))
            if turn is not None:
                pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
        except _MissingError as missing:
            return missing.rejection
        except Exception as error:
            return with_its_end(failure(error), data)
    if PREMATURE in "".join(lines):
        return Rejection("truncated", "; ".join(lines))
    if turn in _SIDEWAYS:
        width, height = height, width
    return Decoded(pixels, width, height, file_format, "; ".join(lines))


class _MissingError(Exception):
    """Too much of a cut file is missing."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.detail)
        self.rejection = rejection


def _opened(data: bytes, params: IngestParams) -> Image.Image | Rejection:
    """The image by its header, nothing decoded yet."""
    formats: tuple[str, ...] = FORMATS
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and not _is_avif(data):
        if not _heic_installed():
            return Rejection("heic_not_installed", "a HEIC file: `pip install 'image-data-pipeline[heic]'` to read it")
        formats = ("HEIF",)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        return unidentified(data, f"{', '.join(FORMATS)}, HEIC")
    except Exception as error:  # Pillow raises many types on hostile headers; each costs one file
        return with_its_end(failure(error), data)
    if refused := _beyond_limits(*image.size, params):
        return refused
    if image.format == "JPEG2000" and lacks_codestream_end(data):
        # OpenJPEG fills what a cut file lacks with grey and says nothing.
        return Rejection("truncated", "the file is cut short: it has no end-of-codestream marker")
    return image


def _is_avif(data: bytes) -> bool:
    """Whether a file whose main brand says no more than that it holds an image names AVIF among the others."""
    size = int.from_bytes(data[:4], "big")
    return b"avif" in data[8 : min(size, 256)] or b"avis" in data[8 : min(size, 256)]


def _heic_installed() -> bool:
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


def _pixels(image: Image.Image, data: bytes, params: IngestParams, listen: Listener) -> tuple[Pixels, list[str]]:
    """sRGB pixels as they are stored, and what the codec said of them."""
    scale = _draft(image, params)
    profile = image.info.get("icc_profile")
    if image.format in {"JPEG", "MPO"} and (image.mode == "RGB" or (image.mode == "L" and profile is None)):
        with listen() as lines:
            found = _by_opencv(data, scale)
        # What OpenCV refuses, such as a cut file, is Pillow's to judge.
        if found is not None and found.shape[:2] == image.size[::-1]:
            return _with_profile(found, profile, params), lines
    try:
        with listen() as lines:
            image.load()
    except OSError as error:
        if image.format in {"JPEG", "MPO"} and "truncated" in str(error) and params.max_missing > 0:
            return _salvaged(data, params)
        raise
    return to_srgb(image, params.background), lines


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
            found = _by_opencv(data, 1)
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


def _draft(image: Image.Image, params: IngestParams) -> int:
    """Let libjpeg decode at the smallest DCT scale that covers the target with pixels to spare; 1, 2, 4 or 8."""
    if image.format not in {"JPEG", "MPO"}:
        return 1
    width, height = image.size
    share = SPARE * params.size / (max(image.size) if params.fit == "pad" else min(image.size))
    drafted = image.draft(None, (math.ceil(width * share), math.ceil(height * share))) if share < 1 else None
    return 1 if drafted is None else round(width / drafted[1][2])


def _by_opencv(data: bytes, scale: int) -> Pixels | None:
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[scale] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        if failure(error).reason == "too_large":
            raise
        return None
    return None if found is None else np.asarray(found, np.uint8)


def _with_profile(pixels: Pixels, profile: bytes | None, params: IngestParams) -> Pixels:
    if profile is None:
        return pixels
    image = Image.fromarray(pixels)
    image.info["icc_profile"] = profile
    return to_srgb(image, params.background)


def _salvaged(data: bytes, params: IngestParams) -> tuple[Pixels, list[str]]:
    """A cut JPEG with the background in place of its missing rows, and how much that is.

    Raises:
        _MissingError: it is more than the limit.
    """
    # The decoder leaves rows that it does not come to as they were: so those that differ are missing.
    dark, bright = (_decoded_over(value, data, params) for value in (0, 255))
    same = (np.asarray(dark) == np.asarray(bright)).reshape(dark.height, -1).any(axis=1)
    rows = int(same.nonzero()[0].max(initial=-1)) + 1
    words = f"{1 - rows / dark.height:.1%} of its rows are missing"
    if 1 - rows / dark.height > params.max_missing:
        raise _MissingError(Rejection("truncated", f"{words}, the limit is {params.max_missing:.1%}"))
    pixels = to_srgb(dark, params.background).copy()
    pixels[rows:] = params.background
    return pixels, [words]


def _decoded_over(value: int, data: bytes, params: IngestParams) -> Image.Image:
    """What can be decoded of a cut JPEG, over an image of one value in all channels."""
    image = Image.open(io.BytesIO(data), formats=("JPEG", "MPO"))
    _draft(image, params)
    bands = len(image.getbands())
    over = Image.new(image.mode, image.size, (value,) * bands if bands > 1 else value)
    over.info = image.info
    image.im = over.im
    # Pillow's own way with cut files would let libjpeg fill the rest with grey.
    with suppress(OSError):
        image.load()
    return over


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, if it cannot be read.

    Pillow's exif_transpose would also write the other EXIF tags anew, and fails on odd ones.
    """
    try:
        found = image.getexif().get(0x0112)
    except Exception:  # broken EXIF is common in good pictures
        return 1
    return found if isinstance(found, int) else 1


@contextmanager
def _pillow_settings() -> Iterator[None]:
    """Of the whole process: Pillow's limit of pixels gives way to ours, and AVIF to one thread a process.

    Each thread would take address space, which has a limit: more cores would refuse more files.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    threads, AvifImagePlugin.DEFAULT_MAX_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS, 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF, say, which is no reason to refuse a picture
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = limit, threads
