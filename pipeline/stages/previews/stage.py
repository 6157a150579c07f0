"""Show what training sees: images beside their variants, and a batch. No stage depends on it."""

from dataclasses import dataclass
from itertools import islice

import pandas as pd

from pipeline import catalogue
from pipeline.data.dataset import RowDataset, first_batch
from pipeline.data.order import KeyedOrder
from pipeline.manifest import BALANCED, check_manifest
from pipeline.sheets import contact_sheets as sheets
from pipeline.stage import Group, Stage
from pipeline.stages.augment.params import VariantParams
from pipeline.store.shards import ShardReader
from pipeline.training.mixing import Mixing
from pipeline.transforms.online import online_variants


@dataclass(frozen=True)
class PreviewsOutputs:
    """Contact sheets as PNG files."""

    variants: bytes
    batch: bytes
    summary: str = f"{catalogue.PREVIEW_VARIANTS.path}, {catalogue.PREVIEW_BATCH.path}"


@dataclass(frozen=True)
class BatchParams:
    """Which rows stand in a batch, and how they are mixed: `batch_size`, `seed` and `mixing` of train."""

    batch_size: int
    seed: int
    mixing: Mixing


def previews(
    augmented: pd.DataFrame,
    originals: ShardReader,
    copies: ShardReader,
    variants: VariantParams,
    match_production: bool,
    size: int,
    batch: BatchParams,
) -> PreviewsOutputs:
    """Contact sheets of the pictures that training gets, in the same order."""
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    classes = tuple(sorted(rows["label"].astype(str).unique()))
    images = ShardReader(*originals.folders, *copies.folders)
    made = online_variants(variants.transforms, variants.seed) if variants.mode == "online" else None
    train_set = RowDataset(rows, images, classes, size, made)
    order = KeyedOrder(len(rows), batch.seed)
    pixels, _ = first_batch(train_set, order, min(batch.batch_size, sheets.MAX_BATCH_IMAGES))
    return PreviewsOutputs(
        sheets.variants_sheet(
            rows, train_set.pixels, variants.mode, variants.transforms, match_production, variants.seed
        ),
        sheets.batch_sheet(rows.iloc[list(islice(order, batch.batch_size))], pixels, batch.mixing.name),
    )


STAGE = Stage(
    name="previews",
    function=previews,
    params={
        "variants": Group(
            VariantParams, {"mode": "augment.mode", "transforms": "augment.transforms", "seed": "augment.seed"}
        ),
        "match_production": "augment.match_production",
        "size": "ingest.size",
        "batch": Group(BatchParams, {"batch_size": "train.batch_size", "seed": "train.seed", "mixing": "train.mixing"}),
    },
    reads={"augmented": catalogue.AUGMENTED, "originals": catalogue.ORIGINALS, "copies": catalogue.COPIES},
    writes={"variants": catalogue.PREVIEW_VARIANTS, "batch": catalogue.PREVIEW_BATCH},
)
