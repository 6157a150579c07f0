"""What is measured of pictures, read back from their shards."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from pipeline.images.pixels import Pixels, decode, without_bars
from pipeline.stages.curate.near_hashes import Positions
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

# Pictures that a worker looks at in one go; fewer are not worth a process.
CHUNK = 2048

Measure = Callable[[Pixels], Pixels]


def picture(shard: str, row: int, reader: ShardReader) -> Pixels:
    """The normalised picture of one row of a shard."""
    return decode(reader.image(shard, row))


def measure_pictures(
    rows: Positions, measure: Measure, contents: pd.DataFrame, reader: ShardReader, fit: str, engine: Engine
) -> Pixels:
    """The results of `measure` on the normalised pictures of contents, by position; shape (k, …)."""
    asked = contents[["shard", "row", "width", "height"]].iloc[rows]
    places = list(asked.itertuples(index=False, name=None))
    chunks = [places[begin : begin + CHUNK] for begin in range(0, len(places), CHUNK)]
    work = partial(_measured, measure=measure, reader=reader, fit=fit)
    return np.concatenate(engine.map(work, chunks, "curate: near copies", size=len))


def _measured(places: Sequence[tuple[str, int, int, int]], measure: Measure, reader: ShardReader, fit: str) -> Pixels:
    pictures = ((decode(reader.image(shard, row)), width, height) for shard, row, width, height in places)
    return np.stack([measure(without_bars(pixels, width, height, fit)) for pixels, width, height in pictures])
