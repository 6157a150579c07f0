"""Read one source: verify, orient, resize and hash every image."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import DataError, listing
from pipeline.images.notes import notes_on
from pipeline.images.rejection import REASONS
from pipeline.names import shown
from pipeline.sources.digests import FileRows, Texts
from pipeline.sources.files import Files, open_files
from pipeline.sources.labels import label_file, list_images
from pipeline.sources.metadata import check_groups
from pipeline.sources.params import SourceParams
from pipeline.sources.source_errors import no_images, too_many_refused
from pipeline.stage import Stage
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.ingest.result import outcome_of
from pipeline.stages.ingest.rows import SHARD, row_maker, shape_of_rows
from pipeline.store.manifests import TableStream
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine

# That the summary names.
MAX_CLASSES = 30
REJECTED_COLUMNS = ["path", "reason", "detail"]
IGNORED_COLUMNS = ["path", "reason"]


@dataclass(frozen=True)
class IngestOutputs:
    """Accepted images, and every rejected or ignored file with its reason."""

    manifest: TableStream
    rejected: pd.DataFrame
    ignored: pd.DataFrame
    metrics: dict[str, Any]
    classes: dict[str, int]
    notes: tuple[str, ...] = ()
    """Sentences on what is accepted and odd, and on how labels and groups were taken."""

    @property
    def summary(self) -> str:
        counts = Counter(self.rejected["reason"])
        why = f" ({', '.join(f'{count} {reason}' for reason, count in sorted(counts.items()))})" if counts else ""
        without = f" ({self.metrics['unlabelled']} without a label)" if self.metrics["unlabelled"] else ""
        refused = f"{len(self.rejected)} rejected{why}, {len(self.ignored)} ignored"
        head = f"{self.manifest.length} images{without}, {refused}"
        return "\n  ".join([head, *self._classes(), *self.notes])

    def _classes(self) -> list[str]:
        if not self.classes:
            return []
        counts = listing((f"{shown(label)} {count}" for label, count in self.classes.items()), MAX_CLASSES)
        return [f"{len(self.classes)} class{'' if len(self.classes) == 1 else 'es'}: {counts}"]


def ingest(name: str, source: SourceParams, params: IngestParams, shards: ShardStore, engine: Engine) -> IngestOutputs:
    """Make the manifest of one source; its normalised images go into shards.

    Raises:
        MissingInputError: the folder does not exist.
        DataError: it has no images, or too many files were rejected.
    """
    if source.value_range is not None:
        params = params.model_copy(update={"value_range": source.value_range})
    files = open_files(source, params.max_expansion, Path(catalogue.INVENTORY_MEMORY.format(name=name)))
    listed = list_images(files, source, pd.Timestamp.now("UTC"))
    if not len(listed.images):
        speaker = label_file(files, source)
        raise DataError(no_images(_place(files), source, speaker, listed.refused, len(listed.ignored)))
    images, paths = _in_reading_order(files, listed.images)
    digests = files.hashes(paths, params.max_bytes, engine, f"ingest {name}: hashing")
    rows = FileRows(shape_of_rows(params), name, paths, digests)
    made = shards.build(rows, row_maker(files, params), SHARD, files.engine(engine), f"ingest {name}")
    found = outcome_of(made, images.iloc[rows.files] if digests.refused else images)
    check_groups(found.groups(), listed.groups_from)
    unread = [(paths[number], why.reason, why.detail) for number, why in digests.refused.items()]
    unread += [(path, reason, detail or REASONS[reason]) for path, reason, detail in listed.refused]
    refusals = [*found.refused, *unread]
    if wrong := too_many_refused(str(files.place), len(paths) + len(listed.refused), refusals, params.max_rejected):
        raise DataError(wrong)
    rejected = pd.DataFrame(refusals, columns=REJECTED_COLUMNS, dtype="str")
    manifest = found.manifest(name, source.role)
    return IngestOutputs(
        manifest=manifest,
        rejected=rejected.sort_values(REJECTED_COLUMNS, ignore_index=True),
        ignored=pd.DataFrame(sorted(listed.ignored), columns=IGNORED_COLUMNS, dtype="str"),
        classes=found.classes,
        metrics={
            "files": manifest.length + len(rejected) + len(listed.ignored),
            "accepted": manifest.length,
            "unlabelled": found.unlabelled,
            "ignored": len(listed.ignored),
            "rejected": len(rejected),
            # Those that occur.
            "reasons": dict(Counter(rejected["reason"])),
            "codec_warnings": found.codec_warnings,
            "misnamed": len(found.misnamed),
            "little_of_range": len(found.dim),
        },
        notes=(*listed.notes, *notes_on(name, found.misnamed, found.dim, *found.from_exif)),
    )


def _in_reading_order(files: Files, images: pd.DataFrame) -> tuple[pd.DataFrame, Texts]:
    """The images in the order in which their files are best read, and their paths."""
    paths = Texts(pa.array(images["path"], pa.string()))
    ordered = files.in_order(paths)
    if ordered is paths:
        return images, paths
    return images.iloc[pd.Index(images["path"]).get_indexer(pd.Index(ordered))], Texts(pa.array(ordered, pa.string()))


def _place(files: Files) -> str:
    return f"the source {'folder' if files.place.is_dir() else 'archive'} {files.place}"


STAGE = Stage(
    name="ingest",
    function=ingest,
    each="sources",
    params={"source": "sources.{name}", "params": "ingest"},
    builds={"shards": catalogue.INGEST_SHARDS},
    writes={
        "manifest": catalogue.INGESTED_STREAM,
        "rejected": catalogue.INGEST_REJECTED,
        "ignored": catalogue.INGEST_IGNORED,
        "metrics": catalogue.INGEST_METRICS,
    },
)
