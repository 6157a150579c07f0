"""How close ingest comes to decoding alone, and what 1 % of new images costs.

    python benchmarks/ingest.py [--images 2000] [--workers 2]

All figures are ratios of times measured in one run on generated 1600 x 1200 JPEG photos:
the floor decodes, resizes and encodes in one process without files, hashes or facts of pictures;
the naive peer decodes in full and resizes with LANCZOS, as most scripts do.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.core.imaging import encode
from pipeline.files.shards import ShardStore
from pipeline.params import IngestParams, JpegEncoding, SourceParams
from pipeline.processes.engine import Engine
from pipeline.runner import write_all
from pipeline.stages.ingest import STAGE, ingest

PARAMS = IngestParams(
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
    max_seconds=30,
    max_memory_mb=2000,
    max_rejected=0.1,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number in range(options.images):
            write_photo(number)
        photos = [path.read_bytes() for path in sorted(Path("photos").rglob("*.jpg"))[:200]]
        scale = options.images / len(photos) / options.workers
        floor = timed(lambda: [at_the_floor(photo) for photo in photos]) * scale
        naive = timed(lambda: [naively(photo) for photo in photos]) * scale
        cold = timed(lambda: run(options.workers))
        warm = timed(lambda: run(options.workers))
        for number in range(options.images, options.images + options.images // 100):
            write_photo(number)
        more = timed(lambda: run(options.workers))
    print(f"{options.images} photos, {options.workers} workers")
    for name, seconds in (("naive", naive), ("cold run", cold), ("nothing new", warm), ("1 % new", more)):
        print(f"{name:12} {seconds:7.2f} s   {seconds / floor:5.2f} of the floor   {seconds / cold:6.1%} of a cold run")


def write_photo(number: int) -> None:
    """Smooth noise with some grain: about as hard to decode as a photo."""
    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.add(pixels, random.integers(0, 24, pixels.shape, dtype=np.uint8))
    path = Path("photos") / f"class{number % 5}" / f"{number:06}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=85)


def run(workers: int) -> None:
    stage = STAGE.named("photos")
    shards = ShardStore(Path(stage.builds["shards"]))
    source = SourceParams(role="raw", path="photos")
    write_all(stage, ingest("photos", source, PARAMS, shards, Engine(workers)))
    shards.drop_stale()


def at_the_floor(photo: bytes) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        image.draft(None, (PARAMS.size, PARAMS.size))
        side = min(image.size)
        pixels = np.asarray(image)[:side, :side]
    resized = cv2.resize(pixels, (PARAMS.size, PARAMS.size), interpolation=cv2.INTER_AREA)
    return encode(np.asarray(resized, np.uint8), PARAMS.encoding)


def naively(photo: bytes) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        side = min(image.size)
        resized = image.crop((0, 0, side, side)).resize((PARAMS.size, PARAMS.size), Image.Resampling.LANCZOS)
    return encode(np.asarray(resized), PARAMS.encoding)


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
