"""Facts of some images of a source, for choices that fit them."""

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.images.colours import bits_of, range_used, to_srgb
from pipeline.images.decoding import FORMATS, heic_installed, is_heic
from pipeline.images.notes import LITTLE, white_of
from pipeline.images.pillow import pillow_lines, pillow_settings
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.sources.files import Files
from pipeline.workers.codec_messages import codec_messages

# Images whose header is read, and of these those that are decoded.
MAX_HEADERS, MAX_DECODED = 200, 40
MAX_BYTES = 50_000_000
MAX_PIXELS = 50_000_000
THUMBNAIL = 64
# Of a pixel's channels, in levels: more is colour. Of a page, in levels: brighter is paper.
COLOUR, PAPER = 24, 225

T = TypeVar("T")


class Unreadable(Enum):
    """Why an image was not seen."""

    DAMAGED = auto()
    HEIC = auto()


@dataclass(frozen=True)
class ImageFacts:
    """Of the images that were looked at.

    sides: the shorter ones, in pixels. aspects: width over height. formats: how many are of each.
    gray, paper: shares of those decoded that have no colour, and that are bright almost everywhere.
    unreadable: how many could not be opened. heic: how many of these are HEIC, which an extra opens.
    deep: of those decoded that have more than 8 bits per channel, the share of their range that each uses.
    """

    sides: Sequence[int] = ()
    aspects: Sequence[float] = ()
    formats: Mapping[str, int] = field(default_factory=dict)
    gray: float = 0.0
    paper: float = 0.0
    unreadable: int = 0
    heic: int = 0
    deep: Sequence[float] = ()

    @property
    def area(self) -> float:
        """Pixels of the image in the middle."""
        sizes = zip(self.sides, self.aspects, strict=True)
        return median(side * side * max(aspect, 1 / aspect) for side, aspect in sizes) if self.sides else 0.0

    @property
    def aspect(self) -> float:
        """The one in the middle."""
        return median(self.aspects) if self.aspects else 1.0

    @property
    def white(self) -> int | None:
        """The largest value of the fewest bits that hold all images of more than 8 bits; None if they use all bits."""
        used = [share for share in self.deep if share > 0]
        return white_of(used) if used and max(used) <= LITTLE else None


def look_at(files: Files, images: Sequence[str]) -> ImageFacts:
    """Facts of images that are spread evenly over all, by name; nothing else is opened."""
    chosen = spread_evenly(images, MAX_HEADERS)
    decoded = set(spread_evenly(chosen, MAX_DECODED))
    sides, aspects, formats, unreadable, heic = list[int](), list[float](), Counter[str](), 0, 0
    gray, paper, deep = list[float](), list[float](), list[float]()
    ordered = files.in_order(chosen)
    files.expect([(path, "") for path in ordered])
    for path in ordered:
        seen = _opened(files, path, partial(_measured, thumbnail=path in decoded))
        if isinstance(seen, Unreadable):
            unreadable, heic = unreadable + 1, heic + (seen is Unreadable.HEIC)
            continue
        kind, (width, height), pixels, used = seen
        sides.append(min(width, height))
        aspects.append(width / max(height, 1))
        formats[kind] += 1
        if used is not None:
            deep.append(used)
        if pixels is not None:
            gray.append(float(np.ptp(pixels, axis=2).max() < COLOUR))
            paper.append(float((pixels.min(axis=2) > PAPER).mean() > 0.6))
    return ImageFacts(sides, aspects, dict(formats), _mean(gray), _mean(paper), unreadable, heic, deep)


def pictures_of(files: Files, labels: Mapping[str, str], most: int, side: int) -> list[tuple[Pixels, str]]:
    """Pictures of labelled images that are spread evenly over all, by name, and their labels.

    Args:
        labels: path -> label.
        most: pictures.
        side: pixels of the shorter side of a larger picture, at least.
    """
    chosen = files.in_order(spread_evenly([*labels], most))
    files.expect([(path, "") for path in chosen])
    found = {path: _opened(files, path, partial(_picture, side=side)) for path in chosen}
    # In the order of the names, whatever order an archive is read in.
    seen = [(found[path], labels[path]) for path in sorted(found)]
    return [(pixels, label) for pixels, label in seen if not isinstance(pixels, Unreadable)]


def _opened(files: Files, path: str, use: Callable[[Image.Image, bytes], T]) -> T | Unreadable:
    """What `use` makes of an image and the bytes of its file."""
    data = files.read(path, MAX_BYTES)
    if isinstance(data, Rejection):
        return Unreadable.DAMAGED
    if is_heic(data) and not heic_installed():
        return Unreadable.HEIC
    try:
        allowed = ("HEIF",) if is_heic(data) else FORMATS
        # What libraries say of a damaged file names no file, and ingest will say it.
        with (
            pillow_settings(MAX_BYTES),
            pillow_lines(),
            codec_messages(),
            Image.open(io.BytesIO(data), formats=allowed) as image,
        ):
            return use(image, data)
    except Exception:  # noqa: BLE001 - a decoder raises anything; ingest will say what is wrong
        return Unreadable.DAMAGED


Measured = tuple[str, tuple[int, int], npt.NDArray[np.int16] | None, float | None]
"""Format, size, a thumbnail, and the share of their range that more than 8 bits use."""


def _measured(image: Image.Image, data: bytes, *, thumbnail: bool) -> Measured:
    size, bits = image.size, bits_of(image, data)
    if not thumbnail or size[0] * size[1] > MAX_PIXELS:
        return image.format or "", size, None, None
    pixels = _thumbnail(image)
    return image.format or "", size, pixels, range_used(image, bits, None) if bits > 8 or _is_deep(image) else None


def _picture(image: Image.Image, _: bytes, *, side: int) -> Pixels:
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise OSError("too many pixels")
    image.draft("RGB", (side, side))
    whole = _in_colours(image)
    if (times := min(whole.size) // side) > 1:
        whole = whole.reduce(times)
    return np.asarray(whole, dtype=np.uint8)


def _in_colours(image: Image.Image) -> Image.Image:
    """An image as RGB. Pillow would show every value above 255 as white: these are shown by their own largest one."""
    if not _is_deep(image):
        return image.convert("RGB")
    image.load()
    top: float = max(float(np.max(np.asarray(image), initial=0)), 1e-9)
    return Image.fromarray(to_srgb(image, (255, 255, 255), (0.0, top)))


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def spread_evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many, from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _thumbnail(image: Image.Image) -> npt.NDArray[np.int16]:
    image.draft("RGB", (THUMBNAIL, THUMBNAIL))
    small = _in_colours(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
