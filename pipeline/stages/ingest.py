"""Reads one source: verifies, orients, resizes and hashes every image."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.ingest.metadata import check_groups
from pipeline.core.ingest.reasons import REASONS
from pipeline.core.ingest.shortage import no_images, too_many_refused
from pipeline.core.manifest import FURTHER, INGESTED, NO_LABEL
from pipeline.errors import DataError
from pipeline.files.shards import Row, ShardStore, digest
from pipeline.params import IngestParams, SourceParams
from pipeline.processes.engine import Engine
from pipeline.sources import label_file, list_images
from pipeline.sources.files import Files, open_files
from pipeline.sources.normalising import SHARD, row_maker, shape_of_rows
from pipeline.stages import Stage

REJECTED_COLUMNS = ["path", "reason", "detail"]


@dataclass(frozen=True)
class IngestOutputs:
    """Accepted images, and every refused file with its reason."""

    manifest: pd.DataFrame
    rejected: pd.DataFrame
    ignored: int
    metrics: dict[str, Any]

    @property
    def summary(self) -> str:
        counts = Counter(self.rejected["reason"])
        why = f" ({', '.join(f'{count} {reason}' for reason, count in sorted(counts.items()))})" if counts else ""
        unlabelled = int((self.manifest["label"] == NO_LABEL).sum())
        without = f" ({unlabelled} without a label)" if unlabelled else ""
        return f"{len(self.manifest)} images{without}, {len(self.rejected)} rejected{why}, {self.ignored} ignored"


def ingest(name: str, source: SourceParams, params: IngestParams, shards: ShardStore, engine: Engine) -> IngestOutputs:
    """The manifest of one source; its normalised images go into shards.

    Raises:
        MissingInputError: there is no such folder.
        DataError: it has no images, or too many files were refused.
    """
    files = open_files(source, params.max_expansion)
    listed = list_images(files, source, pd.Timestamp.now("UTC"))
    if not len(listed.images):
        speaker = label_file(files, source)
        raise DataError(no_images(_place(files), source, speaker, listed.refused, listed.ignored))
    paths = files.in_order(listed.images["path"].tolist())
    hashed = files.hashes(paths, params.max_bytes, engine, f"ingest {name}: hashing")
    shape = shape_of_rows(params)
    unread = [
        (path, why.reason, why.detail) for path, why in zip(paths, hashed, strict=True) if not isinstance(why, str)
    ]
    rows = [
        Row(path, digest(shape, name, path, sha256), (f"{name}/{path}", path, sha256))
        for path, sha256 in zip(paths, hashed, strict=True)
        if isinstance(sha256, str)
    ]
    made = shards.build(rows, row_maker(files, params), SHARD, files.engine(engine), f"ingest {name}")
    images = made.to_pandas().rename(columns={"key": "pixels"}).merge(listed.images, on="path", validate="1:1")
    accepted = images[images["reason"] == ""].assign(source=name, role=source.role)
    check_groups(accepted, label_file(files, source))
    unread += [(path, reason, detail or REASONS[reason]) for path, reason, detail in listed.refused]
    refused = pd.DataFrame(unread, columns=REJECTED_COLUMNS)
    rejected = pd.concat([images.loc[images["reason"] != "", REJECTED_COLUMNS], refused])
    refusals = [*rejected.itertuples(index=False, name=None)]
    if wrong := too_many_refused(str(files.place), len(images) + len(refused), refusals, params.max_rejected):
        raise DataError(wrong)
    columns = [*INGESTED.names, *(name for name in accepted.columns if name.startswith(FURTHER))]
    return IngestOutputs(
        manifest=accepted[columns].sort_values("id", ignore_index=True),
        rejected=rejected.sort_values(REJECTED_COLUMNS, ignore_index=True),
        ignored=listed.ignored,
        metrics=_metrics(accepted, rejected, listed.ignored),
    )


def _metrics(accepted: pd.DataFrame, rejected: pd.DataFrame, ignored: int) -> dict[str, Any]:
    """How many files there are, and what became of them; of the reasons those that occur."""
    return {
        "files": len(accepted) + len(rejected) + ignored,
        "accepted": len(accepted),
        "unlabelled": int((accepted["label"] == NO_LABEL).sum()),
        "ignored": ignored,
        "rejected": len(rejected),
        "reasons": dict(Counter(rejected["reason"])),
        "codec_warnings": int((accepted["codec_warning"] != "").sum()),
    }


def _place(files: Files) -> str:
    return f"the source {'folder' if files.place.is_dir() else 'archive'} {files.place}"


STAGE = Stage(
    name="ingest",
    function=ingest,
    each="sources",
    params={"source": "sources.{name}", "params": "ingest"},
    builds={"shards": catalogue.INGEST_SHARDS},
    writes={"manifest": catalogue.INGESTED, "rejected": catalogue.INGEST_REJECTED, "metrics": catalogue.INGEST_METRICS},
)
