"""JPEGs -> sRGB pixels as stored, with messages of the codec; of a truncated JPEG, the rows that are left.

OpenCV decodes plain JPEGs: the same library makes the same pixels as in Pillow (a test holds that), but only OpenCV
lets it complain of what is broken, so that it also listens to the other ones.
"""

import io
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import cv2
import numpy as np
from PIL import Image

from pipeline.images.colours import to_srgb
from pipeline.images.jpegs import END, has_all_scans, is_lossless, lacks_end, whole_rows, with_end, without_padding
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection, failure
from pipeline.stages.ingest.params import IngestParams

# What libjpeg says, and fills the rest with grey, when there is a marker before the picture's end.
PREMATURE = "premature end of data segment"
# What it says where the end marker that a cut file was given comes before the picture's end.
_OF_A_CUT = (PREMATURE, "found marker 0xd9 instead of RST")
NO_END = "it has no end marker"
# Pixels decoded for each pixel of the target, along a side, at least. Measured (benchmarks/scaling.py): with just one,
# a photo in twenty is below 31 dB and 0.95 SSIM of a full decode with LANCZOS; with these below 34 dB and 0.97.
SPARE = 4 / 3
# Scale of libjpeg -> how OpenCV is told; without its flag of colours in the order red, green, blue, it gives grey.
_REDUCED = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
JPEGS = {"JPEG", "MPO"}

Listener = Callable[[], AbstractContextManager[list[str]]]
"""Gives a list that holds, afterwards, the lines that codecs wrote to file descriptor 2."""


class MissingError(Exception):
    """Too much of a truncated file is missing."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.detail)
        self.rejection = rejection


def pixels_of_jpeg(image: Image.Image, data: bytes, params: IngestParams, listen: Listener) -> tuple[Pixels, list[str]]:
    """sRGB pixels (height, width, 3) as stored, at the smallest scale that covers `params.size`; and codec messages.

    Raises:
        MissingError: more of the file is missing than `params.max_missing`.
    """
    if lacks_end(data):
        return _salvaged(data, params, listen, [NO_END])
    if is_lossless(data):
        # libjpeg says nothing when such a file ends too soon.
        return _salvaged(data[: data.rindex(END)], params, listen, [])
    return _of_jpeg(image, data, params, listen)


def _of_jpeg(image: Image.Image, data: bytes, params: IngestParams, listen: Listener) -> tuple[Pixels, list[str]]:
    """The same of one with its end."""
    scale = _draft(image, data, params)
    profile = image.info.get("icc_profile")
    colour = 0 if image.mode == "L" and profile is not None else cv2.IMREAD_COLOR_RGB
    with listen() as heard:
        # Inks are Pillow's to convert: of them only what libjpeg says is wanted, at whatever scale takes least time.
        found = by_opencv(data, scale if image.mode in {"RGB", "L"} else max(_REDUCED), colour)
    # What OpenCV refuses is Pillow's to judge.
    if image.mode in {"RGB", "L"} and found is not None and found.shape[:2] == image.size[::-1]:
        return _with_profile(found, profile, params), heard
    with listen() as lines:
        image.load()
    # OpenCV's own lines, of what it refuses, have the time in them.
    heard = [line for line in heard if not line.startswith("[")]
    return to_srgb(image, params.background), list(dict.fromkeys([*heard, *lines]))


def _draft(image: Image.Image, data: bytes, params: IngestParams) -> int:
    """Let libjpeg decode at the smallest DCT scale that covers the target with pixels to spare; 1, 2, 4 or 8."""
    width, height = image.size
    share = SPARE * params.size / (max(image.size) if params.fit == "pad" else min(image.size))
    if share >= 1 or is_lossless(data):
        return 1
    drafted = image.draft(None, (math.ceil(width * share), math.ceil(height * share)))
    return 1 if drafted is None else round(width / drafted[1][2])


def by_opencv(data: bytes, scale: int, colour: int) -> Pixels | None:
    """Pixels (height, width, 3) by OpenCV, or None if it refuses the file.

    Args:
        scale: 1, 2, 4 or 8: a side has so many times fewer pixels.
        colour: flags of OpenCV beside those of the scale.

    Raises:
        cv2.error: memory is missing.
    """
    flags = _REDUCED[scale] | colour | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
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


def _salvaged(data: bytes, params: IngestParams, listen: Listener, of_whole: list[str]) -> tuple[Pixels, list[str]]:
    """A JPEG without its end marker: with the background in place of rows that lack more, and how much that is.

    Args:
        of_whole: what is said of one that lacks no more.

    Raises:
        MissingError: it is more than the limit.
    """

    # At its full scale: at a smaller one, fine structure that is missing would not be missed.
    full = params.model_copy(update={"size": params.max_side})

    def decoded(file: bytes, scale: IngestParams = full) -> tuple[Pixels, list[str]]:
        return _of_jpeg(Image.open(io.BytesIO(file), formats=("JPEG", "MPO")), file, scale, listen)

    data = without_padding(data, lambda file: decoded(file)[0])
    shown, lines = decoded(with_end(data))
    scans = has_all_scans(data)
    rows = whole_rows(data, lambda file: decoded(file)[0], shown) if scans else 0
    pixels, _ = decoded(with_end(data), params)
    others = [line for line in lines if not any(words in line for words in _OF_A_CUT)]
    cut = len(others) < len(lines)
    if rows == len(shown) and not cut:
        return pixels, [*lines, *of_whole]
    # Where other bytes change nothing, nobody knows from where on rows are missing.
    rows = rows if rows < len(shown) else 0
    missing = 1 - rows / len(shown)
    words = (
        f"{missing:.1%} of its rows are missing"
        if scans
        else "some of its scans are missing, so all of its rows are incomplete"
    )
    if missing > params.max_missing:
        raise MissingError(Rejection("truncated", f"{words}, the limit is {params.max_missing:.1%}"))
    if scans:
        pixels = pixels.copy()
        # Of a row of a smaller picture all that it is made of must be there, and the row below it.
        pixels[rows if len(pixels) == len(shown) else max(0, rows * len(pixels) // len(shown) - 1) :] = (
            params.background
        )
    return pixels, [*others, words]
