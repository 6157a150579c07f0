"""Read pixels and class numbers of manifest rows from shards, and compute their statistics."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.data.order import KeyedOrder
from pipeline.errors import DataError, PipelineError, listing
from pipeline.images.pixels import Pixels, decode
from pipeline.label_sets import LabelNames, membership
from pipeline.metrics.predictions import class_codes
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

    Where an image may have several labels, `labels` says 1.0 for each that a row has, shape (n, k), 0.0 for others.

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
        return _read(self.images, self.ids[number].as_py(), shard, row, self.size, out)

    def _varied(self, number: int, pixels: Pixels, epoch: int) -> Pixels:
        copy = int(self.copies[number])
        if self.variants is None or copy == 0:
            return pixels
        return self.variants(pixels, self.ids[number].as_py(), copy, epoch)


def numbers_of(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[Any]:
    """Class numbers (n,) int64; where an image may have several labels, 1.0 for each that it has, (n, k) float32.

    Raises:
        DataError: a label is not among the classes.
    """
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


def pictures_of(ids: Sequence[str], manifest: pd.DataFrame, images: ShardReader) -> list[Pixels]:
    """The pixels of some images, in the order of their ids.

    Raises:
        DataError: an image is not in the manifest, or its pixels cannot be read.
    """
    places = manifest.loc[manifest["id"].isin(ids), ["id", "shard", "row"]]
    found = {str(image): (str(shard), int(row)) for image, shard, row in places.itertuples(index=False, name=None)}
    lost = [image for image in ids if image not in found]
    if lost:
        raise DataError(f"the manifest lacks {len(lost)} predicted images ({listing(lost)}): run `dvc repro`")
    return [_decoded(images, image, *found[image]) for image in ids]


def worthwhile(engine: Engine, images: int, size: int) -> Engine:
    """The engine with as many of its workers as decoding so many images is worth: 1, this process, for few."""
    workers = min(engine.workers, images * (size**2 + OPENING) // WORTH_A_WORKER)
    return Engine(max(1, workers))


def channel_statistics(dataset: RowDataset, engine: Engine) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each channel, shape (3,), of the pixels in the shards, scaled to [0, 1].

    A picture that several rows point at is decoded once, and counts as often as they do. What
    `variants` would make of it is not looked at: that is another picture in each epoch. The sums are
    of integers, so that neither their order nor the number of workers shows in them.
    """
    if dataset.keeps_pixels:
        _, first, times = np.unique(dataset.places, return_index=True, return_counts=True)
        counts = _counted((dataset.stored(number) for number in first.tolist()), times.tolist())
    else:
        parts = list(_parts(dataset))
        read = worthwhile(engine, sum(len(part.rows) for part in parts), dataset.size)
        counts = np.sum(read.map(_histogram, parts, "statistics", size=lambda part: len(part.rows)), axis=0)
    values = range(256)
    mean, deviation = np.zeros(3), np.zeros(3)
    for channel, histogram in enumerate(np.asarray(counts).tolist()):
        pixels = sum(histogram)
        total = sum(value * count for value, count in zip(values, histogram, strict=True))
        squares = sum(value**2 * count for value, count in zip(values, histogram, strict=True))
        mean[channel] = total / (pixels * 255)
        # Of Python's integers, which do not round: nothing is lost where the deviation is small.
        deviation[channel] = math.sqrt((pixels * squares - total**2) / (pixels * 255) ** 2)
    return mean, deviation


@dataclass(frozen=True)
class _Part:
    """Pictures of one shard, and how often each counts."""

    images: ShardReader
    size: int
    shard: str
    ids: pa.Array
    rows: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]


def _parts(dataset: RowDataset) -> Iterator[_Part]:
    """All pictures that the rows point at, each once, shard by shard."""
    _, first, times = np.unique(dataset.places, return_index=True, return_counts=True)
    codes = dataset.shard_codes[first]
    for part in np.split(np.arange(len(first)), np.flatnonzero(np.diff(codes)) + 1):
        shard, numbers = dataset.shards[codes[part[0]]], first[part]
        ids = dataset.ids.take(pa.array(numbers))
        yield _Part(dataset.images, dataset.size, shard, ids, dataset.rows[numbers].astype(np.int64), times[part])


def _histogram(part: _Part) -> npt.NDArray[np.int64]:
    """How often each value stands in each channel, shape (3, 256)."""
    places = zip(part.ids.to_pylist(), part.rows.tolist(), strict=True)
    pictures = (_read(part.images, image_id, part.shard, row, part.size) for image_id, row in places)
    return _counted(pictures, part.times.tolist())


def _counted(pictures: Iterable[Pixels], times: Sequence[int]) -> npt.NDArray[np.int64]:
    """The same of pictures that count so many times."""
    counts = np.zeros((3, 256), np.int64)
    for pixels, each in zip(pictures, times, strict=True):
        for channel in range(3):
            # OpenCV counts in integers and returns floats, exact for less than 2 ** 24 pixels.
            histogram = cv2.calcHist([pixels], [channel], None, [256], [0, 256])
            counts[channel] += each * histogram.ravel().astype(np.int64)
    return counts


def _read(images: ShardReader, image_id: str, shard: str, row: int, size: int, out: Pixels | None = None) -> Pixels:
    pixels = _decoded(images, image_id, shard, row, out)
    height, width = pixels.shape[:2]
    if (height, width) != (size, size):
        raise DataError(f"{image_id}: its picture is {width} x {height} pixels, not {size} x {size}: run `dvc repro`")
    return pixels


def _decoded(images: ShardReader, image_id: str, shard: str, row: int, out: Pixels | None = None) -> Pixels:
    try:
        data = images.image(shard, row)
    except PipelineError as error:
        raise type(error)(f"{image_id}: {error}") from error
    try:
        return decode(data, out)
    except Exception as error:
        # Its text would hold an address in memory, another in each run.
        raise DataError(
            f"{image_id}: row {row} of shard {shard} is not an image ({type(error).__name__}): "
            "run `pipeline doctor --fix`, then `dvc repro`"
        ) from error
