"""Params for photos, and generated ones, for the benchmarks beside it."""

import io

import cv2
import numpy as np
from PIL import Image

from pipeline.images.pixels import Pixels
from pipeline.stages.ingest.params import IngestParams, JpegEncoding

PHOTOS = IngestParams(
    size=224,
    fit="crop",
    encoding=JpegEncoding(name="jpeg", quality=90),
    background=(255, 255, 255),
    codec_warnings="accept",
    max_missing=0.0,
    max_pixels=50_000_000,
    max_side=30_000,
    max_aspect=50,
    max_bytes=100_000_000,
    max_expansion=200,
    max_seconds=30,
    max_memory_mb=2000,
    max_rejected=0.1,
)


def generated(seed: int, width: int, height: int) -> Pixels:
    """Noise on every scale, as photos have it: about as hard to decode as a photo."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 110, np.float32)
    side = 2
    while side < max(width, height):
        coarse = random.normal(0, 80 / side**0.5, (max(1, side * height // width), side, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        side *= 2
    return np.clip(pixels, 0, 255).astype(np.uint8)


def encoded(pixels: Pixels, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()
