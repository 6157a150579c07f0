"""What a model is fitted to: the checked rows of train and dev, their classes, and a digest of what shapes them."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.dataset import RowDataset, Variants
from pipeline.errors import DataError
from pipeline.manifest import BALANCED, DEV, SPLIT, check_manifest
from pipeline.metrics.params import AnyMetric
from pipeline.problem.framing import UNRELATED, Framing, Outputs, outputs_of
from pipeline.problem.label_sets import LabelNames, names_in
from pipeline.problem.params import Problem
from pipeline.problem.problem import framed, is_multi_label
from pipeline.stages.augment.params import VariantParams
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.train.params import TrainParams
from pipeline.store.shard_plan import digest
from pipeline.store.shards import ShardReader
from pipeline.training.checkpoint import library_versions, table_digest
from pipeline.training.checks import check_rows
from pipeline.training.features import RowFeatures
from pipeline.training.unlabelled import UNLABELLED, Unlabelled


@dataclass(frozen=True)
class FitParams:
    """The params that a fit depends on: sections of params.yaml, the metric that chooses the epoch, and variants.

    problem: what the model tells apart; None for classes as they are.
    """

    train: TrainParams
    variants: VariantParams
    ingest: IngestParams
    optimizing: AnyMetric
    problem: Problem


@dataclass(frozen=True)
class TrainingData:
    """What a model is fitted to, and what says which epoch was best.

    rows: of train, as balanced and augmented; dev_rows: of dev, as they were photographed.
    classes: in the order of their numbers. framing: how they relate. known: what the frozen layers make of train and of
    dev, where an earlier fit to the same pictures has computed it. unlabelled: images without a label that training may
    learn from. pairs: those of which each batch gets some, as a weak and a strong variant.
    """

    rows: pd.DataFrame
    dev_rows: pd.DataFrame
    classes: tuple[str, ...]
    ingest: IngestParams
    train: RowDataset
    dev: RowDataset
    known: tuple[RowFeatures, RowFeatures] | None = None
    unlabelled: pd.DataFrame | None = None
    pairs: pd.DataFrame | None = None
    framing: Framing = UNRELATED


def training_data(
    augmented: pd.DataFrame,
    manifest: pd.DataFrame,
    images: ShardReader,
    params: FitParams,
    unlabelled: pd.DataFrame | None = None,
) -> TrainingData:
    """The rows of both sets, checked.

    Args:
        unlabelled: images without a label that training may learn from; they are left where params use none.

    Raises:
        DataError: train has one class, or lacks one that dev has; or params ask for images without a label, and there
            are none.
        ParamsError: a batch would be larger than train.
    """
    rows = check_manifest(augmented, BALANCED, unique=("id", "copy"))
    check_manifest(manifest, SPLIT)
    used = check_unlabelled(params.train.unlabelled, unlabelled)
    dev_rows = manifest[manifest["split"] == DEV]
    several = is_multi_label(params.problem)
    classes, framing = framed(params.problem, _rows_of_classes(rows, several))
    check_fits(rows, dev_rows, params.train.batch_size, outputs_of(classes))
    train_set = RowDataset(rows, images, classes, params.ingest.size, _online_variants(params.variants))
    dev_set = RowDataset(dev_rows, images, classes, params.ingest.size)
    return TrainingData(rows, dev_rows, classes, params.ingest, train_set, dev_set, framing=framing, unlabelled=used)


def check_unlabelled(params: Unlabelled, unlabelled: pd.DataFrame | None) -> pd.DataFrame | None:
    """The images without a label that training learns from; None where it learns from none.

    Raises:
        DataError: params ask for some, and there are none.
    """
    if unlabelled is None or not UNLABELLED.of(params).learns:
        return None
    if unlabelled.empty:
        raise DataError(
            f"train.unlabelled is {params.name}, and no production image without a label is there to learn from "
            "(those that share a group with train_dev, dev or test do not count): add a production source with labels: "
            "{name: none}, or set train.unlabelled to {name: none}"
        )
    return check_manifest(unlabelled, SPLIT)


def check_fits(rows: pd.DataFrame, dev_rows: pd.DataFrame, batch_size: int, outputs: Outputs = "classes") -> None:
    """Check that a model can be fitted to rows of train and measured on those of dev.

    Raises:
        DataError: train has one class, or lacks one that dev has.
        ParamsError: a batch would be larger than train.
    """
    several = outputs == "labels"
    counts, in_dev = (_rows_of_classes(part, several) for part in (rows, dev_rows))
    check_rows(counts, in_dev, batch_size, len(rows), outputs)


def part_of_data(data: TrainingData, inside: npt.NDArray[np.bool_]) -> TrainingData:
    """The same with some rows of train, shape (n,), alone."""
    return replace(data, known=None, rows=data.rows[inside], train=data.train.part(inside))


def data_key(data: TrainingData, params: FitParams) -> str:
    """A digest of what shapes a fit beside the code and the params of train: rows and, by names of shards, pixels."""
    columns = ["id", "label", "shard", "row"]
    tables = [table_digest(data.rows, [*columns, "copy", "weight"]), table_digest(data.dev_rows, columns)]
    tables += [] if data.unlabelled is None else [table_digest(data.unlabelled, columns)]
    variants = params.variants
    made = [variants.mode, variants.seed, [transform.model_dump() for transform in variants.transforms]]
    related = [data.classes, data.framing.model_dump()]
    shaping: list[Any] = [data.ingest.size, params.optimizing.model_dump(), related, *made]
    if isinstance(data.classes, LabelNames):
        shaping.append("several labels")
    return digest(*library_versions(), *tables, json.dumps(shaping, sort_keys=True))


def _rows_of_classes(rows: pd.DataFrame, several: bool) -> dict[str, int]:
    """How many rows each class has, or each label."""
    counts = rows["label"].astype(str).value_counts()
    found: dict[str, int] = {}
    for text, count in zip(counts.index, counts.tolist(), strict=True):
        for name in names_in(text) if several else (text,):
            found[name] = found.get(name, 0) + count
    return found


def _online_variants(params: VariantParams) -> Variants | None:
    if params.mode != "online":
        return None
    # albumentations takes a second to import, and only online mode needs it.
    from pipeline.transforms.online import online_variants

    return online_variants(params.transforms, params.seed)
