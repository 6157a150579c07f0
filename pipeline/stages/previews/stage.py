"""Shows people what training sees: images beside their variants, and a batch. Nothing depends on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import pandas as pd

from pipeline import catalogue
from pipeline.data.dataset import RowDataset, first_batch
from pipeline.data.order import KeyedOrder
from pipeline.manifest import BALANCED, check_manifest
from pipeline.sheets import contact_sheets as sheets
from pipeline.stage import Stage
from pipeline.store.shards import ShardReader
from pipeline.training.mixing import Mixing
from pipeline.transforms.online import online_variants
from pipeline.transforms.params import AnyTransform


@dataclass(frozen=True)
class PreviewsOutputs:
    """Contact sheets as PNG files."""

    variants: bytes
    batch: bytes
    summary: str = f"{catalogue.PREVIEW_VARIANTS.path}, {catalogue.PREVIEW_BATCH.path}"


@dataclass(frozen=True)
class VariantSettings:
    """What says which variants training sees: params of augment."""

    mode: Literal["materialise", "online"]
    transforms: Sequence[AnyTransform]
    match_production: bool
    seed: int


@dataclass(frozen=True)
class BatchSettings:
    """What says which rows stand in a batch, and how they are mixed: params of train."""

    batch_size: int
    order_seed: int
    mixing: Mixing


def previews(
    augmented: pd.DataFrame,
    originals: ShardReader,
    copies: ShardReader,
    size: int,
    variants: VariantSettings,
    batch: BatchSettings,
) -> PreviewsOutputs:
    """Sheets of the very pictures that training gets from the same data set, in the same order."""
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    classes = tuple(sorted(rows["label"].astype(str).unique()))
    images = ShardReader(*originals.folders, *copies.folders)
    made = online_variants(variants.transforms, variants.seed) if variants.mode == "online" else None
    train_set = RowDataset(rows, images, classes, size, made)
    order = KeyedOrder(len(rows), batch.order_seed)
    pixels, _ = first_batch(train_set, order, min(batch.batch_size, sheets.MAX_BATCH_IMAGES))
    return PreviewsOutputs(
        sheets.variants_sheet(
            rows, train_set.pixels, variants.mode, variants.transforms, variants.match_production, variants.seed
        ),
        sheets.batch_sheet(rows.iloc[list(islice(order, batch.batch_size))], pixels, batch.mixing.name),
    )


STAGE = Stage(
    name="previews",
    function=previews,
    params={
        "mode": "augment.mode",
        "transforms": "augment.transforms",
        "match_production": "augment.match_production",
        "seed": "augment.seed",
        "size": "ingest.size",
        "batch_size": "train.batch_size",
        "order_seed": "train.seed",
        "mixing": "train.mixing",
    },
    reads={"augmented": catalogue.AUGMENTED, "originals": catalogue.ORIGINALS, "copies": catalogue.COPIES},
    writes={"variants": catalogue.PREVIEW_VARIANTS, "batch": catalogue.PREVIEW_BATCH},
    groups={"variants": VariantSettings, "batch": BatchSettings},
)
