"""Mean and standard deviation of the channels of a dataset's pictures."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.data.dataset import RowDataset, worthwhile
from pipeline.data.pictures import read_picture
from pipeline.images.pixels import Pixels
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine


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
    pictures = (read_picture(part.images, image_id, part.shard, row, part.size) for image_id, row in places)
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
