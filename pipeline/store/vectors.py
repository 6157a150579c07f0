"""Vectors of images in shards: a column of equally long float16 arrays beside the keys of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.errors import DataError, MissingInputError
from pipeline.store.arrow import open_arrow
from pipeline.store.artifacts import Artifact

Vectors = npt.NDArray[np.float16]
_TYPE = np.dtype("<f2")


def vector_schema(dimensions: int) -> pa.Schema:
    """Columns of a shard of vectors beside the key."""
    return pa.schema([("vector", pa.binary(dimensions * _TYPE.itemsize))])


def vector_bytes(vector: npt.NDArray[Any]) -> bytes:
    """A vector (n,) as a shard holds it: float16, little endian."""
    return vector.astype(_TYPE).tobytes()


def vectors_of(table: pa.Table) -> Vectors:
    """The vectors of a shard's rows, shape (rows, dimensions); a view of its memory."""
    column = table["vector"].combine_chunks()
    _, data = column.buffers()
    width = column.type.byte_width // _TYPE.itemsize
    values = np.frombuffer(data, _TYPE, len(column) * width, column.offset * column.type.byte_width)
    return values.reshape(len(column), width)


@dataclass(frozen=True)
class Embeddings:
    """The embeddings in a folder: a table of where each vector is, and a folder `shards`."""

    folder: Path
    table: Artifact

    @property
    def available(self) -> bool:
        """Whether there are any: the stage embed has run, with a backbone, on images."""
        place = self.folder / Path(self.table.path).name
        return place.exists() and len(self.table.read(place)) > 0

    def of(self, contents: Sequence[str]) -> Vectors | None:
        """The vector of each content (SHA-256), shape (n, dimensions); None if there are no vectors at all.

        Raises:
            MissingInputError: the stage embed has not run, or not on these images.
            DataError: a file of it is damaged.
        """
        places = self.table.read(self.folder / Path(self.table.path).name)
        if not len(places):
            return None
        rows = pd.Index(places["sha256"]).get_indexer(pd.Index(contents))
        if (rows < 0).any():
            lacking = int((rows < 0).sum())
            raise MissingInputError(f"{lacking} of {len(rows)} images have no vector yet: run `dvc repro embed`")
        found = places.iloc[rows]
        reader = VectorReader(self.folder / "shards")
        return reader.matrix(found["shard"].astype(str).tolist(), found["row"].tolist())


class VectorReader:
    """Vectors by (shard, row), read from memory maps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def matrix(self, shards: Sequence[str], rows: Sequence[int]) -> Vectors:
        """The vectors at some places, in order; float16 of shape (n, dimensions), or (0, 0) for no place.

        Raises:
            MissingInputError: there is no such shard.
            DataError: one is damaged, or shorter than a row number.
        """
        places = np.asarray(rows, np.int64)
        names, which = np.unique(np.asarray(shards, object).astype(str), return_inverse=True)
        found: Vectors = np.empty((0, 0), _TYPE)
        for number, (name, vectors) in enumerate(self._shards(names.tolist())):
            asked = np.flatnonzero(which == number)
            if len(asked) and places[asked].max() >= len(vectors):
                raise DataError(f"shard {name} has {len(vectors)} rows, no row {places[asked].max()}: run `dvc repro`")
            if not found.size:
                found = np.empty((len(places), vectors.shape[1]), _TYPE)
            found[asked] = vectors[places[asked]]
        return found

    def _shards(self, names: Sequence[str]) -> Iterator[tuple[str, Vectors]]:
        for name in names:
            path = self.folder / f"{name}.arrow"
            if not path.is_file():
                raise MissingInputError(f"shard {name} is not under {self.folder}: run `dvc repro embed`")
            table = open_arrow(path)
            if "vector" not in table.schema.names:
                raise DataError(f"{path} holds no vectors: remove it and run `dvc repro embed`")
            yield name, vectors_of(table)
