"""How fast copies are found, and how many are missed or made up.

    python benchmarks/similarity.py [--pictures 1000000] [--photos FOLDER] [--size 64] [--fit stretch] [--least-side 32]

Speed is a ratio against comparing all pairs of hashes, measured on a part in the same run. Copies are made
of the photos in a folder, or of generated ones, and normalised as ingest does it: a copy is missed when the
search does not link it to its original; a link between different photos is listed, for a look by eye.
"""

import argparse
import io
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from pipeline.images.normalising import Picture, normalise
from pipeline.images.perceptual import CROPS, SIDE, Hashes, marks, views
from pipeline.images.pixels import Pixels
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.curate.near_hashes import RADIUS, Positions
from pipeline.stages.curate.similarity import MIN_SIDE, comparable, copies, linked
from pipeline.stages.ingest.params import IngestParams
from pipeline.tools.audit.inspection import SMALL

BRUTE = 20_000
# What is looked at where speed is measured: pictures that all differ, or that all are one.
NOISE = np.random.default_rng(2).integers(0, 256, (4096, len(CROPS), SIDE, SIDE), dtype=np.uint8)
Result = TypeVar("Result")
# Views and portrait.
Seen = tuple[Pixels, Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fit", choices=["crop", "pad", "stretch"], default="stretch")
    parser.add_argument("--least-side", type=int, default=MIN_SIDE)
    options = parser.parse_args()
    count = options.pictures
    random = np.random.default_rng(0).integers(0, 2**64, (count, len(CROPS)), dtype=np.uint64)
    numbers = np.arange(count)
    for name, hashes, shown in (
        ("random", random, numbers),
        ("families of 10, up to 3 bits apart", flipped(random[numbers // 10]), numbers // 10),
        ("half of them 20 equal pictures", random[np.where(numbers % 2, numbers, numbers % 20)], numbers % 20),
        (
            "10,000 copies of one, up to 3 bits",
            flipped(random[np.maximum(numbers, 10_000)]),
            np.maximum(numbers, 10_000),
        ),
        ("all one picture", random[0 * numbers], 0 * numbers),
    ):
        speed(name, hashes, shown)
    quality(options.photos, SMALL.model_copy(update={"size": options.size, "fit": options.fit}), options.least_side)


def flipped(hashes: Hashes) -> Hashes:
    random = np.random.default_rng(1)
    for _ in range(3):
        hashes = hashes ^ (
            random.integers(0, 2, hashes.shape, dtype=np.uint64)
            << random.integers(0, 64, hashes.shape, dtype=np.uint64)
        )
    return hashes


def speed(name: str, hashes: Hashes, shown: Positions) -> None:
    part = hashes[:BRUTE].ravel()
    brute = timed(lambda: all_pairs(part))[0] * (hashes.size / len(part)) ** 2
    seconds, (found, _) = timed(
        lambda: copies(
            hashes,
            np.ones(len(hashes), np.bool_),
            lambda rows: NOISE[shown[rows] % len(NOISE)],
            lambda rows: np.kron(NOISE[shown[rows] % len(NOISE), 0], np.ones((2, 2), np.uint8)),
        )
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
    print(
        f"{name:36} {len(found):>10,} links {seconds:7.2f} s   1/{brute / seconds:,.0f} of all pairs   {memory:.2f} GiB"
    )


def all_pairs(hashes: Hashes) -> int:
    return sum(
        int((np.bitwise_count(hashes[number] ^ hashes[:number]) <= RADIUS).sum()) for number in range(len(hashes))
    )


def quality(folder: Path | None, params: IngestParams, least_side: int) -> None:
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    files = {path.read_bytes(): str(path) for path in reversed(found)} or {
        generated(seed): str(seed) for seed in range(500)
    }
    photos = [(name, photo) for data, name in files.items() if (photo := opened(data))]
    smallest = np.array([min(photo.size) for _, photo in photos])
    originals = [seen(photo, params) for _, photo in photos]
    for name, change in CHANGES.items():
        changed = [seen(change(photo), params) for _, photo in photos]
        links = families(originals + changed, np.tile(smallest, 2), least_side, np.repeat([0, 1], len(photos)))
        missed = int((links[: len(photos)] != links[len(photos) :]).sum())
        print(f"{name:36} {missed:>5} of {len(photos)} copies missed")
    links = families(originals, smallest, least_side, None)
    for number in np.flatnonzero(links != np.arange(len(photos))):
        print(f"linked: {photos[links[number]][0]} and {photos[number][0]}")
    print(f"{(smallest < least_side).sum()} pictures have less than {least_side} pixels a side: not compared")


def families(pictures: list[Seen], smallest: Positions, least_side: int, parts: Positions | None) -> Positions:
    """For each picture the first one that it is connected with."""
    shown, portraits = (np.stack(part) for part in zip(*pictures, strict=True))
    hashes, detail = zip(*map(marks, shown), strict=True)
    # Whatever side is the least here counts as the one that the pipeline asks for.
    sides = smallest - least_side + MIN_SIDE
    compared = comparable(np.array(detail), sides, sides)
    pairs = copies(np.stack(hashes), compared, shown.__getitem__, portraits.__getitem__, parts)
    return linked(np.arange(len(pictures)), *pairs)


def opened(data: bytes) -> Image.Image | None:
    if not isinstance(normalise(data, SMALL), Picture):
        return None
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB")
        rgb.thumbnail((1200, 1200))
        return rgb


def generated(number: int) -> bytes:
    """Noise on every scale, as photos have it."""
    random = np.random.default_rng(number)
    pixels = np.zeros((300, 400, 3), np.float32)
    for octave in range(1, 7):
        coarse = random.normal(0, 1, (3 * 2**octave // 2, 2 * 2**octave, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC) * (60 / 1.7**octave)
    return encoded(Image.fromarray(np.clip(pixels + 110, 0, 255).astype(np.uint8)), 92)


def encoded(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def seen(photo: Image.Image | bytes, params: IngestParams) -> Seen:
    picture = normalise(photo if isinstance(photo, bytes) else encoded(photo, 95), params)
    assert isinstance(picture, Picture)
    return views(picture.shown), portrait(picture.shown)


def half(photo: Image.Image) -> Image.Image:
    return photo.resize((max(1, photo.width // 2), max(1, photo.height // 2)))


def cropped(photo: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = photo.size
    return photo.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


def turned(photo: Image.Image, degrees: float) -> Image.Image:
    """Without the margin that turning leaves empty, up to 2 degrees in the middle of a side."""
    return cropped(photo.rotate(degrees, Image.Resampling.BICUBIC), *[math.sin(math.radians(abs(degrees))) / 1.5] * 4)


def burst(photo: Image.Image, shift: float, degrees: float) -> Image.Image:
    """The next picture of a burst: the camera moved and turned a little, and the sensor's noise is another."""
    pixels = np.asarray(turned(cropped(photo, shift, shift, 0, 0), degrees), np.float32)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(1.05 * pixels + noise, 0, 255).astype(np.uint8))


def brighter(photo: Image.Image, factor: float) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(photo, np.float32) * factor, 0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image | bytes]] = {
    "JPEG quality 50": lambda photo: encoded(photo, 50),
    "half the size": half,
    "crop 3 % (1.5 % of each side)": lambda photo: cropped(photo, 0.015, 0.015, 0.015, 0.015),
    "crop 3 % of each side": lambda photo: cropped(photo, 0.03, 0.03, 0.03, 0.03),
    "crop 5 % of each side": lambda photo: cropped(photo, 0.05, 0.05, 0.05, 0.05),
    "crop 3 % of one side": lambda photo: cropped(photo, 0.03, 0, 0, 0),
    "crop 5 % of one side": lambda photo: cropped(photo, 0, 0, 0, 0.05),
    "crop 10 % of one side": lambda photo: cropped(photo, 0, 0.1, 0, 0),
    "moved by 3 % both ways": lambda photo: cropped(photo, 0.03, 0.03, 0, 0),
    "turned by 1 degree": lambda photo: turned(photo, 1),
    "turned by 2 degrees": lambda photo: turned(photo, 2),
    "burst: 1 %, half a degree": lambda photo: burst(photo, 0.01, 0.5),
    "burst: 2 %, 1 degree": lambda photo: burst(photo, 0.02, 1),
    "10 % brighter": lambda photo: brighter(photo, 1.1),
    "crop 3 %, half, brighter, JPEG 50": lambda photo: encoded(
        half(brighter(cropped(photo, 0.015, 0.015, 0.015, 0.015), 1.1)), 50
    ),
}


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


if __name__ == "__main__":
    main()
