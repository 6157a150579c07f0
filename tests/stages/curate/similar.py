"""Scenes, and changes of a picture after which it is still the same one."""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from pipeline.images.perceptual import Hashes, marks, views
from pipeline.images.pixels import Pixels
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.curate.near_hashes import Positions
from pipeline.stages.curate.similarity import (
    MIN_DETAIL,
    copies,
    linked,
)

Pairs = set[tuple[int, int]]


def scene(seed: int, height: int = 120, width: int = 160) -> Pixels:
    """A picture with structure on every scale, as photos have it."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 110, np.float32)
    for octave in range(1, 6):
        coarse = random.normal(0, 60 / 1.7**octave, (2**octave, 2**octave, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 50) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(buffer.getvalue())))


def half(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((width // 2, height // 2)))


def cropped(pixels: Pixels, share: float) -> Pixels:
    height, width = (round(length * share) for length in pixels.shape[:2])
    return pixels[height : pixels.shape[0] - height, width : pixels.shape[1] - width]


def brighter(pixels: Pixels) -> Pixels:
    return np.asarray(np.clip(pixels * 1.1, 0, 255), np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "re-encoded": jpeg,
    "half the size": half,
    "cropped by 3 % in all": lambda pixels: cropped(pixels, 0.015),
    "cropped by 3 % a side": lambda pixels: cropped(pixels, 0.03),
    "brightened": brighter,
    "all at once": lambda pixels: jpeg(half(brighter(cropped(pixels, 0.02)))),
}


def within(hashes: Hashes, radius: int) -> Pairs:
    """All pairs by comparing all."""
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(int(i), int(j)) for i, j in np.argwhere(distances <= radius) if i < j}


class Pictures:
    """Pictures that can be looked at, and which of them were."""

    def __init__(self, pictures: list[Pixels]) -> None:
        self.views = np.stack([views(pixels) for pixels in pictures])
        self.portraits = np.stack([portrait(pixels) for pixels in pictures])
        self.looks: list[int] = []
        self.closer_looks: list[int] = []

    def look_closer(self, rows: Positions) -> Pixels:
        self.closer_looks += rows.tolist()
        return self.portraits[rows]

    def look(self, rows: Positions) -> Pixels:
        self.looks += rows.tolist()
        return self.views[rows]

    def families(self, parts: list[int] | None = None) -> list[int]:
        """For each picture the first one that it is connected with."""
        hashes, detail = zip(*map(marks, self.views), strict=True)
        compared = np.array(detail) >= MIN_DETAIL
        chosen = None if parts is None else np.array(parts)
        pairs = copies(np.stack(hashes), compared, self.look, self.look_closer, chosen)
        return [int(label) for label in linked(np.arange(len(hashes)), *pairs)]


def labels(pictures: list[Pixels], parts: list[int] | None = None) -> list[int]:
    return Pictures(pictures).families(parts)
