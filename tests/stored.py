"""Pictures in shards, and the manifest rows that point at them."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.data.dataset import RowDataset, Variants
from pipeline.images.pixels import Pixels, encode
from pipeline.manifest import SPLIT
from pipeline.stages.ingest.params import JpegEncoding, PngEncoding
from pipeline.store.shard_plan import Row
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.workers.engine import Engine
from tests.examples import striped, with_columns

CLASSES = ("apple", "fig", "pear")
SIZE = 16
IMAGES = [striped(number % 3, seed=number) for number in range(20)]
PNG = PngEncoding(name="png")


def stored(folder: Path, images: Sequence[Pixels], encoding: PngEncoding | JpegEncoding = PNG) -> pd.DataFrame:
    """Rows of dev for the images, encoded; the classes take turns."""
    return stored_bytes(folder, [encode(pixels, encoding) for pixels in images])


def stored_bytes(folder: Path, files: Sequence[bytes]) -> pd.DataFrame:
    """The same for what a shard is to hold as images."""
    rows = [Row(f"{number:04}", f"{number} {zlib.crc32(file)}", file) for number, file in enumerate(files)]
    schema = pa.schema([("image", pa.binary())])
    places = ShardStore(folder).build(rows, _image, schema, Engine(1), "test").table().to_pandas()
    names = [f"web/{number:04}.png" for number in range(len(files))]
    labels = [CLASSES[number % 3] for number in range(len(files))]
    return with_columns(places.assign(id=names, group=names, label=labels, split="dev"), SPLIT)


def predicted(manifest: pd.DataFrame, called: Sequence[str]) -> pd.DataFrame:
    """What a model that calls the rows so would say of them; surer of the later ones."""
    sure = np.linspace(0.6, 0.9, len(manifest)).astype(np.float32)
    rest = (1 - sure) / (len(CLASSES) - 1)
    shares = {f"probability_{name}": np.where(np.array(called) == name, sure, rest) for name in CLASSES}
    columns = manifest[["id", "group", "split", "label"]]
    return columns.assign(predicted=list(called), confidence=sure, **shares)


def with_copies(manifest: pd.DataFrame, copies: int) -> pd.DataFrame:
    """Each row and so many variants of it, which point at its pixels, as online mode has them."""
    repeated = manifest.loc[manifest.index.repeat(1 + copies)].reset_index(drop=True)
    return repeated.assign(copy=np.tile(np.arange(1 + copies, dtype=np.int32), len(manifest)))


def dataset(manifest: pd.DataFrame, folder: Path, variants: Variants | None = None) -> RowDataset:
    """The rows, with the pixels in a folder of shards."""
    return RowDataset(manifest, ShardReader(folder), CLASSES, SIZE, variants)


def _image(file: bytes) -> dict[str, bytes]:
    return {"image": file}
