"""Turn one file of a source into a shard's row: its picture and measurements, or a rejection."""

import hashlib
import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import cv2
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.images import normalising as picture
from pipeline.images import perceptual
from pipeline.images import pixels as imaging
from pipeline.images import rejection as reasons
from pipeline.manifest import FACTS, HASHES, MARKS
from pipeline.sources.files import Files
from pipeline.stages.ingest.params import IngestParams
from pipeline.store.shards import fingerprint
from pipeline.versions.stages import version_of
from pipeline.workers.codec_messages import codec_messages
from pipeline.workers.serving import Guard

_TEXT = [(name, pa.string()) for name in ("id", "path", "sha256", "reason", "detail")]
_FACTS = [field.with_type(pa.string()) if field.name == "format" else field for field in FACTS]
EXIF = pa.schema([("taken", pa.timestamp("us", tz="UTC")), ("camera", pa.string())])
SHARD = pa.schema([*_TEXT, *_FACTS, *MARKS, *EXIF, ("codec_warning", pa.string()), ("image", pa.binary())])
# Not in the key of a row: how files are listed and read, because it knows their content by its hash; rules of params,
# because it has their values.
NOT_IN_KEY = ("pipeline.sources", "pipeline.section", "pipeline.stages.ingest.params")
# Of refused files, too: a column with gaps would come back as floats, too short for hashes.
_NO_MARKS = dict.fromkeys(MARKS.names, 0)

_OK = {"reason": "", "detail": ""}
# Pictures that wait for the rest of their work; more no longer fit into a processor's cache.
TOGETHER = 16

Payload = tuple[str, str, str, bool]
"""Of a file: id, path inside its source, SHA-256, and whether nobody has read it for that in this run.

In place of the SHA-256 of a file in an object store stands what the store says of it, until it is read.
"""
Opened = tuple[Payload, picture.Fitted | reasons.Rejection]


def row_maker(files: Files, params: IngestParams) -> Guard:
    """What makes the rows, and refuses a file that costs its process too much."""
    return Guard(
        make=partial(open_file, files=files, params=params),
        refuse=refuse_file,
        seconds=params.max_seconds + math.ceil(files.patience),
        megabytes=params.max_memory_mb,
        finish=partial(rows_of, params=params),
        chunk_size=TOGETHER,
        expect=partial(expect_files, files=files),
    )


def shape_of_rows(params: IngestParams) -> str:
    """A digest of all that shapes a row, besides its file."""
    code = version_of(open_file, rows_of, refuse_file, Guard, without=NOT_IN_KEY)
    return fingerprint(code, imaging.LIBRARIES, params.model_dump(exclude={"max_rejected", "max_expansion"}))


def expect_files(payloads: Sequence[Payload], files: Files) -> None:
    """Have files that are far away read ahead of their turn."""
    files.expect([(path, sha256) for _, path, sha256, _ in payloads])


def open_file(payload: Payload, files: Files, params: IngestParams) -> Opened:
    """A file's picture before encoding, or why there is none.

    Raises:
        DataError: its content is another than its row would say.
    """
    _configure_worker()
    image_id, path, sha256, recalled = payload
    data = files.read(path, params.max_bytes, sha256)
    if not files.hashes_content:
        payload = (image_id, path, hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else "", False)
    elif recalled and isinstance(data, bytes) and hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(
            f"{files.place}/{path} has changed since inventory read it: run `dvc repro` again once nothing "
            "writes to the source; finished work is kept. If this error returns, the content changed but not "
            "the size and times: remove data/inventory/memory"
        )
    return payload, picture.fit_file(data, params, codec_messages) if isinstance(data, bytes) else data


def rows_of(opened: Sequence[Opened], params: IngestParams) -> list[dict[str, Any]]:
    """The shard columns of each file, in order."""
    made = iter(picture.finish([found for _, found in opened if isinstance(found, picture.Fitted)], params))
    found = [(payload, next(made) if isinstance(one, picture.Fitted) else one) for payload, one in opened]
    marks = iter(_marks([one.shown for _, one in found if isinstance(one, picture.Picture)]))
    return [
        {
            **_file(payload),
            **_OK,
            **one.facts,
            **one.exif,
            **next(marks),
            "codec_warning": one.codec_warning,
            "image": one.image,
        }
        if isinstance(one, picture.Picture)
        else refuse_file(payload, one.reason, one.detail)
        for payload, one in found
    ]


def _marks(pictures: Sequence[imaging.Pixels]) -> list[dict[str, Any]]:
    """The columns of manifest.MARKS of each picture."""
    if not pictures:
        return []
    seen = perceptual.views_of(pictures)
    hashes, details = perceptual.perceptual_hash(seen).tolist(), perceptual.detail_strengths(seen[:, 0])
    return [
        {**dict(zip(HASHES, of_views, strict=True)), "fine_detail": detail}
        for of_views, detail in zip(hashes, details, strict=True)
    ]


@cache
def _configure_worker() -> None:
    """One thread per worker: they share the cores, and each takes address space, so that more would refuse more."""
    cv2.setNumThreads(1)


def refuse_file(payload: Payload, reason: str, detail: str) -> dict[str, Any]:
    """The shard columns of a file that is rejected."""
    return {**_file(payload), "reason": reason, "detail": detail, **_NO_MARKS}


def _file(payload: Payload) -> dict[str, str]:
    image_id, path, sha256, _ = payload
    return {"id": image_id, "path": path, "sha256": sha256}
