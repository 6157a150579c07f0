"""Data sets that ensembles are compared on: made up, digits and photos; with wrong labels, with a rare class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from judged_images import images_of

from pipeline.training.folds import folds_of

Values = Any
NOISE_SHARE = 0.2
RARE = 0.1


@dataclass(frozen=True)
class Set:
    """Vectors (n, d), labels and groups (n,); and the labels that train is given."""

    vectors: Values
    labels: Values
    groups: Values
    given: Values

    def part(self, inside: Values) -> "Set":
        return Set(self.vectors[inside], self.labels[inside], self.groups[inside], self.given[inside])


# Data sets


def sets(data: Path, cache: Path) -> Mapping[str, Callable[[], Set]]:
    return {
        "one cloud a class": lambda: clouds(1),
        "several clouds a class": lambda: clouds(3),
        "digits": digits,
        "digits, wrong labels": lambda: wrong_labels(digits()),
        "digits, rare classes": lambda: rare(digits()),
        "fruit": lambda: photos("fruit", data, cache),
        "fruit, wrong labels": lambda: wrong_labels(photos("fruit", data, cache)),
        "trash": lambda: photos("trash", data, cache),
        "trash, wrong labels": lambda: wrong_labels(photos("trash", data, cache)),
        "trash, rare classes": lambda: rare(photos("trash", data, cache)),
    }


def clouds(each: int) -> Set:
    """Six classes, each of so many normal distributions that overlap."""
    generator = np.random.default_rng(1)
    labels = np.arange(1500) % 6
    centres = generator.normal(size=(6, each, 16)) * (1.1 if each == 1 else 1.6)
    vectors = centres[labels, generator.integers(each, size=1500)] + generator.normal(size=(1500, 16))
    return Set(vectors.astype(np.float32), labels, np.arange(1500), labels)


def digits() -> Set:
    from sklearn.datasets import load_digits

    found = load_digits()
    return Set((found.data / 16).astype(np.float32), found.target, np.arange(len(found.target)), found.target)


def photos(name: str, data: Path, cache: Path) -> Set:
    """Embeddings, as their 64 main components."""
    images = images_of(name, data, cache)
    vectors = np.asarray(images.views["plain"][0], np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    labels = np.unique(images.labels, return_inverse=True)[1]
    main = ((vectors - vectors.mean(axis=0)) @ axes[:64].T).astype(np.float32)
    return Set(main / main[:, 0].std(), labels, np.asarray(images.groups), labels)


def wrong_labels(whole: Set, share: float = NOISE_SHARE, seed: int = 2) -> Set:
    """A share of the labels that train is given are others."""
    generator = np.random.default_rng(seed)
    classes = int(whole.labels.max()) + 1
    other = (whole.labels + generator.integers(1, classes, len(whole.labels))) % classes
    return replace(whole, given=np.where(generator.uniform(size=len(other)) < share, other, whole.labels))


def rare(whole: Set) -> Set:
    """Of every second class a tenth is left."""
    generator = np.random.default_rng(3)
    return whole.part((whole.labels % 2 == 0) | (generator.uniform(size=len(whole.labels)) < RARE))


def halves(whole: Set, seed: int = 5) -> tuple[Set, Set]:
    """Train and test; no group is in both."""
    inside = folds_of(whole.labels.astype(str), whole.groups.astype(str), 2, seed) == 0
    return whole.part(inside), whole.part(~inside)
