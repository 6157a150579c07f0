"""Which pairs of images may show one scene: neighbours by vector, by hash and by time of capture."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.stages.curate.neighbours import nearest, nearest_hashes
from pipeline.workers.engine import Engine

Numbers = npt.NDArray[np.int64]
Pairs = list[tuple[int, int]]

# Measured: of pairs that agree, 97 in 100 are among the 8 nearest of one of both; mirrored and cropped copies, too.
NEIGHBOURS = 8
# Less alike, nothing that was looked at showed one scene.
MIN_LIKENESS = 0.7
# Nearest by hash, and bits that may differ. Measured: hue shifted by 50 degrees, 95 in 100 differ by 12 or less, and
# are among the nearest; by vector, 70.
NEAREST_HASHES, MAX_BITS = 3, 12
# Images of one camera that follow each other, so many, within so many seconds.
_FOLLOWING, _SECONDS = 3, 60


def candidates(
    contents: pd.DataFrame, vectors: npt.NDArray[np.float16] | None, hashes: npt.NDArray[np.uint64], engine: Engine
) -> set[tuple[int, int]]:
    """Pairs of numbers of contents, the smaller first; arguments as scenes.find_scenes has them."""
    return {*_by_vector(vectors, engine), *_by_hash(hashes), *_by_time(contents)}


def _by_vector(vectors: npt.NDArray[np.float16] | None, engine: Engine) -> Iterable[tuple[int, int]]:
    if vectors is None or len(vectors) < 2:
        return []
    numbers, likeness = nearest(vectors, NEIGHBOURS, engine)
    return _pairs_of(numbers, likeness >= MIN_LIKENESS)


def _by_hash(hashes: npt.NDArray[np.uint64]) -> Iterable[tuple[int, int]]:
    """What a network finds unlike and looks alike in grey: other colours."""
    numbers, bits = nearest_hashes(hashes, NEAREST_HASHES, MAX_BITS)
    return _pairs_of(numbers, bits <= MAX_BITS)


def _pairs_of(numbers: Numbers, chosen: npt.NDArray[np.bool_]) -> Pairs:
    rows, columns = np.nonzero(chosen)
    ends = np.sort(np.stack([rows, numbers[rows, columns]]), axis=0)
    return [(a, b) for a, b in np.unique(ends, axis=1).T.tolist()]


def _by_time(contents: pd.DataFrame) -> Iterable[tuple[int, int]]:
    """Images of one source and camera that were captured shortly after each other."""
    timed = contents.assign(number=np.arange(len(contents)))[contents["captured_at"].notna()]
    camera = timed["meta_camera"].astype(str) if "meta_camera" in timed else ""
    timed = timed.assign(camera=camera).sort_values(["source", "camera", "captured_at", "number"])
    for step in range(1, _FOLLOWING + 1):
        one, other = timed.iloc[:-step], timed.iloc[step:]
        near = (other["captured_at"].to_numpy() - one["captured_at"].to_numpy()) <= np.timedelta64(_SECONDS, "s")
        same = (one[["source", "camera"]].to_numpy() == other[["source", "camera"]].to_numpy()).all(axis=1)
        ends = np.sort(np.stack([each["number"].to_numpy()[near & same] for each in (one, other)]), axis=0)
        yield from ((a, b) for a, b in ends.T.tolist())
