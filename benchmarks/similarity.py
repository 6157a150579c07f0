"""How fast near pairs are found, and how many copies are missed or made up.

    python benchmarks/similarity.py [--hashes 1000000] [--photos FOLDER]

Speed is a ratio against comparing all pairs, measured on a part in the same run. Copies are made of
the photos in a folder, or of generated ones: a copy is missed when the search does not link it to
its original; a link between different photos is listed, for a look by eye.
"""

import argparse
import io
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from pipeline.audit import SMALL
from pipeline.core.imaging import Picture, Pixels, decode, normalise
from pipeline.core.similarity import RADIUS, Hashes, families, near_pairs, views

BRUTE = 20_000
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args()
    random = np.random.default_rng(0).integers(0, 2**64, options.hashes, dtype=np.uint64)
    for name, hashes in (
        ("random", random),
        ("groups of 10, up to 3 bits apart", flipped(np.repeat(random[: options.hashes // 10], 10))),
        (
            "half of them 20 equal hashes",
            np.where(np.arange(options.hashes) % 2, random, np.resize(random[:20], options.hashes)),
        ),
        ("all equal", np.repeat(random[:1], options.hashes)),
    ):
        speed(name, hashes)
    copies(options.photos)


def flipped(hashes: Hashes) -> Hashes:
    random = np.random.default_rng(1)
    for _ in range(3):
        hashes = hashes ^ (
            random.integers(0, 2, len(hashes), dtype=np.uint64) << random.integers(0, 64, len(hashes), dtype=np.uint64)
        )
    return hashes


def speed(name: str, hashes: Hashes) -> None:
    brute = timed(lambda: all_pairs(hashes[:BRUTE]))[0] * (len(hashes) / min(BRUTE, len(hashes))) ** 2
    seconds, (found, _) = timed(lambda: near_pairs(hashes))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
    print(
        f"{name:34} {len(found):>10,} pairs {seconds:7.2f} s   1/{brute / seconds:,.0f} of all pairs   {memory:.2f} GiB"
    )


def all_pairs(hashes: Hashes) -> int:
    return sum(
        int((np.bitwise_count(hashes[number] ^ hashes[:number]) <= RADIUS).sum()) for number in range(len(hashes))
    )


def copies(folder: Path | None) -> None:
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    files = {str(path): path.read_bytes() for path in found} or {str(seed): generated(seed) for seed in range(500)}
    photos = [(name, photo) for name, data in files.items() if (photo := opened(data))]
    originals = np.stack([seen(photo) for _, photo in photos])
    parts = np.repeat([0, 1], len(photos))
    for name, change in CHANGES.items():
        changed = np.stack([seen(change(photo)) for _, photo in photos])
        links = families(np.concatenate([originals, changed]), parts)
        missed = int((links[: len(photos)] != links[len(photos) :]).sum())
        print(f"{name:34} {missed:>5} of {len(photos)} copies missed")
    links = families(originals, np.arange(len(photos)))
    for number in np.flatnonzero(links != np.arange(len(photos))):
        print(f"linked: {photos[links[number]][0]} and {photos[number][0]}")


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


def seen(photo: Image.Image | bytes) -> Pixels:
    picture = normalise(photo if isinstance(photo, bytes) else encoded(photo, 95), SMALL)
    assert isinstance(picture, Picture)
    return views(decode(picture.image))


def half(photo: Image.Image) -> Image.Image:
    return photo.resize((max(1, photo.width // 2), max(1, photo.height // 2)))


def cropped(photo: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = photo.size
    return photo.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


def brighter(photo: Image.Image, factor: float) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(photo, np.float32) * factor, 0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image | bytes]] = {
    "JPEG quality 50": lambda photo: encoded(photo, 50),
    "half the size": half,
    "crop 3 % (1.5 % of each side)": lambda photo: cropped(photo, 0.015, 0.015, 0.015, 0.015),
    "crop 3 % of each side": lambda photo: cropped(photo, 0.03, 0.03, 0.03, 0.03),
    "crop 5 % of each side": lambda photo: cropped(photo, 0.05, 0.05, 0.05, 0.05),
    "crop 3 % of one side": lambda photo: cropped(photo, 0.03, 0, 0, 0),
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
