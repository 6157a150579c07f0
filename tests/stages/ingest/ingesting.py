"""Runs of ingest on one source."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.stages.ingest.stage import IngestOutputs, ingest
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.workers.engine import Engine
from tests.examples import encoded, params, picture

RUNS = count()
TOLERANT: dict[str, Any] = {"ingest.max_rejected": 1.0, "ingest.size": 16}


@dataclass(frozen=True)
class Run:
    """What one run of ingest gave, and the folder that it wrote to."""

    outputs: IngestOutputs
    folder: Path

    def __post_init__(self) -> None:
        # Read now, because a later run may drop the shards.
        assert len(self.manifest) == len(self.outputs.manifest)

    @cached_property
    def manifest(self) -> pd.DataFrame:
        return self.outputs.manifest.to_pandas()

    def image(self, image_id: str) -> bytes:
        [row] = self.manifest[self.manifest["id"] == image_id].to_dict("records")
        return ShardReader(self.folder).image(row["shard"], row["row"])

    def content(self) -> dict[str, bytes]:
        """The bytes of the shards, and of manifest and table as the runner writes them."""
        catalogue.INGESTED_STREAM.write(self.outputs.manifest, self.folder / "manifest")
        catalogue.INGEST_REJECTED.write(self.outputs.rejected, self.folder / "rejected")
        catalogue.INGEST_IGNORED.write(self.outputs.ignored, self.folder / "ignored")
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def run(
    root: Path, base: Path, changes: Mapping[str, Any] | None = None, workers: int = 1, folder: Path | None = None
) -> Run:
    folder = folder or base / f"run-{next(RUNS)}"
    chosen = params(**{"sources.web.path": str(root), "ingest.size": 16, **(changes or {})})
    store = ShardStore(folder)
    outputs = ingest("web", chosen.sources["web"], chosen.ingest, store, Engine(workers))
    store.drop_stale()
    return Run(outputs, folder)


PNG = encoded(picture(1))
