"""Join the sources into one manifest: remove duplicates, resolve labels, group near copies, mark issues."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.errors import MissingInputError, listing
from pipeline.images.perceptual import views
from pipeline.images.pixels import Pixels, decode, without_bars
from pipeline.issues import ISSUES
from pipeline.manifest import INGESTED, MARKS, NO_LABEL, check_manifest
from pipeline.names import one_group
from pipeline.sources.params import SourceParams
from pipeline.stage import Stage
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.curate.duplicates import join_sources, remove_duplicates
from pipeline.stages.curate.groups import (
    NO_COPIES,
    contents_of,
    groups_of,
    is_compared,
    joined_groups,
    near_copies,
    near_counts,
    near_table,
)
from pipeline.stages.curate.issues import issue_counts, with_issues
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.sheets import copies_sheet, issues_sheet
from pipeline.stages.curate.similarity import Positions
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

# Pictures that a worker looks at in one go; fewer are not worth a process.
CHUNK = 2048

Measure = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class CurateOutputs:
    """Kept images, removed images with the reason, near copies, counts, and user groups that were joined.

    issues, copies: contact sheets as PNG files.

    `uncompared`: contents that are too small or plain to have near copies, if these are looked for.
    """

    manifest: pd.DataFrame
    removed: pd.DataFrame
    near: pd.DataFrame
    metrics: dict[str, Any]
    issues: bytes
    copies: bytes
    joined: list[list[str]]
    uncompared: int
    one_group: Sequence[str]
    """What to say of user groups that are written in several ways."""

    @property
    def summary(self) -> str:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in sorted(self.removed["reason"].value_counts().items())
        )
        unlabelled = int((self.manifest["label"] == NO_LABEL).sum())
        without = f" ({unlabelled} without a label)" if unlabelled else ""
        return "\n  ".join([f"{len(self.manifest)} images kept{without}, {reasons or 'no duplicates'}", *self._notes()])

    def _notes(self) -> Iterator[str]:
        if len(self.near):
            families = self.near["family"].value_counts()
            yield (
                f"{len(self.near)} images are near copies, in {len(families)} families of up to {families.max()}, "
                f"which stay in one split: see {catalogue.CURATE_NEAR.path}"
            )
            two_labels = sorted(set(self.near.loc[self.near["labels"] != "", "family"]))
            if two_labels:
                yield f"{len(two_labels)} of these families have two labels: those of {listing(two_labels, most=3)}"
        if self.joined:
            names = listing((" + ".join(names) for names in self.joined), most=3)
            yield f"groups joined by equal files or near copies, which stay in one split: {names}"
        yield from self.one_group
        if self.uncompared:
            yield f"{self.uncompared} pictures are too small or too plain to have near copies"
        marked = {name: int(self.manifest[name].sum()) for name in ISSUES}
        if any(marked.values()):
            counts = ", ".join(f"{count} {name}" for name, count in marked.items() if count)
            yield f"issues (nothing is removed): {counts}; see {catalogue.CURATE_ISSUES.path}"


def curate(
    ingested: Mapping[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]],
    originals: ShardReader,
    sources: Mapping[str, SourceParams],
    params: CurateParams,
    fit: str,
    engine: Engine,
) -> CurateOutputs:
    """Join all sources into one manifest.

    Raises:
        MissingInputError: a source of params.yaml was not ingested, or a shard is missing.
    """
    missing = [name for name in sources if name not in ingested]
    if missing:
        raise MissingInputError(f"sources not ingested yet: {listing(missing)}; run `dvc repro ingest`")
    # Folders of sources that params no longer name may still stand on disk: they do not count.
    tables = {name: ingested[name]() for name in sorted(sources)}
    images = join_sources([manifest for manifest, _ in tables.values()])
    check_manifest(images, INGESTED)
    pairs, uncompared = NO_COPIES, 0
    if params.near_duplicates == "group":
        contents = contents_of(images)
        uncompared = int((~is_compared(contents)).sum())
        measures_of = partial(measure_pictures, contents=contents, reader=originals, fit=fit, engine=engine)
        pairs = near_copies(contents, partial(measures_of, measure=views), partial(measures_of, measure=portrait))
    written = one_group(images["user_group"].unique())
    images = images.drop(columns=MARKS.names).assign(group=groups_of(images, pairs))
    kept, removed = remove_duplicates(images, params)
    near, joined = near_table(kept, images, pairs), joined_groups(images)
    kept = with_issues(kept, params.issues)
    counts = {
        name: {
            "files": len(manifest) + len(rejected),
            "rejected": len(rejected),
            "removed": int((removed["source"] == name).sum()),
            "kept": int((kept["source"] == name).sum()),
            "unlabelled": int(((kept["source"] == name) & (kept["label"] == NO_LABEL)).sum()),
        }
        for name, (manifest, rejected) in tables.items()
    }
    metrics = {
        "sources": counts,
        "issues": issue_counts(kept),
        "near_duplicates": near_counts(near),
        "joined_groups": len(joined),
    }
    show = partial(_picture, reader=originals)
    sheets = issues_sheet(kept, params.issues, show), copies_sheet(images, near, removed, show)
    return CurateOutputs(kept, removed, near, metrics, *sheets, joined, uncompared, written)


def _picture(shard: str, row: int, reader: ShardReader) -> Pixels:
    return decode(reader.image(shard, row))


def measure_pictures(
    rows: Positions, measure: Measure, contents: pd.DataFrame, reader: ShardReader, fit: str, engine: Engine
) -> Pixels:
    """What `measure` makes of contents by position, from their normalised pictures; shape (k, …)."""
    asked = contents[["shard", "row", "width", "height"]].iloc[rows]
    places = list(asked.itertuples(index=False, name=None))
    chunks = [places[begin : begin + CHUNK] for begin in range(0, len(places), CHUNK)]
    work = partial(_measured, measure=measure, reader=reader, fit=fit)
    return np.concatenate(engine.map(work, chunks, "curate: near copies", size=len))


def _measured(places: Sequence[tuple[str, int, int, int]], measure: Measure, reader: ShardReader, fit: str) -> Pixels:
    pictures = ((decode(reader.image(shard, row)), width, height) for shard, row, width, height in places)
    return np.stack([measure(without_bars(pixels, width, height, fit)) for pixels, width, height in pictures])


STAGE = Stage(
    name="curate",
    function=curate,
    params={"sources": "sources", "params": "curate", "fit": "ingest.fit"},
    reads={"ingested": catalogue.INGESTED_SOURCES, "originals": catalogue.ORIGINALS},
    writes={
        "manifest": catalogue.CURATED,
        "removed": catalogue.CURATE_REMOVED,
        "near": catalogue.CURATE_NEAR,
        "metrics": catalogue.CURATE_METRICS,
        "issues": catalogue.CURATE_ISSUES,
        "copies": catalogue.CURATE_COPIES,
    },
)
