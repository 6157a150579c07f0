"""Generates new variants of the training images; originals stay where ingest put them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.core import guards, imaging, presets, randomness, transforms
from pipeline.core.augmentation import plan_copies
from pipeline.core.imaging import Pixels
from pipeline.core.manifest import BALANCED, check_manifest
from pipeline.engine import Engine
from pipeline.params import AugmentParams, JpegEncoding, PngEncoding
from pipeline.shards import Row, ShardReader, ShardStore, digest, fingerprint
from pipeline.stages import Stage

# How a variant failed stays with its pixels, so that a run that makes a few counts all.
MARKS = {"blank": pa.bool_(), "unchanged": pa.bool_()}
SHARD = pa.schema([("id", pa.string()), ("copy", pa.int32()), *MARKS.items(), ("image", pa.binary())])
LIBRARIES = sorted({*transforms.LIBRARIES, *imaging.LIBRARIES})
# Variants that are made and looked at where none is kept, for epoch 0.
SAMPLE = 500
# Variants, each of a few milliseconds, in the second or two in which workers start.
FEW = 500

Encoding = JpegEncoding | PngEncoding


@dataclass(frozen=True)
class AugmentOutputs:
    """Rows of train: originals (copy 0) and variants, each pointing at its pixels; online, at its parent's."""

    manifest: pd.DataFrame
    metrics: dict[str, Any]
    remarks: Sequence[str]

    @property
    def summary(self) -> str:
        counts = self.metrics
        failed = [
            *([f"{counts['blank']} of {counts['checked']} variants are blank"] if counts["blank"] else []),
            *([f"{counts['unchanged']} images have no other variant than themselves"] if counts["unchanged"] else []),
        ]
        return "\n  ".join(
            [f"{counts['originals']} originals and {counts['variants']} variants", *failed, *self.remarks]
        )


def augment(
    manifest: pd.DataFrame,
    originals: ShardReader,
    params: AugmentParams,
    encoding: Encoding,
    shards: ShardStore,
    engine: Engine,
) -> AugmentOutputs:
    """The training rows with their variants, whose pixels go into shards; online, training makes them.

    Raises:
        ParamsError: a transform that cannot be used, a class that train does not have, or too many
            variants that are blank or like their originals.
    """
    rows = check_manifest(manifest, BALANCED, unique=("id", "copy"))
    maker = VariantMaker(originals, params, encoding)
    # A wrong name, argument or size is said before any work.
    remarks = transforms.check_transforms(params.transforms, len(maker.original(*rows[["shard", "row"]].iloc[0])))
    planned = plan_copies(rows, params.copies, params.seed)
    # Without transforms, rows that balancing repeated stay the same picture again.
    variants = planned[(planned["copy"] > 0) & bool(params.transforms)]
    if params.mode == "online":
        shards.build([], maker, SHARD, engine, "augment")  # DVC wants the folder
        checked, epoch = guards.sample(variants, params.seed, SAMPLE), 0
        made = pd.DataFrame([maker.make(parent, epoch)[1] for parent in _parents(checked)], columns=[*MARKS])
    else:
        checked, epoch = variants, None
        made = shards.build(maker.rows(_parents(variants)), maker, SHARD, engine, "augment", FEW).to_pandas()
    checked = checked.assign(**{mark: made[mark].to_numpy(bool) for mark in MARKS})
    metrics = guards.count_failures(planned, checked)
    guards.refuse_failures(metrics, checked, params, maker.original, epoch)
    if params.mode == "materialise":
        planned = _moved(planned, variants.index, made)
    return AugmentOutputs(planned, metrics, remarks)


class Parent(NamedTuple):
    """The original that a variant comes from, and the variant's number."""

    id: str
    copy: int
    pixels: str
    shard: str
    row: int


@dataclass(frozen=True)
class VariantMaker:
    """Parent -> the shard columns of its variant; it travels to worker processes."""

    originals: ShardReader
    params: AugmentParams
    encoding: Encoding

    def __call__(self, parent: Parent) -> dict[str, Any]:
        variant, marks = self.make(parent)
        return {"id": parent.id, "copy": parent.copy, **marks, "image": imaging.encode(variant, self.encoding)}

    def make(self, parent: Parent, epoch: int | None = None) -> tuple[Pixels, dict[str, bool]]:
        """The variant, and how it failed."""
        pixels = self.original(parent.shard, parent.row)
        variant = transforms.make_variant(pixels, self._transform, self.params.seed, parent.id, parent.copy, epoch)
        return variant, guards.marks(pixels, variant)

    def original(self, shard: str, row: int) -> Pixels:
        """The pixels at a place; the last ones are kept, because the variants of an image follow each other."""
        if (shard, row) not in self._kept:
            self._kept.clear()
            self._kept[shard, row] = imaging.decode(self.originals.image(shard, row))
        return self._kept[shard, row]

    def rows(self, parents: Sequence[Parent]) -> list[Row]:
        """What the shards are to hold."""
        listed = [transform.model_dump() for transform in presets.expand(self.params.transforms)]
        shape = fingerprint(
            [guards, imaging, randomness, transforms],
            LIBRARIES,
            {"seed": self.params.seed, "transforms": listed, **self.encoding.model_dump()},
        )
        return [
            Row(f"{parent.id}#{parent.copy}", digest(shape, parent.id, str(parent.copy), parent.pixels), parent)
            for parent in parents
        ]

    @cached_property
    def _transform(self) -> transforms.Transforms:
        # Workers share the cores out among themselves already.
        cv2.setNumThreads(1)
        return transforms.build_transform(self.params.transforms)

    @cached_property
    def _kept(self) -> dict[tuple[str, int], Pixels]:
        return {}


def _parents(rows: pd.DataFrame) -> list[Parent]:
    return [Parent(*values) for values in rows[list(Parent._fields)].itertuples(index=False)]


def _moved(planned: pd.DataFrame, variants: "pd.Index[Any]", made: pd.DataFrame) -> pd.DataFrame:
    """The rows, variants pointing at their own pixels."""
    places = made[["shard", "row", "key"]].set_axis(variants).rename(columns={"key": "pixels"})
    moved = planned.loc[variants].drop(columns=places.columns).join(places)
    return pd.concat([planned.drop(index=variants), moved]).sort_index()


STAGE = Stage(
    name="augment",
    function=augment,
    params={"params": "augment", "encoding": "ingest.encoding"},
    reads={"manifest": catalogue.BALANCED, "originals": catalogue.ORIGINALS},
    builds={"shards": catalogue.AUGMENT_SHARDS},
    writes={"manifest": catalogue.AUGMENTED, "metrics": catalogue.AUGMENT_METRICS},
)
