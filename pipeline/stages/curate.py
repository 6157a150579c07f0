"""Joins the sources into one manifest: exact duplicates go, conflicting labels are settled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.dedup import groups_of, join_sources, joined_groups, remove_duplicates
from pipeline.core.manifest import INGESTED, check_manifest
from pipeline.errors import MissingInputError, listing
from pipeline.params import CurateParams, SourceParams
from pipeline.stages import Stage


@dataclass(frozen=True)
class CurateOutputs:
    """The images that stay, those that go with the reason, counts per source, and user groups that became one."""

    manifest: pd.DataFrame
    removed: pd.DataFrame
    metrics: dict[str, Any]
    joined: list[list[str]]

    @property
    def summary(self) -> str:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in sorted(self.removed["reason"].value_counts().items())
        )
        return f"{len(self.manifest)} images stay, {reasons or 'no duplicates'}{self._joins}"

    @property
    def _joins(self) -> str:
        if not self.joined:
            return ""
        names = listing((" + ".join(names) for names in self.joined), most=3)
        return f"\n  groups that equal files join, so that they are not split apart: {names}"


def curate(
    ingested: Mapping[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]],
    sources: Mapping[str, SourceParams],
    params: CurateParams,
) -> CurateOutputs:
    """One manifest of all sources.

    Raises:
        MissingInputError: a source that params name was not ingested.
    """
    missing = [name for name in sources if name not in ingested]
    if missing:
        raise MissingInputError(f"not ingested yet: {listing(missing)}; run `dvc repro ingest`")
    # Folders of sources that params no longer name may still stand on disk: they do not count.
    tables = {name: ingested[name]() for name in sorted(sources)}
    images = join_sources([manifest for manifest, _ in tables.values()])
    check_manifest(images, INGESTED)
    kept, removed = remove_duplicates(images, params)
    metrics = {
        name: {
            "files": len(manifest) + len(rejected),
            "rejected": len(rejected),
            "removed": int((removed["source"] == name).sum()),
            "kept": int((kept["source"] == name).sum()),
        }
        for name, (manifest, rejected) in tables.items()
    }
    joined = joined_groups(images, groups_of(images))
    return CurateOutputs(kept, removed, {**metrics, "joined_groups": len(joined)}, joined)


STAGE = Stage(
    name="curate",
    function=curate,
    params={"sources": "sources", "params": "curate"},
    reads={"ingested": catalogue.INGESTED_SOURCES},
    writes={
        "manifest": catalogue.CURATED,
        "removed": catalogue.CURATE_REMOVED,
        "metrics": catalogue.CURATE_METRICS,
    },
)
