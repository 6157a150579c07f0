"""Images that look most like one under review, by their embeddings: of train, train_dev and dev, and never of test."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.vectors import unit
from pipeline.errors import PipelineError

SHOWN = 6
# Vectors that are compared at a time: more would be widened to float32 in memory at once.
BLOCK = 8192


@dataclass(frozen=True)
class Neighbour:
    """An image beside one under review, and its label as the source has it."""

    sha256: str
    id: str
    label: str
    split: str


class Neighbours:
    """Finds them, one image at a time.

    Args:
        rows: of images that may be shown: id, sha256, shard, row, split. vectors: shape (n, d); None: there are
            no embeddings.
        labels: id -> label as the source has it.
    """

    def __init__(self, rows: pd.DataFrame, vectors: npt.NDArray[np.float16] | None, labels: Mapping[str, str]) -> None:
        self._rows, self._vectors = rows.reset_index(drop=True), vectors
        self._labels = labels
        self._place = {str(sha256): place for place, sha256 in enumerate(self._rows["sha256"].astype(str))}

    def of(self, sha256: str) -> list[Neighbour]:
        """Those most like an image; none where it has no embedding."""
        own = self._place.get(sha256, -1)
        nearest = [place for place in self._nearest(sha256, SHOWN + 1) if place != own]
        return [self._neighbour(place) for place in nearest][:SHOWN]

    def shard_row(self, sha256: str) -> tuple[str, int] | None:
        """Where the picture of an image lies that may be shown; None of any other."""
        place = self._place.get(sha256)
        return None if place is None else (str(self._rows["shard"].iloc[place]), int(self._rows["row"].iloc[place]))

    def _nearest(self, sha256: str, count: int) -> list[int]:
        place = self._place.get(sha256)
        if place is None or self._vectors is None:
            return []
        own = unit(self._vectors[place : place + 1])[0]
        blocks = [self._vectors[start : start + BLOCK] for start in range(0, len(self._vectors), BLOCK)]
        likeness = np.concatenate([unit(block) @ own for block in blocks])
        count = min(count, len(likeness))
        top = np.argpartition(-likeness, count - 1)[:count]
        return [int(each) for each in top[np.lexsort((top, -likeness[top]))]]

    def _neighbour(self, place: int) -> Neighbour:
        row = self._rows.iloc[place]
        identity = str(row["id"])
        return Neighbour(str(row["sha256"]), identity, self._labels.get(identity, ""), str(row["split"]))


def neighbours(labels: Mapping[str, str]) -> Neighbours:
    """Of the last run's images.

    Raises:
        MissingInputError: the stages up to split have not run.
    """
    split = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    unused = catalogue.SPLIT_UNUSED.read(Path(catalogue.SPLIT_UNUSED.path))
    columns = ["id", "sha256", "shard", "row", "split"]
    rows = pd.concat([split[columns].astype({"split": "str"}), unused[columns].astype({"split": "str"})])
    rows = rows.drop_duplicates("sha256").sort_values("id", ignore_index=True)
    embeddings = catalogue.EMBEDDINGS.read(Path(catalogue.EMBEDDINGS.path))
    try:
        vectors = embeddings.of(rows["sha256"].astype(str).tolist()) if embeddings.available else None
    except PipelineError:
        # A help for the eye, and no reason not to begin.
        vectors = None
    return Neighbours(rows, vectors, labels)
