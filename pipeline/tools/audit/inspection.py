"""Look at each image of an audit: its digest, its views for comparison, or why it cannot be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError, StorageError
from pipeline.images import perceptual
from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.ingest.params import IngestParams, JpegEncoding, PngEncoding
from pipeline.store.reading import read_bytes, sha256_of
from pipeline.store.shards import ShardReader
from pipeline.tools.audit.scenes import SIDE
from pipeline.tools.audit.tables import FilePlace, Place, ShardPlace
from pipeline.tools.image_files import made_safely
from pipeline.workers.codec_messages import codec_messages
from pipeline.workers.engine import Engine

# How a file is decoded for comparison: the whole picture, whatever its shape. Limits are wide, because a file that
# cannot be looked at fails the audit, and stand here, because an audit needs no params.yaml.
_PNG = PngEncoding(name="png")
SMALL = IngestParams(
    size=64,
    fit="stretch",
    encoding=_PNG,
    background=(255, 255, 255),
    codec_warnings="accept",
    max_missing=0.0,
    max_pixels=200_000_000,
    max_side=200_000_000,
    max_aspect=200_000_000,
    max_bytes=500_000_000,
    max_expansion=1,
    max_seconds=60,
    max_memory_mb=4_000,
    max_rejected=1.0,
)
# And for scenes, where it was looked at already.
LARGE = SMALL.model_copy(update={"size": SIDE, "encoding": JpegEncoding(name="jpeg", quality=90)})
# Files that a worker hashes in one go.
TOGETHER = 64


@dataclass(frozen=True)
class Inspection:
    """The digest, views and portrait of an image, as far as asked for, or why they are missing."""

    sha256: str | None
    seen: tuple[Pixels, Pixels] | None
    reason: str
    side: int = 0
    """Pixels of its shorter side; 0 if it was not decoded."""


@dataclass(frozen=True)
class PlacePictures:
    """Pictures of rows by their number, encoded; of files that could be looked at."""

    places: Sequence[Place]
    reader: ShardReader

    def __call__(self, row: int) -> bytes:
        place = self.places[row]
        if isinstance(place, ShardPlace):
            return self.reader.image(place.shard, place.row)
        found = normalise(read_bytes(place.root / place.path), LARGE, codec_messages)
        if isinstance(found, Rejection):
            raise DataError(f"{place.path} was changed while the audit read it: run it again")
        return found.image


def inspect_all(
    tasks: Mapping[Place, bool], decode: bool, reader: ShardReader, engine: Engine
) -> dict[Place, Inspection]:
    """Inspect the images at these places.

    Args:
        tasks: whether the file at a place is hashed.
        decode: whether pictures are looked at; then each is decoded where it can harm no other.
    """
    items = list(tasks.items())
    if decode:
        make = partial(inspect_image, limits=SMALL, reader=reader)
        return dict(zip(tasks, made_safely(items, make, _refused, SMALL, engine, "audit"), strict=True))
    # Nothing is decoded, so that no process needs to be at risk.
    make = partial(inspect_image, limits=None, reader=reader)
    return dict(zip(tasks, engine.map(make, items, "audit", chunk_size=TOGETHER), strict=True))


def inspect_image(item: tuple[Place, bool], limits: IngestParams | None, reader: ShardReader) -> Inspection:
    """Inspect an image, and hash it if its item says so; without limits it is not decoded."""
    place, hash_it = item
    sha256 = None
    try:
        if isinstance(place, ShardPlace):
            data = reader.image(place.shard, place.row) or b""
        else:
            file = _inside(place)
            if isinstance(file, str):
                return Inspection(None, None, file)
            sha256 = sha256_of(file) if hash_it else None
            size = file.stat().st_size
            if limits is not None and size > limits.max_bytes:
                return Inspection(sha256, None, f"too_many_bytes: {size} bytes, the limit is {limits.max_bytes}")
            data = b"" if limits is None else read_bytes(file)
    except (StorageError, OSError) as error:
        # The whole message would name this machine's folders.
        cause = error if isinstance(error, OSError) else error.__cause__
        return Inspection(None, None, f"unreadable: {getattr(cause, 'strerror', None)}")
    if limits is None:
        return Inspection(sha256, None, "")
    match normalise(data, limits, codec_messages):
        case Picture(shown=shown, facts={"width": int(width), "height": int(height)}):
            side = min(width, height)
            return Inspection(sha256, (perceptual.views(shown), portrait(shown)), "", side)
        case Rejection(reason=reason, detail=detail):
            return Inspection(sha256, None, f"{reason}: {detail}")
        case unknown:
            raise TypeError(f"a picture without a size: {unknown}")


def _refused(_: tuple[Place, bool], reason: str, words: str) -> Inspection:
    return Inspection(None, None, f"{reason}: {words}")


def _inside(place: FilePlace) -> Path | str:
    """The file, or why it is not opened: a table must not lead out of its root."""
    path = PurePosixPath(place.path)
    if path.is_absolute():
        return "absolute path: paths must be relative to the root"
    if ".." in path.parts:
        return "leaves the root: paths must not hold '..'"
    try:
        target = (place.root / path).resolve(strict=True)
        inside = target.is_relative_to(place.root.resolve())
    except (OSError, RuntimeError, ValueError):
        return "missing: no such file under the root"
    if not inside:
        return "a link that leaves the root"
    return target if target.is_file() else "not a regular file"
