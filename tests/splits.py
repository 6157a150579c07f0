"""What tests of splitting share: params, manifests with groups and metadata, and where images went."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.manifest import CURATED, EXTRA_COLUMNS, PRODUCTION, RAW
from pipeline.stages.split.params import SplitParams
from pipeline.stages.split.splitting import assign_splits
from pipeline.stages.split.stage import SplitOutputs, split
from pipeline.store.manifests import TableSlice, arrow_table
from pipeline.store.row_parts import RowParts
from pipeline.store.vectors import Embeddings
from tests.examples import params, with_columns


def split_params(
    seed: int = 1,
    dev: float = 0.25,
    test: float = 0.25,
    train_dev: float = 0.2,
    used: float = 1.0,
    least: int = 1,
    **changes: Any,
) -> SplitParams:
    """Shares that leave half of production to train and the least minimum, unless told otherwise."""
    production = {"train": 1 - dev - test, "dev": dev, "test": test}
    values = {
        "production": production,
        "production_train_fraction": used,
        "train_dev": train_dev,
        "min_per_class": least,
    }
    return params(**{f"split.{name}": value for name, value in {"seed": seed, **values, **changes}.items()}).split


def splits_of(manifest: pd.DataFrame, chosen: SplitParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that are assigned, and rows that are not."""
    splits = assign_splits(manifest, chosen)
    return splits.assigned, splits.excluded


class NoVectors:
    """What the stage embed leaves without a backbone."""

    available = False


NO_VECTORS = NoVectors()


def stage_outputs(manifest: pd.DataFrame, chosen: SplitParams, vectors: Any = NO_VECTORS) -> SplitOutputs:
    """What the stage makes of a manifest.

    Args:
        vectors: as the stage embed leaves them.
    """
    fields = [field for field in CURATED if field.name in manifest.columns]
    extra_columns = [(name, pa.string()) for name in manifest.columns if name.startswith(EXTRA_COLUMNS)]
    table = arrow_table(manifest, pa.schema([*fields, *extra_columns]))
    return split(RowParts.of(table), cast(Embeddings, vectors), chosen, params().problem)


def frame_of(taken: TableSlice) -> pd.DataFrame:
    """The rows that a stage hands on, as a frame."""
    frame: pd.DataFrame = taken.part(0, len(taken.rows)).to_pandas()
    return frame


def places(manifest: pd.DataFrame, chosen: SplitParams, frozen: pd.DataFrame | None = None) -> dict[str, str]:
    """The split of each image, or the reason why it is in none."""
    splits = assign_splits(manifest, chosen, frozen)
    assigned, excluded = splits.assigned, splits.excluded
    found = [
        *zip(assigned["id"], assigned["split"], strict=True),
        *zip(excluded["id"], excluded["reason"], strict=True),
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def rows_of(images: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A manifest as curate writes it: production images of apples in groups of their own, unless told otherwise."""
    rows = pd.DataFrame(
        [
            {"id": f"{number:05}", "role": PRODUCTION, "label": "apple", "group": f"{number:05}", **image}
            for number, image in enumerate(images)
        ]
    )
    extra_columns = [name for name in rows.columns if name.startswith(EXTRA_COLUMNS)]
    return with_columns(rows, CURATED).assign(**{name: rows[name] for name in extra_columns})


def drawn(seed: int, counts: Mapping[str, int], largest: int = 1, raw: int = 20, mixed: bool = False) -> pd.DataFrame:
    """So many production images of each label, and raw ones, of which half share a group with a production image.

    Groups have up to `largest` production images, of one label unless mixed. Times of capture repeat.
    """
    draw = np.random.default_rng(seed)
    total = sum(counts.values())
    images: list[dict[str, Any]] = []
    for label, count in counts.items():
        groups = np.repeat(np.arange(count), draw.integers(1, largest + 1, count))[:count]
        images += [{"label": label, "group": f"{label}{number}"} for number in groups]
    if mixed:
        labels = draw.permutation([image["label"] for image in images])
        images = [{**image, "label": label} for image, label in zip(images, labels, strict=True)]
    days = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(draw.integers(0, 40, total), unit="D")
    images = [{**image, "captured_at": day} for image, day in zip(images, days, strict=True)]
    for label in counts:
        twins = [images[number]["group"] for number in draw.integers(0, total, raw // 2)]
        images += [{"role": RAW, "label": label, "group": group} for group in twins]
        images += [{"role": RAW, "label": label}] * (raw - len(twins))
    rows = rows_of(images)
    return rows.assign(captured_at=rows["captured_at"].astype("datetime64[us, UTC]"))
