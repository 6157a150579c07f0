"""What lies in exported folders, and what the manifests say that should."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data import ImageDataset

COUNTS = {"train": 24, "train_dev": 3, "dev": 5}


def pixels_of(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def expected(split: str) -> list[tuple[str, int, int]]:
    """Id, copy and class of each row, sorted."""
    found = ImageDataset(split)
    return sorted(zip(found.ids, found.copies.tolist(), found.labels.tolist(), strict=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def image_folder(root: Path) -> Iterator[tuple[Path, int]]:
    """What torchvision's ImageFolder finds: sorted folders are the classes, every file in them is of that class."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    for number, name in enumerate(classes):
        for parent, _, files in sorted(os.walk(root / name, followlinks=True)):
            yield from ((Path(parent) / file, number) for file in sorted(files))
