"""Generates new variants of the training images; originals stay where ingest put them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.core import augmentation, imaging, presets, randomness, transforms
from pipeline.core.manifest import BALANCED, check_manifest
from pipeline.engine import Engine
from pipeline.params import AugmentParams, JpegEncoding, PngEncoding
from pipeline.shards import Row, ShardReader, ShardStore, digest, fingerprint
from pipeline.stages import Stage

SHARD = pa.schema([("id", pa.string()), ("copy", pa.int32()), ("image", pa.binary())])
LIBRARIES = sorted({*transforms.LIBRARIES, *imaging.LIBRARIES})

Encoding = JpegEncoding | PngEncoding


@dataclass(frozen=True)
class AugmentOutputs:
    """Rows of train: originals (copy 0) and variants, each pointing at its pixels."""

    manifest: pd.DataFrame

    @property
    def summary(self) -> str:
        variants = int((self.manifest["copy"] > 0).sum())
        return f"{len(self.manifest) - variants} originals and {variants} variants"


def augment(
    manifest: pd.DataFrame,
    originals: ShardReader,
    params: AugmentParams,
    encoding: Encoding,
    shards: ShardStore,
    engine: Engine,
) -> AugmentOutputs:
    """The training rows with their variants, whose pixels go into shards.

    Raises:
        ParamsError: a transform that cannot be made, or that changes the size of images.
    """
    rows = check_manifest(manifest, BALANCED, unique=("id", "copy"))
    planned = augmentation.plan_copies(rows, params.copies, params.seed)
    transforms.build_transform(params.transforms)  # a wrong name is said before any work
    # Without transforms, rows that balancing repeated stay the same picture again.
    variants = (planned["copy"] > 0) & bool(params.transforms)
    shape = fingerprint(
        [imaging, randomness, transforms],
        LIBRARIES,
        {
            "seed": params.seed,
            "transforms": [transform.model_dump() for transform in presets.expand(params.transforms)],
            **encoding.model_dump(),
        },
    )
    parents = [Parent(*values) for values in planned.loc[variants, list(Parent._fields)].itertuples(index=False)]
    wanted = [
        Row(f"{parent.id}#{parent.copy}", digest(shape, parent.id, str(parent.copy), parent.pixels), parent)
        for parent in parents
    ]
    made = shards.build(wanted, VariantMaker(originals, params, encoding), SHARD, engine, "augment").to_pandas()
    places = made[["shard", "row", "key"]].set_axis(planned.index[variants]).rename(columns={"key": "pixels"})
    made_rows = planned[variants].drop(columns=places.columns).join(places)
    return AugmentOutputs(pd.concat([planned[~variants], made_rows]).sort_index())


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

    @cached_property
    def _transform(self) -> Any:
        return transforms.build_transform(self.params.transforms)

    def __call__(self, parent: Parent) -> dict[str, Any]:
        pixels = imaging.decode(self.originals.image(parent.shard, parent.row))
        variant = transforms.make_variant(pixels, self._transform, self.params.seed, parent.id, parent.copy)
        return {"id": parent.id, "copy": parent.copy, "image": imaging.encode(variant, self.encoding)}


STAGE = Stage(
    name="augment",
    function=augment,
    params={"params": "augment", "encoding": "ingest.encoding"},
    reads={"manifest": catalogue.BALANCED, "originals": catalogue.ORIGINALS},
    builds={"shards": catalogue.AUGMENT_SHARDS},
    writes={"manifest": catalogue.AUGMENTED},
)
