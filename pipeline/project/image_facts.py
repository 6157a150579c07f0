"""Facts of some images of a source, for choices that fit them."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from PIL import Image

from pipeline.images.colours import bits_of, range_used, to_srgb
from pipeline.images.decoding import FORMATS, heic_installed, is_heic
from pipeline.images.notes import LITTLE, white_of
from pipeline.images.pillow import pillow_lines, pillow_settings
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
        data = files.read(path, MAX_BYTES)
        if isinstance(data, bytes) and is_heic(data) and not heic_installed():
            unreadable, heic = unreadable + 1, heic + 1
            continue
        try:
            if isinstance(data, Rejection):
                raise OSError(data.detail)
            # What libraries say of a damaged file names no file, and ingest will say it.
            allowed = ("HEIF",) if is_heic(data) else FORMATS
            with (
                pillow_settings(MAX_BYTES),
                pillow_lines(),
                codec_messages(),
                Image.open(io.BytesIO(data), formats=allowed) as image,
            ):
                width, height = image.size
                kind = image.format or ""
                bits = bits_of(image, data)
                pixels = _thumbnail(image) if path in decoded and width * height <= MAX_PIXELS else None
                if pixels is not None and (bits > 8 or _is_deep(image)):
                    deep.append(range_used(image, bits, None))
        except Exception:  # noqa: BLE001 - a decoder raises anything; ingest will say what is wrong
            unreadable += 1
            continue
        sides.append(min(width, height))
        aspects.append(width / max(height, 1))
        formats[kind] += 1
        if pixels is not None:
            gray.append(float(np.ptp(pixels, axis=2).max() < COLOUR))
            paper.append(float((pixels.min(axis=2) > PAPER).mean() > 0.6))
    return ImageFacts(sides, aspects, dict(formats), _mean(gray), _mean(paper), unreadable, heic, deep)


def spread_evenly(items: Sequence[str], most: int) -> list[str]:
    """At most so many, from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _thumbnail(image: Image.Image) -> "np.typing.NDArray[np.int16]":
    image.draft("RGB", (THUMBNAIL, THUMBNAIL))
    # Pillow shows every value above 255 as white.
    shown = Image.fromarray(to_srgb(image, (255, 255, 255))) if _is_deep(image) else image.convert("RGB")
    small = shown.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
