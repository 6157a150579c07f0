"""Pixels and class numbers of manifest rows, read from shards, decoded anew or kept."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.data.order import KeyedOrder
from pipeline.data.pictures import read_picture
from pipeline.images.pixels import Pixels
from pipeline.metrics.predictions import class_codes
from pipeline.problem.label_sets import LabelNames, membership
from pipeline.problem.quantities import Quantity, numbers_in
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

# Pixels, image id, copy number, epoch -> what training sees in that epoch.
Variants = Callable[[Pixels, str, int, int], Pixels]

# Decoding a JPEG takes as long as this many of its pixels beside its own: 8 us, and 3.4 ns for each pixel.
OPENING = 2_500
# What a worker must have to decode, in pixels: three times as long as it takes to start, which is two
# seconds for the libraries that it reads in. About 28,000 pictures of 224 x 224.
WORTH_A_WORKER = 1_500_000_000
# Decoded pictures that a dataset keeps at most: 13,000 of 96 x 96. More are decoded anew in each epoch.
MAX_KEPT_BYTES = 360_000_000


class RowDataset:
    """Pixels (size, size, 3) uint8 and class number of each manifest row; it can be sent to worker processes.

    Where an image may have several labels, `labels` says 1.0 for each that a row has, shape (n, k), 0.0 for others;
    where images have numbers, these, shape (n,) float32.

    Args:
        classes: names of the classes, in the order of their numbers.
        variants: makes the rows with a copy number above 0 from their pixels; without it they are as stored.

    Raises:
        DataError: a row's class is not among the classes.
    """

    def __init__(
        self,
        manifest: pd.DataFrame,
        images: ShardReader,
        classes: tuple[str, ...],
        size: int,
        variants: Variants | None = None,
    ) -> None:
        self.labels = numbers_of(manifest["label"].to_numpy(), classes)
        # In Arrow, because 10,000,000 ids would take a gigabyte as Python objects, in each process.
        self.ids = pa.array(manifest["id"], pa.string())
        shards = manifest["shard"].astype("category").cat
        self.shards = shards.categories.astype(str).to_list()
        self.shard_codes = shards.codes.to_numpy()
        self.rows = manifest["row"].to_numpy()
        self.copies = manifest["copy"].to_numpy() if "copy" in manifest else np.zeros(len(manifest), np.int32)
        self.images = images
        self.size = size
        self.variants = variants
        self._kept: _Kept | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        # In a worker process each picture would be decoded and kept once more.
        return {**self.__dict__, "_kept": None}

    def work(self, epochs: int) -> int:
        """The cost of some epochs, in pictures to decode; a variant made while training costs two more."""
        variants = 0 if self.variants is None else 2 * int((self.copies > 0).sum())
        decoded = len(self) * epochs if self._kept is None else len(self._kept.pixels)
        return decoded + variants * epochs

    def keep_pixels(self) -> None:
        """From now on, decode each stored picture once and keep it, if all of them fit into MAX_KEPT_BYTES.

        For those who read the rows several times. Pixels are the same; a copy in a worker process keeps none.
        """
        if self._kept is None:
            places, positions = np.unique(self.places, return_inverse=True)
            if len(places) * self.size**2 * 3 <= MAX_KEPT_BYTES:
                kept = np.empty((len(places), self.size, self.size, 3), np.uint8)
                self._kept = _Kept(positions, kept, np.zeros(len(places), np.bool_))

    def part(self, inside: npt.NDArray[np.bool_]) -> "RowDataset":
        """Some of the rows, a mask of shape (n,); pictures that are kept are shared."""
        found = copy.copy(self)
        found.labels, found.ids = self.labels[inside], self.ids.filter(pa.array(inside))
        found.shard_codes, found.rows, found.copies = (
            self.shard_codes[inside],
            self.rows[inside],
            self.copies[inside],
        )
        if self._kept is not None:
            found._kept = _Kept(self._kept.positions[inside], self._kept.pixels, self._kept.there)
        return found

    @property
    def keeps_pixels(self) -> bool:
        """Whether they are kept."""
        return self._kept is not None

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """A number for each row, shape (n,), which rows share that point at one picture; in the order of shards."""
        return np.asarray(self.shard_codes.astype(np.int64) << 32 | self.rows, np.int64)

    def pixels(self, number: int, epoch: int = 0, out: Pixels | None = None) -> Pixels:
        """The pixels that training gets for a row in an epoch; a stored picture is decoded into `out` if given.

        Raises:
            PipelineError: the row's pixels cannot be read or made; the message begins with its id.
        """
        return self._varied(number, self.stored(number, out), epoch)

    def stored(self, number: int, out: Pixels | None = None) -> Pixels:
        """The stored picture of a row, from which its variants are made."""
        if self._kept is None:
            return self._read(number, out)
        picture: Pixels = self._take(self._kept, [number], None if out is None else out[None])[0]
        return picture

    def batch(self, numbers: Sequence[int], epoch: int = 0, out: Pixels | None = None) -> Pixels:
        """The pixels of some rows, shape (n, size, size, 3), in `out` if it is given."""
        batch = np.empty((len(numbers), self.size, self.size, 3), np.uint8) if out is None else out
        if self._kept is not None:
            self._take(self._kept, numbers, batch)
            if self.variants is None:
                return batch
        for number, place in zip(numbers, batch, strict=True):
            pixels = self._varied(number, self._read(number, place) if self._kept is None else place, epoch)
            if pixels is not place:
                place[:] = pixels
        return batch

    def _take(self, kept: "_Kept", numbers: Sequence[int], out: Pixels | None) -> Pixels:
        """Copies of the stored pictures of some rows, shape (n, size, size, 3), decoded where they are not yet kept."""
        positions = kept.positions[np.asarray(numbers)]
        for position, number in zip(positions.tolist(), numbers, strict=True):
            if not kept.there[position]:
                place = kept.pixels[position]
                pixels = self._read(number, place)
                if pixels is not place:
                    place[:] = pixels
                kept.there[position] = True
        # Clipping clips nothing here; to raise, NumPy would need one copy more.
        return kept.pixels.take(positions, axis=0, out=out, mode="clip")

    def _read(self, number: int, out: Pixels | None) -> Pixels:
        shard, row = self.shards[self.shard_codes[number]], int(self.rows[number])
        return read_picture(self.images, self.ids[number].as_py(), shard, row, self.size, out)

    def _varied(self, number: int, pixels: Pixels, epoch: int) -> Pixels:
        copy = int(self.copies[number])
        if self.variants is None or copy == 0:
            return pixels
        return self.variants(pixels, self.ids[number].as_py(), copy, epoch)


def numbers_of(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[Any]:
    """Class numbers (n,) int64; where an image may have several labels, 1.0 for each that it has, (n, k) float32.

    Where images have numbers instead of classes, these, (n,) float32.

    Raises:
        DataError: a label is not among the classes, or is no number.
    """
    if isinstance(classes, Quantity):
        return numbers_in(labels).astype(np.float32)
    if isinstance(classes, LabelNames):
        return membership(labels, classes).astype(np.float32)
    return class_codes(labels, classes).astype(np.int64)


@dataclass(frozen=True)
class _Kept:
    """Pictures (p, size, size, 3), whether each is decoded, (p,), and which one each row has, (n,)."""

    positions: npt.NDArray[np.intp]
    pixels: Pixels
    there: npt.NDArray[np.bool_]


def first_batch(dataset: RowDataset, order: KeyedOrder, batch_size: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Pixels (n, size, size, 3) and class numbers (n,) of the first batch that training sees in the order's epoch."""
    numbers = list(islice(order, batch_size))
    return dataset.batch(numbers, order.epoch), dataset.labels[numbers]


def worthwhile(engine: Engine, images: int, size: int) -> Engine:
    """The engine with as many of its workers as decoding so many images is worth: 1, this process, for few."""
    workers = min(engine.workers, images * (size**2 + OPENING) // WORTH_A_WORKER)
    return Engine(max(1, workers))
