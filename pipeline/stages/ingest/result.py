"""The result of ingesting a source, read from its shards: rejected files with reasons, and the manifest's rows.

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

from pipeline.images.notes import LITTLE
from pipeline.manifest import EXTRA_COLUMNS, INGESTED, NO_LABEL
from pipeline.sources.file_names import misnamed
from pipeline.sources.listing import Refusal
from pipeline.store.categories import category_array
from pipeline.store.manifests import CATEGORY, TableStream, arrow_table
from pipeline.store.shards import Placed

_PIXELS = "pixels"
# What the listing says of an image, beside the user's own columns.
_LISTED = ("label", "user_group", "captured_at")
CAMERA = f"{EXTRA_COLUMNS}camera"
_EXIF = ("taken", "camera")
_READ = ("path", "reason", "detail", "format", "range_used", *_EXIF, "codec_warning")


@dataclass(frozen=True)
class Outcome:
    """Of the rows of a source's shards: which were accepted (n,), and the refused ones.

    images: what the listing says of each row (n,), in the same order, and EXIF where it says nothing.
    misnamed: path and format of accepted files whose names end as another format's do.
    dim: range_used of accepted images that use little of it.
    from_exif: how many rows have their time and their camera from there.
    """

    made: Placed
    images: pd.DataFrame
    accepted: npt.NDArray[np.bool_]
    refused: list[Refusal]
    formats: pa.DictionaryArray
    codec_warnings: int
    misnamed: list[tuple[str, str]]
    dim: list[float]
    from_exif: tuple[int, int]

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

    def manifest(self, source: str, role: str) -> TableStream:
        """The accepted images by id, with the columns of manifest.INGESTED and the user's own."""
        count = int(self.accepted.sum())
        order = np.flatnonzero(self.accepted)
        extra_columns = sorted(name for name in self.images.columns if name.startswith(EXTRA_COLUMNS))
        own = [pa.field(name, CATEGORY) for name in extra_columns]
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
            return TableStream(self._rows, beside, count, full)
        # A compressed archive's are as they lie in it.
        whole = pa.concat_tables(self._rows())
        by_id = pc.sort_indices(whole["id"])
        beside = {name: values.take(by_id) for name, values in beside.items()}
        return TableStream(lambda: iter([whole.take(by_id)]), beside, count, full)

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
    lies: list[tuple[str, str]] = []
    dim: list[float] = []
    exif: list[pa.Table] = [made.schema.empty_table().select(_EXIF)]
    for table in made.tables(*_READ):
        accepted = _accepted(table)
        mask = np.zeros(len(table), bool)
        mask[accepted.to_numpy()] = True
        masks.append(mask)
        if len(accepted) < len(table):
            rest = table.filter(pa.array(~mask))
            refused += zip(*(rest[name].to_pylist() for name in ("path", "reason", "detail")), strict=True)
        kept = table.select(["path", "format", "range_used", "codec_warning"]).take(accepted)
        lies += misnamed(kept["path"].combine_chunks(), kept["format"].combine_chunks())
        used = kept["range_used"].to_numpy()
        dim += used[(used > 0) & (used <= LITTLE)].tolist()
        # A copy, so that the shard's file need not stay open.
        exif.append(table.select(_EXIF).take(pa.array(range(len(table)))))
        found = kept["format"].combine_chunks().dictionary_encode()
        numbers = [formats.setdefault(name, len(formats)) for name in found.dictionary.to_pylist()]
        codes.append(np.array(numbers, np.int32)[found.indices.to_numpy()] if numbers else np.array([], np.int32))
        warnings += len(kept) - int(pc.sum(pc.equal(kept["codec_warning"], "")).as_py() or 0)
    images, from_exif = _with_exif(images, pa.concat_tables(exif))
    return Outcome(
        made,
        images,
        np.concatenate([np.array([], bool), *masks]),
        refused,
        category_array(np.concatenate([np.array([], np.int32), *codes]), [*formats]),
        warnings,
        lies,
        dim,
        from_exif,
    )


def _with_exif(images: pd.DataFrame, exif: pa.Table) -> tuple[pd.DataFrame, tuple[int, int]]:
    """The images with time and camera of EXIF, where no table gives them; and how many have them from there."""
    taken, camera = (exif[name].to_pandas().set_axis(images.index) for name in _EXIF)
    fills = images["captured_at"].isna() & taken.notna()
    if fills.any():
        images = images.assign(captured_at=images["captured_at"].where(~fills, taken))
    camera = camera.fillna("")
    if CAMERA in images.columns or not (camera != "").any():
        return images, (int(fills.sum()), 0)
    return images.assign(**{CAMERA: camera}), (int(fills.sum()), int((camera != "").sum()))


def _accepted(table: pa.Table) -> pa.Array:
    """The positions of the rows that are images."""
    return pa.array(np.flatnonzero(pc.equal(table["reason"], "").to_numpy(zero_copy_only=False)))
