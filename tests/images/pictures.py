"""Pictures as files of many kinds, and what ingest makes of them."""

import io
from typing import Any

import numpy as np
from PIL import Image

from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels, decode
from pipeline.images.rejection import Rejection
from pipeline.stages.ingest.params import IngestParams
from tests.examples import params

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
FITS = ["crop", "pad", "stretch"]


def ingest(size: int = 16, fit: str = "stretch", **changes: Any) -> IngestParams:
    limits = {
        "ingest.max_pixels": 1_000_000,
        "ingest.max_bytes": 1_000_000,
        "ingest.max_side": 50_000,
        "ingest.max_aspect": 50_000,
    }
    values = params(**limits).ingest.model_dump()
    return IngestParams.model_validate({**values, "size": size, "fit": fit, **changes})


def accepted(data: bytes, **changes: Any) -> Picture:
    found = normalise(data, ingest(**changes))
    assert isinstance(found, Picture), found
    return found


def rejected(data: bytes, **changes: Any) -> Rejection:
    found = normalise(data, ingest(**changes))
    assert isinstance(found, Rejection)
    return found


def shown(data: bytes, **changes: Any) -> Pixels:
    """What the normalised picture shows."""
    return decode(accepted(data, **changes).image)


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def smooth(height: int, width: int) -> Pixels:
    """Slow waves of colour, which lossy formats keep well."""
    down, across = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(5 * down + 1), np.cos(4 * across), np.sin(3 * (down + across))]
    return (127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def flat(colour: tuple[int, ...]) -> Pixels:
    return np.full((16, 16, 3), colour, np.uint8)


def distance(first: Pixels, second: Pixels) -> float:
    """Mean difference per channel."""
    return float(np.abs(first.astype(int) - second).mean())


def of_mode(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (16, 16), colour)


def of_palette(entry: int) -> Image.Image:
    image = of_mode("P", entry)
    image.putpalette([channel for number in range(16) for channel in (number, 128, 255)])
    return image


def wide(value: float, dtype: str) -> Image.Image:
    """A flat picture of numbers of more than 8 bits."""
    return Image.fromarray(np.full((16, 16), value, dtype))
