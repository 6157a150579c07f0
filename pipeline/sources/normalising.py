"""One file of a source -> a row of a shard: its picture with all that is measured of it, or why there is none."""

import math
from functools import cache, partial
from typing import Any

import cv2
import pyarrow as pa

from pipeline.core import imaging, perceptual
from pipeline.core.ingest import colours, decoding, facts, picture, reasons
from pipeline.core.manifest import FACTS, HASHES, MARKS
from pipeline.files.shards import fingerprint
from pipeline.params import IngestParams
from pipeline.processes.codec_lines import codec_lines
from pipeline.processes.serving import Guard
from pipeline.sources.files import Files

_TEXT = [(name, pa.string()) for name in ("id", "path", "sha256", "reason", "detail")]
_FACTS = [field.with_type(pa.string()) if field.name == "format" else field for field in FACTS]
SHARD = pa.schema([*_TEXT, *_FACTS, *MARKS, ("codec_warning", pa.string()), ("image", pa.binary())])
# What shapes a row beside the file and the params.
CODE = (colours, decoding, facts, imaging, perceptual, picture, reasons)
# Of refused files, too: a column with gaps would come back as floats, too short for hashes.
_NO_MARKS = dict.fromkeys(MARKS.names, 0)

Payload = tuple[str, str, str]
"""Of a file: id, path inside its source, SHA-256."""


def row_maker(files: Files, params: IngestParams) -> Guard:
    """What makes the rows, and refuses a file that costs its process too much."""
    seconds = params.max_seconds + math.ceil(files.patience)
    return Guard(partial(normalise_file, files=files, params=params), refuse_file, seconds, params.max_memory_mb)


def shape_of_rows(params: IngestParams) -> str:
    """A digest of all that shapes a row beside its file."""
    return fingerprint(CODE, imaging.LIBRARIES, params.model_dump(exclude={"max_rejected", "max_expansion"}))


def normalise_file(payload: Payload, files: Files, params: IngestParams) -> dict[str, Any]:
    """The shard columns of one file."""
    _settle_in()
    data = files.read(payload[1], params.max_bytes)
    match picture.normalise(data, params, codec_lines) if isinstance(data, bytes) else data:
        case picture.Picture(image=image, facts=measured, shown=shown, codec_warning=warning):
            hashes, detail = perceptual.marks(perceptual.views(shown))
            marks = {**dict(zip(HASHES, hashes.tolist(), strict=True)), "fine_detail": detail}
            return {
                **_file(payload),
                "reason": "",
                "detail": "",
                "codec_warning": warning,
                "image": image,
                **measured,
                **marks,
            }
        case reasons.Rejection(reason=reason, detail=detail):
            return refuse_file(payload, reason, detail)


@cache
def _settle_in() -> None:
    """One thread a worker: they share the cores, and each takes address space, so that more would refuse more."""
    cv2.setNumThreads(1)


def refuse_file(payload: Payload, reason: str, detail: str) -> dict[str, Any]:
    """The same of a file without a picture."""
    return {**_file(payload), "reason": reason, "detail": detail, **_NO_MARKS}


def _file(payload: Payload) -> dict[str, str]:
    image_id, path, sha256 = payload
    return {"id": image_id, "path": path, "sha256": sha256}
