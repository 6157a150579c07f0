"""One file's bytes -> a normalised picture and its facts, or a rejection."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from pipeline.images.decoding import decode_file
from pipeline.images.facts import blur_as_it_came, picture_facts
from pipeline.images.jpeg_decoding import Listener
from pipeline.images.pixels import Pixels, encode, inside, without_bars
from pipeline.images.rejection import Rejection, failure
from pipeline.stages.ingest.params import IngestParams


@dataclass(frozen=True)
class Picture:
    """A normalised image, encoded; the facts of manifest.FACTS; and its pixels before encoding, without bars."""

    image: bytes
    facts: Mapping[str, Any]
    shown: Pixels = field(compare=False, repr=False)
    codec_warning: str = ""
    exif: Mapping[str, Any] = field(default_factory=dict)
    """taken: when, in UTC, or None; camera: its name, or ""."""


@dataclass(frozen=True)
class Fitted:
    """A normalised picture before encoding: its pixels, those without bars, and the facts of its file."""

    pixels: Pixels
    shown: Pixels
    facts: Mapping[str, Any]
    codec_warning: str
    exif: Mapping[str, Any]
    blur: float
    """Of the picture as it came."""


@contextmanager
def unheard() -> Iterator[list[str]]:
    """A listener that records no codec messages."""
    yield []


def normalise(data: bytes, params: IngestParams, listen: Listener = unheard) -> Picture | Rejection:
    """Make a square sRGB picture of `params.size` pixels per side: upright, first frame, over the background.

    Never raises because of the content of `data`. The reasons are in images/rejection.py.

    Args:
        listen: collects the codecs' warnings; without it, `codec_warning` is empty.
    """
    found = fit_file(data, params, listen)
    return found if isinstance(found, Rejection) else finish([found], params)[0]


def fit_file(data: bytes, params: IngestParams, listen: Listener = unheard) -> Fitted | Rejection:
    """The part of `normalise` that a harmful file can break: decoding and resizing."""
    if not data:
        return Rejection("empty", "the file has no content")
    if len(data) > params.max_bytes:
        return Rejection("too_many_bytes", f"{len(data)} bytes, the limit is {params.max_bytes}")
    found = decode_file(data, params, listen)
    if isinstance(found, Rejection):
        return found
    if found.warning and params.codec_warnings == "reject":
        return Rejection("codec_warning", found.warning)
    try:
        pixels = _fit(found.pixels, found.width, found.height, params)
        blur = blur_as_it_came(found.pixels)
    except Exception as error:  # without memory
        return failure(error)
    facts = {
        "width": found.width,
        "height": found.height,
        "bytes": len(data),
        "format": found.file_format,
        "range_used": found.range_used,
    }
    shown = without_bars(pixels, found.width, found.height, params.fit)
    return Fitted(pixels, shown, facts, found.warning, {"taken": found.taken, "camera": found.camera}, blur)


def finish(fitted: Sequence[Fitted], params: IngestParams) -> list[Picture]:
    """The rest of `normalise`, for several pictures at once, which uses the processor's caches better."""
    images = [encode(one.pixels, params.encoding) for one in fitted]
    facts = picture_facts([one.shown for one in fitted])
    return [
        Picture(image, {**one.facts, **measured, "blur": one.blur}, one.shown, one.codec_warning, one.exif)
        for one, image, measured in zip(fitted, images, facts, strict=True)
    ]


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
            shown = canvas[inside(width, height, size)]
            shown[:] = _resize(pixels, *shown.shape[:2])
            return canvas


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels
    pixels = np.ascontiguousarray(pixels)
    if height < rows < 2 * height and width < columns < 2 * width:
        # Twice the target by cubic curves, then the mean of each four: nearer to LANCZOS than the mean over areas (44.0
        # against 42.3 dB, median of photos), in 0.4 of its time, because OpenCV has both in vector instructions.
        pixels = np.asarray(cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC), np.uint8)
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    # Area averaging is what a sensor does and does not alias; it is nearest-neighbour when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)
