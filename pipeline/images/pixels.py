"""Pixels of normalised pictures, and the files that shards hold of them."""

import io
from typing import assert_never

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from pipeline.stages.ingest.params import JpegEncoding, PngEncoding

Pixels = npt.NDArray[np.uint8]

LIBRARIES = ("pillow", "opencv-python-headless", "simplejpeg", "numpy")
_JPEG_START = b"\xff\xd8"


def encode(pixels: Pixels, encoding: JpegEncoding | PngEncoding) -> bytes:
    """A JPEG or PNG file of pixels (height, width, 3) or (height, width): the bytes that Pillow writes."""
    match encoding:
        case JpegEncoding(quality=quality):
            # Byte for byte Pillow's (a test holds that), in two thirds of its time.
            ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
            data: bytes = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            return data
        case PngEncoding():
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            return buffer.getvalue()
        case unknown:
            assert_never(unknown)


def decode(data: bytes, out: Pixels | None = None) -> Pixels:
    """Pixels (height, width, 3) of an image that `encode` made, read-only unless in `out`.

    Args:
        out: contiguous memory that takes them if they have its shape, and is what is returned then.

    Raises:
        Exception: of many types, if the file is damaged; a JPEG that the codec only complains of, too.
    """
    if data[:2] == _JPEG_START:
        # Pillow's pixels (a test holds that) in 0.6 of its time, and without a copy on their way.
        if out is not None and simplejpeg.decode_jpeg_header(data)[:2] == out.shape[:2]:
            simplejpeg.decode_jpeg(data, buffer=out)
            return out
        pixels = np.asarray(simplejpeg.decode_jpeg(data), np.uint8)
    else:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            pixels = np.asarray(image.convert("RGB"))
        if out is not None and pixels.shape == out.shape:
            out[:] = pixels
            return out
    # Of their own, they are kept for several uses, which must not change them for each other.
    pixels.flags.writeable = False
    return pixels


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
