"""One file's bytes -> a normalised picture and its facts, or the reason why not.

Pillow decodes, in this one place: it knows every format, and OpenCV disagrees with it on
orientation, CMYK, 16 bits and palettes. Not here: limits on a decoder's time and memory, which
pipeline/serving.py sets.
"""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pipeline.params import IngestParams, JpegEncoding, PngEncoding

Pixels = npt.NDArray[np.uint8]

# An allow-list: some of Pillow's formats (TGA) accept any bytes, others (PSD, EPS) run programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
# Markers around a codestream (ITU-T T.800, A.4): start and size, and end.
JPEG2000_START = b"\xff\x4f\xff\x51"
JPEG2000_END = b"\xff\xd9"
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
BACKGROUND = (255, 255, 255)
NO_MEMORY = -4  # cv::Error::StsNoMem
LIBRARIES = ("pillow", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class Picture:
    """A normalised image, encoded, the facts of manifest.FACTS, and its pixels as they were before encoding."""

    image: bytes
    facts: Mapping[str, Any]
    pixels: Pixels = field(compare=False, repr=False)


@dataclass(frozen=True)
class Rejection:
    """Why a file was refused: a code for machines, and words."""

    reason: str
    detail: str


def normalise(data: bytes, params: IngestParams) -> Picture | Rejection:
    """A square RGB picture of `params.size` pixels a side; upright, first frame, over white.

    Never raises for what `data` holds. Reasons: `empty`, `too_many_bytes`, `not_an_image`, `undecodable`; by
    the header, before decoding, `too_many_pixels`, `side_too_long`, `strip`; `too_large` where memory has a
    limit and it is reached.
    """
    if not data:
        return Rejection("empty", "the file has no content")
    if len(data) > params.max_bytes:
        return Rejection("too_many_bytes", f"{len(data)} bytes, the limit is {params.max_bytes}")
    with _no_other_pixel_limit():
        opened = _opened(data, params)
        if isinstance(opened, Rejection):
            return opened
        width, height = opened.size
        file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
        try:
            # One attempt on one object: a load() that failed may seem to succeed when repeated.
            _draft(opened, params)
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            if turn in _SIDEWAYS:
                width, height = height, width
            upright = opened if turn is None else opened.transpose(turn)
            pixels = _fit(_rgb(upright), width, height, params)
        except Exception as error:
            return _failure(error)
    facts = {"width": width, "height": height, "bytes": len(data), "format": file_format, **picture_facts(pixels)}
    return Picture(encode(pixels, params.encoding), facts, pixels)


def encode(pixels: Pixels, encoding: JpegEncoding | PngEncoding) -> bytes:
    """A JPEG or PNG file of pixels (height, width, 3) or (height, width)."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    match encoding:
        case JpegEncoding(quality=quality):
            image.save(buffer, "JPEG", quality=quality)
        case PngEncoding():
            image.save(buffer, "PNG")
    return buffer.getvalue()


def decode(data: bytes) -> Pixels:
    """Pixels (height, width, 3) of an image that `encode` made."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert("RGB"))


def without_bars(pixels: Pixels, width: int, height: int, fit: str) -> Pixels:
    """A normalised picture without the black that `pad` adds.

    Args:
        width, height: of the upright original.
        fit: how the picture was made square, as IngestParams has it.
    """
    return pixels[_inside(width, height, len(pixels))] if fit == "pad" else pixels


def picture_facts(pixels: Pixels) -> dict[str, float]:
    """Brightness, contrast and saturation in [0, 1], sharpness >= 0, of pixels (height, width, 3).

    brightness and contrast: mean and standard deviation of luma; sharpness: standard deviation of
    its Laplacian (Pech-Pacheco et al., 2000); saturation: mean of (max - min) / max over channels.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    largest = pixels.max(axis=2).astype(np.float32)
    smallest = pixels.min(axis=2).astype(np.float32)
    return {
        "brightness": float(luma.mean()),
        "contrast": float(luma.std()),
        "sharpness": float(cv2.Laplacian(luma, cv2.CV_32F).std()),
        "saturation": float(((largest - smallest) / np.maximum(largest, 1)).mean()),
    }


def _opened(data: bytes, params: IngestParams) -> Image.Image | Rejection:
    """The image by its header, nothing decoded yet."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        return Rejection("not_an_image", f"the content is none of {', '.join(FORMATS)}")
    except Exception as error:  # Pillow raises many types on hostile headers; each costs one file
        return _failure(error)
    if refused := _beyond_limits(*image.size, params):
        return refused
    # A thumbnail before the codestream may hold an end marker of its own.
    if image.format == "JPEG2000" and JPEG2000_END not in data[max(0, data.find(JPEG2000_START)) :]:
        # OpenJPEG fills what a cut file lacks with grey and says nothing.
        return Rejection("undecodable", "the file is cut short: it has no end-of-codestream marker")
    return image


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


def _failure(error: Exception) -> Rejection:
    """What a decoder raises, which may be anything, as a reason."""
    no_memory = isinstance(error, MemoryError) or (isinstance(error, cv2.error) and error.code == NO_MEMORY)
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return (
        Rejection("too_large", f"its decoder gets no more memory: {words}")
        if no_memory
        else Rejection("undecodable", words)
    )


def _draft(image: Image.Image, params: IngestParams) -> None:
    """Let libjpeg decode at the smallest DCT scale that still covers the target."""
    if image.format not in {"JPEG", "MPO"}:
        return
    side = max(image.size) if params.fit == "pad" else min(image.size)
    scale = params.size / side
    if scale < 1:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


@contextmanager
def _no_other_pixel_limit() -> Iterator[None]:
    """Pillow's limit is a constant of its own; ours stands in params and is checked before decoding."""
    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = kept


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, if it cannot be read.

    Pillow's exif_transpose would also write the other EXIF tags anew, and fails on odd ones.
    """
    try:
        found = image.getexif().get(0x0112)
    except Exception:  # broken EXIF is common in good pictures
        return 1
    return found if isinstance(found, int) else 1


def _rgb(image: Image.Image) -> Pixels:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return np.stack([_eight_bits(np.asarray(image))] * 3, axis=2)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (*BACKGROUND, 255))
        return np.asarray(Image.alpha_composite(canvas, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _eight_bits(values: npt.NDArray[Any]) -> Pixels:
    """Grey of 16 or 32 bits or floats as 8 bits: by the nominal range, not by this picture's own."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(finite.max(initial=0.0))
    nominal = 1.0 if values.dtype.kind == "f" and top <= 1 else 255.0 if top <= 255 else 65535.0
    if values.dtype.itemsize == 2:
        nominal = 65535.0
    return np.rint(np.clip(finite / nominal, 0, 1) * 255).astype(np.uint8)


def _fit(pixels: Pixels, width: int, height: int, params: IngestParams) -> Pixels:
    """The square picture; width and height are the original's, which a draft only comes near to."""
    size = params.size
    match params.fit:
        case "stretch":
            return _resize(pixels, size, size)
        case "crop":
            rows, columns = pixels.shape[:2]
            side = min(rows, columns)
            top, left = (rows - side) // 2, (columns - side) // 2
            return _resize(pixels[top : top + side, left : left + side], size, size)
        case "pad":
            canvas = np.zeros((size, size, 3), np.uint8)
            inside = canvas[_inside(width, height, size)]
            inside[:] = _resize(pixels, *inside.shape[:2])
            return canvas


def _inside(width: int, height: int, size: int) -> tuple[slice, slice]:
    """Where a picture of this shape lies in the square that it is padded to: rows and columns."""
    longest = max(height, width)
    lengths = [max(1, round(length * size / longest)) for length in (height, width)]
    rows, columns = (slice((size - length) // 2, (size - length) // 2 + length) for length in lengths)
    return rows, columns


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    # Area averaging is what a sensor does and does not alias; it is nearest-neighbour when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=method), np.uint8)
