"""What became of a source's files, as its shards say: how many were refused and why, and the rows of the manifest.

Shards are read one after the other, so that no more than a part of a million rows is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ingest.listing import Refusal
from pipeline.core.manifest import FURTHER, INGESTED, NO_LABEL
from pipeline.files.arrow import CATEGORY, Streamed, arrow_table, category_array
from pipeline.files.shards import Placed

_PIXELS = "pixels"
# What the listing says of an image, beside the user's own columns.
_LISTED = ("label", "user_group", "captured_at")


@dataclass(frozen=True)
class Outcome:
    """Of the rows of a source's shards: which were accepted (n,), and the refused ones.

    images: what the listing says of each row (n,), in the same order.
    """

    made: Placed
    images: pd.DataFrame
    accepted: npt.NDArray[np.bool_]
    refused: list[Refusal]
    formats: pa.DictionaryArray
    codec_warnings: int

    @cached_property
    def unlabelled(self) -> int:
        """Accepted images without a label."""
        return int((self._listed("label")["label"] == NO_LABEL).sum())

    @cached_property
    def classes(self) -> dict[str, int]:
        """Accepted images of each label, labels sorted."""
        counts = self._listed("label")["label"].value_counts()
        return {str(label): int(counts[label]) for label in sorted(counts.index) if label != NO_LABEL}

    def groups(self) -> pd.DataFrame:
        """Path and user_group of the accepted images; none where no image of the listing has one."""
        return self._listed("path", "user_group") if (self.images["user_group"] != "").any() else self.images[:0]

    def manifest(self, source: str, role: str) -> Streamed:
        """The accepted images by id, with the columns of manifest.INGESTED and the user's own."""
        count = int(self.accepted.sum())
        order = np.flatnonzero(self.accepted)
        further = sorted(name for name in self.images.columns if name.startswith(FURTHER))
        own = [pa.field(name, CATEGORY) for name in further]
        schema = pa.schema([*map(INGESTED.field, _LISTED), *own])
        full = pa.schema([*INGESTED, *own])
        listed = arrow_table(self._listed(*schema.names), schema)
        chunk = np.repeat(np.arange(len(self.made.chunks)), [stop - start for _, start, stop in self.made.chunks])
        beside = {
            **{name: listed[name].combine_chunks() for name in schema.names},
            "source": category_array(np.zeros(count, np.int64), [source]),
            "role": category_array(np.zeros(count, np.int64), [role]),
            "format": self.formats,
            "shard": category_array(chunk[order], [chunk.name for chunk in self.made.chunks]),
        }
        if self.images["path"].is_monotonic_increasing:
            return Streamed(self._rows, beside, count, full)
        # A compressed archive's are as they lie in it.
        whole = pa.concat_tables(self._rows())
        by_id = pc.sort_indices(whole["id"])
        beside = {name: values.take(by_id) for name, values in beside.items()}
        return Streamed(lambda: iter([whole.take(by_id)]), beside, count, full)

    def _listed(self, *names: str) -> pd.DataFrame:
        images = self.images[[*names]]
        return images if self.accepted.all() else images[self.accepted]

    def _rows(self) -> Iterator[pa.Table]:
        wanted = [name for name in INGESTED.names if name in self.made.schema.names and name != "format"]
        for table in self.made.tables("key", "reason", *wanted):
            chosen = table.take(_accepted(table)).drop_columns(["reason", "shard"])
            yield chosen.rename_columns({"key": _PIXELS})


def outcome_of(made: Placed, images: pd.DataFrame) -> Outcome:
    """What the shards say of each row; `images` as the listing has them, in the same order."""
    masks: list[npt.NDArray[np.bool_]] = []
    refused: list[Refusal] = []
    formats: dict[str, int] = {}
    codes: list[npt.NDArray[np.int32]] = []
    warnings = 0
    for table in made.tables("path", "reason", "detail", "format", "codec_warning"):
        accepted = _accepted(table)
        mask = np.zeros(len(table), bool)
        mask[accepted.to_numpy()] = True
        masks.append(mask)
        if len(accepted) < len(table):
            rest = table.filter(pa.array(~mask))
            refused += zip(*(rest[name].to_pylist() for name in ("path", "reason", "detail")), strict=True)
        kept = table.select(["format", "codec_warning"]).take(accepted)
        found = kept["format"].combine_chunks().dictionary_encode()
        numbers = [formats.setdefault(name, len(formats)) for name in found.dictionary.to_pylist()]
        codes.append(np.array(numbers, np.int32)[found.indices.to_numpy()] if numbers else np.array([], np.int32))
        warnings += len(kept) - int(pc.sum(pc.equal(kept["codec_warning"], "")).as_py() or 0)
    return Outcome(
        made,
        images,
        np.concatenate([np.array([], bool), *masks]),
        refused,
        category_array(np.concatenate([np.array([], np.int32), *codes]), [*formats]),
        warnings,
    )


def _accepted(table: pa.Table) -> pa.Array:
    """The positions of the rows that are images."""
    return pa.array(np.flatnonzero(pc.equal(table["reason"], "").to_numpy(zero_copy_only=False)))
