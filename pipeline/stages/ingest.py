"""Reads one source's class folders: verifies, orients, resizes and hashes every image."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.core import imaging, perceptual
from pipeline.core.manifest import FACTS, FURTHER, HASHES, INGESTED, MARKS
from pipeline.core.metadata import attach_metadata
from pipeline.engine import Engine
from pipeline.errors import DataError
from pipeline.params import IngestParams, SourceParams
from pipeline.scan import scan
from pipeline.serving import Guard
from pipeline.shards import Row, ShardStore, digest, fingerprint
from pipeline.stages import Stage
from pipeline.storage import read_bytes, read_texts, sha256_of

_TEXT = [(name, pa.string()) for name in ("id", "label", "path", "sha256", "reason", "detail")]
_FACTS = [field.with_type(pa.string()) if field.name == "format" else field for field in FACTS]
SHARD = pa.schema([*_TEXT, *_FACTS, *MARKS, ("image", pa.binary())])
# Of refused files, too: a column with gaps would come back as floats, too short for hashes.
_NO_MARKS = dict.fromkeys(MARKS.names, 0)
METADATA = "metadata.csv"
REJECTED_COLUMNS = ["path", "reason", "detail"]


@dataclass(frozen=True)
class IngestOutputs:
    """Accepted images, and every refused file with its reason."""

    manifest: pd.DataFrame
    rejected: pd.DataFrame
    ignored: int

    @property
    def summary(self) -> str:
        reasons = Counter(self.rejected["reason"])
        why = f" ({', '.join(f'{count} {reason}' for reason, count in sorted(reasons.items()))})" if reasons else ""
        return f"{len(self.manifest)} images, {len(self.rejected)} rejected{why}, {self.ignored} ignored"


def ingest(name: str, source: SourceParams, params: IngestParams, shards: ShardStore, engine: Engine) -> IngestOutputs:
    """The manifest of one source; its normalised images go into shards.

    Raises:
        MissingInputError: there is no such folder.
        DataError: it has no images, or too many files were refused.
    """
    root = Path(source.path)
    found = scan(root)
    in_class = [path for path in found.files if "/" in path]
    loose = [(path, "no_class_folder") for path in found.files if "/" not in path and path != METADATA]
    if not in_class:
        state = f"{len(loose)} files but no class folders" if loose else "no files"
        raise DataError(
            f"the source folder {root} has {state}: images stand in one folder a class, {root}/<class>/<image>"
        )
    hashes = engine.map(sha256_of, [root / path for path in in_class], f"ingest {name}: hashing")
    shape = fingerprint([imaging, perceptual], imaging.LIBRARIES, params.model_dump(exclude={"max_rejected"}))
    rows = [
        Row(path, digest(shape, name, path, sha256), (f"{name}/{path}", path, sha256))
        for path, sha256 in zip(in_class, hashes, strict=True)
    ]
    make = partial(normalise_file, root=root, params=params)
    guard = Guard(make, refuse_file, params.max_seconds, params.max_memory_mb)
    made = shards.build(rows, guard, SHARD, engine, f"ingest {name}")
    images = made.to_pandas().rename(columns={"key": "pixels"})
    accepted = images[images["reason"] == ""].assign(source=name, role=source.role)
    refused = pd.DataFrame([(*item, "") for item in [*found.refused, *loose]], columns=REJECTED_COLUMNS)
    table = read_texts(root / METADATA) if METADATA in found.files else None
    known = {*in_class, *refused["path"]}
    accepted = attach_metadata(accepted, table, known, pd.Timestamp.now("UTC"), str(root / METADATA))
    rejected = pd.concat([images.loc[images["reason"] != "", REJECTED_COLUMNS], refused])
    _check_rejected(root, len(images) + len(refused), rejected, params)
    columns = [*INGESTED.names, *(name for name in accepted.columns if name.startswith(FURTHER))]
    return IngestOutputs(
        manifest=accepted[columns].sort_values("id", ignore_index=True),
        rejected=rejected.sort_values("path", ignore_index=True),
        ignored=found.ignored + (table is not None),
    )


def normalise_file(payload: tuple[str, str, str], root: Path, params: IngestParams) -> dict[str, Any]:
    """The shard columns of one file."""
    match imaging.normalise(read_bytes(root / payload[1]), params):
        case imaging.Picture(image=image, facts=facts, pixels=pixels):
            shown = imaging.without_bars(pixels, facts["width"], facts["height"], params.fit)
            hashes, detail = perceptual.marks(perceptual.views(shown))
            marks = {**dict(zip(HASHES, hashes.tolist(), strict=True)), "fine_detail": detail}
            return {**_file(payload), "reason": "", "detail": "", "image": image, **facts, **marks}
        case imaging.Rejection(reason=reason, detail=detail):
            return refuse_file(payload, reason, detail)


def refuse_file(payload: tuple[str, str, str], reason: str, detail: str) -> dict[str, Any]:
    """The same of a file without a picture."""
    return {**_file(payload), "reason": reason, "detail": detail, **_NO_MARKS}


def _file(payload: tuple[str, str, str]) -> dict[str, str]:
    image_id, path, sha256 = payload
    return {"id": image_id, "label": path.split("/")[0], "path": path, "sha256": sha256}


def _check_rejected(root: Path, files: int, rejected: pd.DataFrame, params: IngestParams) -> None:
    share = len(rejected) / files
    if share > params.max_rejected or len(rejected) == files:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(rejected["reason"]).items()))
        raise DataError(
            f"{len(rejected)} of {files} files in {root} were rejected ({reasons}), the limit ingest.max_rejected is "
            f"{params.max_rejected:.0%}. First:\n  "
            + "\n  ".join(
                f"{item.path}: {item.reason} {item.detail}".rstrip() for item in rejected.head(5).itertuples()
            )
            + "\nMend or remove them, or raise the limit"
        )


STAGE = Stage(
    name="ingest",
    function=ingest,
    each="sources",
    params={"source": "sources.{name}", "params": "ingest"},
    builds={"shards": catalogue.INGEST_SHARDS},
    writes={"manifest": catalogue.INGESTED, "rejected": catalogue.INGEST_REJECTED},
)
