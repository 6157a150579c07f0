"""Runs the stage augment on a few images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.manifest import BALANCED, SPLIT
from pipeline.stages.augment.params import PictureParams
from pipeline.stages.augment.stage import augment
from pipeline.stages.ingest.stage import ingest
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns, write_source

RUNS = count()
TURN = {"name": "Rotate", "limit": [-40, 40], "p": 1.0}
NOISE = {"name": "GaussNoise", "p": 1.0}
BLACKEN = {"name": "RandomBrightnessContrast", "brightness_limit": [-1, -1], "contrast_limit": 0, "p": 1.0}


@dataclass(frozen=True)
class Originals:
    """Ingested images, as rows of train."""

    rows: pd.DataFrame
    folder: Path


@dataclass(frozen=True)
class Run:
    """What one run of augment gave, and all images that its rows can point at."""

    manifest: pd.DataFrame
    metrics: dict[str, Any]
    summary: str
    folder: Path
    reader: ShardReader
    unlabelled: pd.DataFrame

    def images(self) -> dict[tuple[str, int], bytes]:
        rows = self.manifest[["id", "copy", "shard", "row"]].itertuples(index=False)
        return {(image, copy): self.reader.image(shard, row) for image, copy, shard, row in rows}

    def shards(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob("*.arrow")}

    def content(self) -> dict[str, bytes]:
        """The bytes of the shards, and of the manifest and the metrics as the runner writes them."""
        catalogue.AUGMENTED.write(self.manifest, self.folder / "manifest")
        catalogue.AUGMENT_METRICS.write(self.metrics, self.folder / "metrics")
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def run(
    originals: Originals,
    *,
    rows: pd.DataFrame | None = None,
    unused: pd.DataFrame | None = None,
    copies: int | dict[str, Any] = 1,
    transforms: Sequence[dict[str, Any]] = (TURN, NOISE),
    workers: int = 1,
    folder: Path | None = None,
    encoding: dict[str, Any] | None = None,
    **changes: Any,
) -> Run:
    folder = folder or originals.folder.with_name(f"run-{next(RUNS)}")
    learn_from, backbone = changes.pop("learn_from", "none"), changes.pop("backbone", None)
    per_image = {"name": "per_image", "count": copies}
    values = {
        "copies": per_image if isinstance(copies, int) else copies,
        "transforms": list(transforms),
        **changes,
    }
    chosen = params(
        **{f"augment.{name}": value for name, value in values.items()},
        **{"ingest.encoding": encoding or {"name": "png"}},
    )
    reader, store = ShardReader(originals.folder), ShardStore(folder)
    rows = originals.rows if rows is None else rows
    unused = originals.rows[SPLIT.names].head(0) if unused is None else unused
    pictures = PictureParams(chosen.ingest.encoding, chosen.ingest.fit, backbone)
    outputs = augment(rows, unused, reader, chosen.augment, pictures, store, Engine(workers), learn_from)
    store.drop_stale()
    reader = ShardReader(originals.folder, folder)
    return Run(outputs.manifest, outputs.metrics, outputs.summary, folder, reader, outputs.unlabelled)


def ingested(base: Path) -> Originals:
    """Three cats, two dogs and an emu, ingested into a folder."""
    write_source(base / "web", {"cat": 3, "dog": 2, "emu": 1})
    chosen = params(**{"sources.web.path": str(base / "web"), "ingest.size": 16})
    store = ShardStore(base / "ingest")
    rows = ingest("web", chosen.sources["web"], chosen.ingest, store, Engine(1)).manifest.to_pandas()
    rows = rows.astype(dict.fromkeys(rows.select_dtypes("category"), "str"))
    return Originals(with_columns(rows.assign(group=rows["id"], split="train", copy=0), BALANCED), base / "ingest")


def oversampled(originals: Originals) -> pd.DataFrame:
    """The rows, the only emu three times, as balance numbers them."""
    emu = originals.rows[originals.rows["label"] == "emu"]
    return pd.concat([originals.rows, emu.assign(copy=1), emu.assign(copy=2)], ignore_index=True)


def many(originals: Originals, times: int = 60) -> pd.DataFrame:
    """Rows of which the variants fill some shards."""
    return pd.concat([originals.rows.assign(copy=copy) for copy in range(times)], ignore_index=True)
