"""A vector of each image that describes its look: its embedding, or the pixels of a thumbnail."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.images.pixels import Pixels, decode
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings
from pipeline.workers.engine import Engine

Vectors = npt.NDArray[np.float32]

EMBEDDINGS, SMALL_PICTURES = "embeddings", "small pictures"
# Sides of the small picture that stands for one.
SIDE = 8
# Pictures that a worker looks at in one go.
CHUNK = 512


@dataclass(frozen=True)
class ImageVectors:
    """Vectors of length 1, shape (n, d); one of zeros is like nothing. kind: what they are made of, for people."""

    vectors: Vectors
    kind: str


def image_vectors(rows: pd.DataFrame, embeddings: Embeddings, originals: ShardReader, engine: Engine) -> ImageVectors:
    """A vector of each row: alike are images whose vectors have a large cosine.

    Of small pictures the cosine is their correlation, whatever their brightness and contrast.

    Args:
        rows: with sha256, shard and row.

    Raises:
        MissingInputError: the stage embed has not run on these images.
        DataError: a file is damaged.
    """
    found = embeddings.of(rows["sha256"].astype(str).tolist())
    if found is not None:
        return ImageVectors(unit(found), EMBEDDINGS)
    pictures = small_pictures(rows, originals, engine).astype(np.float32)
    return ImageVectors(unit(pictures - pictures.mean(axis=1, keepdims=True)), SMALL_PICTURES)


def small_pictures(rows: pd.DataFrame, originals: ShardReader, engine: Engine) -> npt.NDArray[np.int32]:
    """The picture of each row in SIDE x SIDE colours, shape (n, 192), values in [0, 255]."""
    places = list(rows[["shard", "row"]].astype({"shard": "str"}).itertuples(index=False, name=None))
    chunks = [places[begin : begin + CHUNK] for begin in range(0, len(places), CHUNK)]
    found = engine.map(partial(_look, reader=originals), chunks, "small pictures", size=len)
    return np.concatenate([np.empty((0, 3 * SIDE**2), np.int32), *found])


def small_picture(pixels: Pixels) -> npt.NDArray[np.int32]:
    """A picture in SIDE x SIDE colours, shape (192,), values in [0, 255]."""
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.int32).ravel()


def unit(vectors: npt.NDArray[np.float16] | Vectors) -> Vectors:
    """The same of length 1, shape (n, d); those of zeros stay."""
    found = vectors.astype(np.float32)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def principal(vectors: Vectors, count: int) -> Vectors:
    """At most so many principal components, shape (n, k); each direction such that its largest part is positive."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    chosen = directions[:, ::-1][:, :count]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    return np.asarray(centred @ chosen, np.float32)


def _look(places: Sequence[tuple[str, int]], reader: ShardReader) -> npt.NDArray[np.int32]:
    return np.stack([small_picture(decode(reader.image(shard, row))) for shard, row in places])
