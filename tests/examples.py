"""Small examples that several tests use: pictures, source folders, manifests and params."""

import copy
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from ruamel.yaml import YAML

from pipeline.images.pixels import Pixels
from pipeline.manifest import CURATED, PRODUCTION, RAW
from pipeline.project.params_file import Params, check_params

REPOSITORY = Path(__file__).parent.parent


def picture(seed: int, height: int = 16, width: int = 16) -> Pixels:
    """Coloured noise, shape (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels: Pixels, file_format: str = "PNG", **options: Any) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def striped(label: int, seed: int, noise: int = 40, side: int = 16) -> Pixels:
    """A picture that a network can learn: a bright bar whose place says the label, under noise."""
    pixels = np.random.default_rng(seed).integers(0, noise + 1, (side, side, 3), dtype=np.uint8)
    pixels[:, 4 * label : 4 * label + 4] += np.uint8(150)
    return pixels


def write_source(folder: Path, images_per_label: dict[str, int], seed: int = 0, noise: int = 40) -> None:
    """Class folders of PNG files that can be told apart; the labels' order gives the bar's place."""
    for number, (label, count) in enumerate(images_per_label.items()):
        (folder / label).mkdir(parents=True)
        for image in range(count):
            pixels = striped(number, seed=100_000 * seed + 1000 * number + image, noise=noise)
            (folder / label / f"{image:03}.png").write_bytes(encoded(pixels))


@cache
def _params_file() -> Any:
    return YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


def params_values(**changes: Any) -> dict[str, Any]:
    """The repository's params.yaml as plain values, some changed: `params_values(**{"ingest.size": 16})`."""
    values: dict[str, Any] = copy.deepcopy(_params_file())
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    return values


def params(**changes: Any) -> Params:
    """The same, checked."""
    return check_params(params_values(**changes))


def curated(raw: dict[str, int], production: dict[str, int]) -> pd.DataFrame:
    """A manifest as curate writes it: so many images of each label and role, each a group of its own."""
    images = [
        (f"{source}/{label}/{number:06}.png", source, role, label)
        for source, role, counts in (("phone", PRODUCTION, production), ("web", RAW, raw))
        for label, count in counts.items()
        for number in range(count)
    ]
    frame = pd.DataFrame(images, columns=["id", "source", "role", "label"])
    paths = frame["id"].str.split("/", n=1).str[1]
    return with_columns(frame.assign(path=paths, sha256=frame["id"], group=frame["id"], pixels=frame["id"]), CURATED)


def with_columns(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """The frame with every column of the schema, those that it lacks filled with 1, "x" or False; no metadata."""
    times = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
    metadata = pd.DataFrame({"user_group": "", "captured_at": times}, index=frame.index)
    frame = frame.join(metadata[[name for name in metadata if name not in frame.columns]])
    missing = {field.name: _filler(field.type) for field in schema if field.name not in frame.columns}
    complete: pd.DataFrame = frame.assign(**missing)[schema.names]
    return complete


def _filler(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return False
    return "x" if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else 1


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """A disk on which no file gets more than so many bytes: the system itself refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
