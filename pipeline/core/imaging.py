"""One file's bytes -> a normalised picture and its facts, or the reason why not.

Pillow decodes, in this one place: it knows every format, and OpenCV disagrees with it on
orientation, CMYK, 16 bits and palettes. Not here: limits on time and memory of a decoder.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.params import IngestParams, JpegEncoding, PngEncoding

Pixels = npt.NDArray[np.uint8]

# An allow-list: some of Pillow's formats (TGA) accept any bytes, others (PSD, EPS) run programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
BACKGROUND = (255, 255, 255)
LIBRARIES = ("pillow", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class Picture:
    """A normalised image, encoded, and the facts of manifest.FACTS."""

    image: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Rejection:
    """Why a file was refused: a code for machines, and words."""

    reason: str
    detail: str


def normalise(data: bytes, params: IngestParams) -> Picture | Rejection:
    """A square RGB picture of `params.size` pixels a side; upright, first frame, over white.

    Never raises for what `data` holds. Reasons: `empty`, `too_many_bytes`, `not_an_image`,
    `too_many_pixels` (by the header, before decoding), `undecodable`.
    """
    opened = _opened(data, params)
    if isinstance(opened, Rejection):
        return opened
    width, height = opened.size
    file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
    try:
        # One attempt on one object: a load() that failed may seem to succeed when repeated.
        _draft(opened, params)
        opened.load()
        rotated = _turned(opened)
        pixels = _fit(_rgb(opened if rotated is None else ImageOps.exif_transpose(opened)), params)
    except Exception as error:
        return Rejection("undecodable", f"{type(error).__name__}: {error}")
    if rotated:
        width, height = height, width
    facts = {"width": width, "height": height, "bytes": len(data), "format": file_format, **picture_facts(pixels)}
    return Picture(encode(pixels, params.encoding), facts)


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
    if not data:
        return Rejection("empty", "the file has no content")
    if len(data) > params.max_bytes:
        return Rejection("too_many_bytes", f"{len(data)} bytes, the limit is {params.max_bytes}")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        return Rejection("not_an_image", f"the content is none of {', '.join(FORMATS)}")
    except Image.DecompressionBombError as error:
        return Rejection("too_many_pixels", str(error))
    except Exception as error:  # Pillow raises many types on hostile headers; each costs one file
        return Rejection("undecodable", f"{type(error).__name__}: {error}")
    width, height = image.size
    if width * height > params.max_pixels:
        return Rejection("too_many_pixels", f"{width} x {height} pixels, the limit is {params.max_pixels}")
    return image


def _draft(image: Image.Image, params: IngestParams) -> None:
    """Let libjpeg decode at the smallest DCT scale that still covers the target."""
    if image.format not in {"JPEG", "MPO"}:
        return
    side = max(image.size) if params.fit == "pad" else min(image.size)
    scale = params.size / side
    if scale < 1:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _turned(image: Image.Image) -> bool | None:
    """Whether the EXIF orientation swaps width and height; None if it cannot be read."""
    try:
        return image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception:  # broken EXIF is common in good pictures: they count as upright
        return None


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


def _fit(pixels: Pixels, params: IngestParams) -> Pixels:
    size = params.size
    height, width = pixels.shape[:2]
    match params.fit:
        case "stretch":
            return _resize(pixels, size, size)
        case "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return _resize(pixels[top : top + side, left : left + side], size, size)
        case "pad":
            side = max(height, width)
            new_height, new_width = (max(1, round(length * size / side)) for length in (height, width))
            canvas = np.zeros((size, size, 3), np.uint8)
            top, left = (size - new_height) // 2, (size - new_width) // 2
            canvas[top : top + new_height, left : left + new_width] = _resize(pixels, new_height, new_width)
            return canvas


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    # Area averaging is what a sensor does and does not alias; it is nearest-neighbour when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=method), np.uint8)
