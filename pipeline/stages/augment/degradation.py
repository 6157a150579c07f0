"""Pixels and strengths -> the picture as a poorer camera would have taken it.

In the order of a camera: light and colour, resolution, blur, noise, JPEG. Each kind has a strength, 0 where it
leaves pictures as they are. A picture's own strengths are drawn around the typical ones, by key, so that
no two variants are degraded alike. Not here: which strengths production has, see stages/augment/production_gap.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels
from pipeline.randomness import keyed_generator

Floats = npt.NDArray[np.float32]

LIBRARIES = ("numpy", "opencv-python-headless")
# Draws beyond so many spreads would be pictures that production hardly has.
FARTHEST = 2.0
# Narrower ones weigh a neighbour with less than 0.0001.
NARROWEST = 0.23


@dataclass(frozen=True)
class Kind:
    """Ends of what a strength may be, and the steps in which it is chosen; a spread is `widest` steps at most."""

    low: float
    high: float
    step: float
    widest: int = 8


# In the order in which they act.
KINDS: Mapping[str, Kind] = {
    # log2 of factors: of all values, of the distance from the picture's mean luma, of red, of blue, and of
    # the distance from grey.
    "brightness": Kind(-2.0, 2.0, 0.1),
    "contrast": Kind(-2.0, 2.0, 0.1),
    "red": Kind(-1.0, 1.0, 0.05),
    "blue": Kind(-1.0, 1.0, 0.05),
    "saturation": Kind(-3.0, 2.0, 0.1),
    # log2 of how many times fewer pixels per side there are.
    "resolution": Kind(0.0, 4.0, 0.1),
    # Standard deviation of a Gaussian, in pixels.
    "blur": Kind(0.0, 4.0, 0.1),
    # Standard deviation of what is added to luma, as a share of full scale.
    "noise": Kind(0.0, 0.3, 0.005),
    # 100 minus the quality.
    "jpeg": Kind(0.0, 95.0, 5.0),
}
TONES = ("brightness", "contrast", "red", "blue", "saturation")


@dataclass(frozen=True)
class Strength:
    """Typical value of a kind, and the standard deviation of draws before they are cut to the ends."""

    typical: float = 0.0
    spread: float = 0.0


ABSENT = Strength()


@dataclass(frozen=True)
class Strengths:
    """How much pictures are degraded, in the units of KINDS; 0 leaves them as they are."""

    brightness: Strength = ABSENT
    contrast: Strength = ABSENT
    red: Strength = ABSENT
    blue: Strength = ABSENT
    saturation: Strength = ABSENT
    resolution: Strength = ABSENT
    blur: Strength = ABSENT
    noise: Strength = ABSENT
    jpeg: Strength = ABSENT

    def items(self) -> Iterator[tuple[str, Strength]]:
        """Kind and strength, in the order of KINDS."""
        yield from ((kind, getattr(self, kind)) for kind in KINDS)

    def used(self) -> list[str]:
        """The kinds that change pictures."""
        return [kind for kind, strength in self.items() if strength != ABSENT]

    def numbers(self) -> dict[str, dict[str, float]]:
        """Kind -> typical value and spread, for a report."""
        return {kind: {"typical": found.typical, "spread": found.spread} for kind, found in self.items()}


NOTHING = Strengths()


def degrade(pixels: Pixels, strengths: Strengths, seed: int, image_id: str, copy: int) -> Pixels:
    """The degraded picture: a function of (seed, image id, copy number), the strengths and the pixels.

    pixels and result: shape (height, width, 3). One key draws the same place in any distribution, so that a
    small change of the strengths is a small change of the picture.
    """
    if strengths == NOTHING:
        return pixels
    random = keyed_generator(seed, "degradation", image_id, copy)
    drawn = _drawn(strengths, random)
    light = _expose(np.asarray(pixels, np.float32) / np.float32(255), drawn)
    light = _blur(_shrink(light, drawn["resolution"]), drawn["blur"])
    if drawn["noise"]:
        # Alike in all channels: cameras even out the noise of colours more than that of light.
        light = light + drawn["noise"] * random.standard_normal((*pixels.shape[:2], 1), np.float32)
    seen = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    return _compress(seen, round(100 - drawn["jpeg"]))


def _drawn(strengths: Strengths, random: np.random.Generator) -> dict[str, float]:
    places = np.clip(random.standard_normal(len(KINDS)), -FARTHEST, FARTHEST).tolist()
    return {
        kind: min(max(strength.typical + strength.spread * place, KINDS[kind].low), KINDS[kind].high)
        for (kind, strength), place in zip(strengths.items(), places, strict=True)
    }


def _expose(light: Floats, drawn: Mapping[str, float]) -> Floats:
    """Light and colour: factors of gamma-coded values are what another exposure or white balance makes."""
    if not any(drawn[kind] for kind in TONES):
        return light
    brightness, contrast, red, blue, saturation = (2 ** drawn[kind] for kind in TONES)
    lit = np.minimum(light * np.array([brightness * red, brightness, brightness * blue], np.float32), 1)
    grey = cv2.cvtColor(lit, cv2.COLOR_RGB2GRAY)[:, :, None]
    middle = float(grey.mean())
    return np.asarray(np.clip(middle + contrast * (grey - middle + saturation * (lit - grey)), 0, 1), np.float32)


def _shrink(light: Floats, halvings: float) -> Floats:
    """Fewer pixels, brought back to the old number as images/pixels.py enlarges small pictures."""
    height, width = light.shape[:2]
    small = max(1, round(height / 2**halvings)), max(1, round(width / 2**halvings))
    if small == (height, width):
        return light
    less = cv2.resize(light, small[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _blur(light: Floats, deviation: float) -> Floats:
    if deviation < NARROWEST:
        return light
    return np.asarray(cv2.GaussianBlur(light, (0, 0), deviation), np.float32)


def _compress(pixels: Pixels, quality: int) -> Pixels:
    if quality >= 100:
        return pixels
    # OpenCV's order is blue, green, red. Pillow takes four times as long for pictures of 64 pixels.
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])
