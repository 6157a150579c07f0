"""Pixels of normalised pictures, and the files that shards hold of them."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.params import JpegEncoding, PngEncoding

Pixels = npt.NDArray[np.uint8]

LIBRARIES = ("pillow", "opencv-python-headless", "numpy")


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
    return pixels[inside(width, height, len(pixels))] if fit == "pad" else pixels


def inside(width: int, height: int, size: int) -> tuple[slice, slice]:
    """Where a picture of this shape lies in the square that it is padded to: rows and columns."""
    longest = max(height, width)
    lengths = [max(1, round(length * size / longest)) for length in (height, width)]
    rows, columns = (slice((size - length) // 2, (size - length) // 2 + length) for length in lengths)
    return rows, columns
