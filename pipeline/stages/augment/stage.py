"""Make new variants of the training images; originals stay where ingest put them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.images import pixels as imaging
from pipeline.images.pixels import Pixels
from pipeline.manifest import BALANCED, RAW, SPLIT, check_manifest, may_teach
from pipeline.stage import Group, Stage
from pipeline.stages.augment import degradation, guards
from pipeline.stages.augment.copies import plan_copies
from pipeline.stages.augment.degradation import NOTHING, Strengths, degrade
from pipeline.stages.augment.params import AugmentParams, PictureParams
from pipeline.stages.ingest.params import JpegEncoding, PngEncoding
from pipeline.store.shard_plan import Row, digest
from pipeline.store.shards import ShardReader, ShardStore, fingerprint
from pipeline.training.unlabelled import FROM_LABELLED_ALONE
from pipeline.transforms import transforms
from pipeline.transforms.params import expand
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

if TYPE_CHECKING:
    from pipeline.stages.augment.content_gap import View
    from pipeline.stages.augment.production_gap import Gap

# How a variant failed stays with its pixels, so that a run that makes a few counts all.
MARKS = {"blank": pa.bool_(), "unchanged": pa.bool_()}
SHARD = pa.schema([("id", pa.string()), ("copy", pa.int32()), *MARKS.items(), ("image", pa.binary())])
LIBRARIES = sorted({*transforms.LIBRARIES, *imaging.LIBRARIES})
# Not in the key of a variant: presets and rules of params, because it has the values; how shards are read; what only
# says that a transform is wrong. What degrades is in the keys of those that are degraded.
NOT_IN_KEY = (
    "pipeline.section",
    "pipeline.stages.augment.degradation",
    "pipeline.stages.augment.params",
    "pipeline.stages.ingest.params",
    "pipeline.store",
    "pipeline.transforms.arguments",
    "pipeline.transforms.params",
    "pipeline.transforms.presets",
)
# Variants that are made and looked at where none is kept, for epoch 0.
SAMPLE = 500
# A variant takes as long as this many of its pixels, 17 ns each, beside its own; and so many take the second or two in
# which workers start: 1,600 variants of 224 x 224, 7,800 of 28 x 28.
OPENING = 12_000
WORTH_WORKERS = 100_000_000

Encoding = JpegEncoding | PngEncoding


@dataclass(frozen=True)
class AugmentOutputs:
    """Rows of train: originals (copy 0) and variants, each pointing at its pixels; online, at its parent's."""

    manifest: pd.DataFrame
    unlabelled: pd.DataFrame
    """Images without a label that training learns from; none where it learns from none."""
    metrics: dict[str, Any]
    remarks: Sequence[str]

    @property
    def summary(self) -> str:
        counts = self.metrics
        failed = [
            *([f"{counts['blank']} of {counts['checked']} variants are blank"] if counts["blank"] else []),
            *([f"{counts['unchanged']} images are unchanged by augmentation"] if counts["unchanged"] else []),
        ]
        return "\n  ".join(
            [f"{counts['originals']} originals and {counts['variants']} variants", *failed, *self.remarks]
        )


def augment(
    manifest: pd.DataFrame,
    unused: pd.DataFrame,
    originals: ShardReader,
    params: AugmentParams,
    pictures: PictureParams,
    shards: ShardStore,
    engine: Engine,
    learn_from: str,
) -> AugmentOutputs:
    """Add variants to the training rows. Their pixels go into shards; in mode online, training makes them.

    Args:
        unused: production rows of no split, which show what production looks like; training may learn from some.
        pictures: with a backbone, match_production compares what the pictures show as well.
        learn_from: how it does: the name in train.unlabelled.

    Raises:
        ParamsError: a transform that cannot be used, a class that train does not have, or too many
            variants that are blank or like their originals.
        DataError: too few images to tell what production looks like, or the backbone's weights are others than params
            name.
        MissingInputError: there are no such weights.
    """
    rows = check_manifest(manifest, BALANCED, unique=("id", "copy"))
    maker = VariantMaker(originals, params, pictures.encoding)
    # A wrong name, argument or size is said before any work.
    size = len(maker.original(*rows[["shard", "row"]].iloc[0]))
    remarks = transforms.check_transforms(params.transforms, size)
    min_rows_for_workers = WORTH_WORKERS // (size**2 + OPENING)
    planned = plan_copies(rows, params.copies, params.seed)
    matched: dict[str, Any] = {}
    if params.match_production:
        gap = _production_gap(rows, check_manifest(unused, SPLIT), maker, pictures)
        maker, matched = replace(maker, strengths=gap.strengths), {"match_production": gap.metrics}
        remarks = [gap.summary, *remarks]
    degraded = (planned["role"] == RAW) & (maker.strengths != NOTHING)
    # Without either, rows that balancing repeated stay the same picture again.
    variants = planned[(planned["copy"] > 0) & (degraded | bool(params.transforms))]
    if params.mode == "online":
        # What is degraded is made once, and transformed anew in each epoch.
        drawn, bare = variants[degraded[variants.index]], maker.without_transforms()
        placed = (
            shards.build(bare.rows(_parents(drawn)), bare, SHARD, engine, "augment", min_rows_for_workers)
            .table()
            .to_pandas()
        )
        planned = _moved(planned, drawn.index, placed)
        checked, epoch = guards.sample(variants, params.seed, SAMPLE), 0
        made = pd.DataFrame([maker.make(parent, epoch)[1] for parent in _parents(checked)], columns=[*MARKS])
    else:
        checked, epoch = variants, None
        made = (
            shards.build(maker.rows(_parents(variants)), maker, SHARD, engine, "augment", min_rows_for_workers)
            .table()
            .to_pandas()
        )
    checked = checked.assign(**{mark: made[mark].to_numpy(bool) for mark in MARKS})
    metrics = {**guards.count_failures(planned, checked), **matched}
    guards.refuse_failures(metrics, checked, params, maker.begun, epoch)
    if params.mode == "materialise":
        planned = _moved(planned, variants.index, made)
    # Of a file of its own: a new image without a label must not train a model again that does not look at it.
    unlabelled = unused.head(0) if learn_from == FROM_LABELLED_ALONE else may_teach(unused)
    return AugmentOutputs(planned, unlabelled, metrics, remarks)


class Parent(NamedTuple):
    """The original that a variant comes from, and the variant's number."""

    id: str
    copy: int
    role: str
    pixels: str
    shard: str
    row: int


@dataclass(frozen=True)
class VariantMaker:
    """Parent -> the shard columns of its variant; it travels to worker processes."""

    originals: ShardReader
    params: AugmentParams
    encoding: Encoding
    strengths: Strengths = NOTHING

    def __call__(self, parent: Parent) -> dict[str, Any]:
        variant, marks = self.make(parent)
        return {"id": parent.id, "copy": parent.copy, **marks, "image": imaging.encode(variant, self.encoding)}

    def make(self, parent: Parent, epoch: int | None = None) -> tuple[Pixels, dict[str, bool]]:
        """The variant, and how it failed."""
        variant = transforms.make_variant(
            self._begun(parent), self._transform, self.params.seed, parent.id, parent.copy, epoch
        )
        return variant, guards.marks(self.original(parent.shard, parent.row), variant)

    def begun(self, rows: pd.DataFrame) -> list[Pixels]:
        """The pictures that the transforms get."""
        return [self._begun(parent) for parent in _parents(rows)]

    def without_transforms(self) -> "VariantMaker":
        """A maker that only degrades."""
        return replace(self, params=self.params.model_copy(update={"transforms": ()}))

    def original(self, shard: str, row: int) -> Pixels:
        """The pixels at a place; the last ones are kept, because the variants of an image follow each other."""
        if (shard, row) not in self._kept:
            self._kept.clear()
            self._kept[shard, row] = imaging.decode(self.originals.image(shard, row))
        return self._kept[shard, row]

    def rows(self, parents: Sequence[Parent]) -> list[Row]:
        """What the shards are to hold."""
        listed = [transform.model_dump() for transform in expand(self.params.transforms)]
        shape = fingerprint(
            version_of(VariantMaker, without=NOT_IN_KEY),
            LIBRARIES,
            {"seed": self.params.seed, "transforms": listed, **self.encoding.model_dump()},
        )
        # Only of what they change: other strengths leave production's variants where they are.
        poorer = digest(shape, fingerprint(version_of(degrade), degradation.LIBRARIES, self.strengths.numbers()))
        return [
            Row(
                f"{parent.id}#{parent.copy}",
                digest(poorer if self._degrades(parent) else shape, parent.id, str(parent.copy), parent.pixels),
                parent,
            )
            for parent in parents
        ]

    def _degrades(self, parent: Parent) -> bool:
        return parent.role == RAW and self.strengths != NOTHING

    def _begun(self, parent: Parent) -> Pixels:
        pixels = self.original(parent.shard, parent.row)
        if self._degrades(parent):
            return degrade(pixels, self.strengths, self.params.seed, parent.id, parent.copy)
        return pixels

    @cached_property
    def _transform(self) -> transforms.Transforms:
        # Workers share the cores out among themselves already.
        cv2.setNumThreads(1)
        return transforms.build_transform(self.params.transforms)

    @cached_property
    def _kept(self) -> dict[tuple[str, int], Pixels]:
        return {}


def _production_gap(rows: pd.DataFrame, unused: pd.DataFrame, maker: VariantMaker, pictures: PictureParams) -> "Gap":
    """Of train's images and of production's unused ones; neither has any of dev or test."""
    # scipy takes most of a second to import, and few runs need it.
    from pipeline.stages.augment.production_gap import estimate_gap

    names = ["id", "label", "role", "group", "shard", "row", "width", "height"]
    images = pd.concat([each[names].astype({"label": "str", "role": "str", "shard": "str"}) for each in (rows, unused)])
    images = images.drop_duplicates("id", ignore_index=True)
    places = list(images[["shard", "row"]].itertuples(index=False, name=None))
    sizes = images[["width", "height"]].to_numpy().tolist()

    def read(number: int) -> Pixels:
        return maker.original(*places[number])

    def shown(number: int) -> Pixels:
        return imaging.without_bars(read(number), width=sizes[number][0], height=sizes[number][1], fit=pictures.fit)

    return estimate_gap(images, read, maker.params.seed, _view(shown, pictures))


def _view(read: Callable[[int], Pixels], pictures: PictureParams) -> "View | None":
    if pictures.backbone is None:
        return None
    # torch takes seconds to import.
    from pipeline.models.backbones import Embedder
    from pipeline.stages.augment.content_gap import View

    embedder = Embedder(pictures.backbone)
    # What is wrong with the weights is said before any work.
    _ = embedder.network
    return View(read, embedder.many)


def _parents(rows: pd.DataFrame) -> list[Parent]:
    # By columns, which takes a fifth of the time that itertuples does.
    return [Parent(*values) for values in zip(*(rows[name].tolist() for name in Parent._fields), strict=True)]


def _moved(planned: pd.DataFrame, variants: "pd.Index[Any]", made: pd.DataFrame) -> pd.DataFrame:
    """The rows, variants pointing at their own pixels."""
    places = made[["shard", "row", "key"]].set_axis(variants).rename(columns={"key": "pixels"})
    moved = planned.loc[variants].drop(columns=places.columns).join(places)
    return pd.concat([planned.drop(index=variants), moved]).sort_index()


STAGE = Stage(
    name="augment",
    function=augment,
    params={
        "params": "augment",
        "pictures": Group(
            PictureParams, {"encoding": "ingest.encoding", "fit": "ingest.fit", "backbone": "embed.backbone"}
        ),
        "learn_from": "train.unlabelled.name",
    },
    reads={"manifest": catalogue.BALANCED, "unused": catalogue.SPLIT_UNUSED, "originals": catalogue.ORIGINALS},
    builds={"shards": catalogue.AUGMENT_SHARDS},
    writes={
        "manifest": catalogue.AUGMENTED,
        "unlabelled": catalogue.AUGMENT_UNLABELLED,
        "metrics": catalogue.AUGMENT_METRICS,
    },
)
