"""Check shards and other outs by their checksums, and find half-written files of killed runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.images.pixels import decode
from pipeline.store.arrow import open_arrow
from pipeline.store.artifacts import Artifact, maker, remove
from pipeline.store.shard_plan import digest
from pipeline.tools.doctor.cache import md5_of
from pipeline.tools.doctor.findings import Check, Problem
from pipeline.workers.engine import Engine

SHARDS = (catalogue.INGEST_SHARDS, catalogue.AUGMENT_SHARDS)


@dataclass(frozen=True)
class Shard:
    """A shard, and the MD5 that dvc.lock has for it, if it has one."""

    path: Path
    md5: str | None


def examine_shards(recorded: Mapping[Path, str], engine: Engine, at_work: str) -> Check:
    """Hash every shard and decode every image in it.

    Args:
        recorded: path -> MD5, as dvc.lock and the cache have it.
        at_work: who writes here now; then shards come and go.
    """
    if at_work:
        return Check("shards", f"not checked, because {at_work} is running")
    shards = [Shard(path, recorded.get(path)) for folder in SHARDS for path in _glob(f"{folder}/*.arrow")]
    faults = engine.map(fault, shards, "doctor: reading shards")
    problems = [
        Problem(f"{shard.path} {found}", f"`{maker(shard.path)}` builds it again", partial(remove, shard.path))
        for shard, found in zip(shards, faults, strict=True)
        if found
    ]
    return Check("shards", f"{len(shards)} shards hashed, their images decoded", problems)


def examine_checked(at_work: str) -> Check:
    """Verify the checksum of every manifest and every other file that carries one.

    Args:
        at_work: who writes here now; then such files come and go.
    """
    if at_work:
        return Check("checksums", f"not checked, because {at_work} is running")
    found = [(path, artifact) for artifact in _checked() for path in _glob(artifact.path)]
    problems = [
        Problem(said, f"`{maker(path)}` makes it again", partial(remove, path))
        for path, artifact in found
        if (said := _error_of(path, artifact))
    ]
    return Check("checksums", f"{len(found)} manifests, models and reports of later stages verified", problems)


def _checked() -> list[Artifact]:
    """What carries a checksum: of two ways to read a file, one."""
    artifacts = [value for value in vars(catalogue).values() if isinstance(value, Artifact)]
    arrow = {artifact.path: artifact for artifact in artifacts if artifact.path.endswith(".arrow")}
    return [*arrow.values(), catalogue.CURVES, catalogue.VERDICT, catalogue.MODEL]


def _error_of(path: Path, artifact: Artifact) -> str | None:
    """What whoever reads it is told; None if it is whole."""
    try:
        content = artifact.read(path)
        if artifact is catalogue.MODEL:
            from pipeline.models.files import load_model, needs_own_code

            # Code of the project is not run for this: its file has a checksum.
            if not needs_own_code(content):
                load_model(content)
    except MissingInputError:
        return None  # gone since
    except DataError as error:
        return f"{path} cannot be used: {error}"
    return None


def examine_leftovers(at_work: str) -> Check:
    """Find what was never moved into place.

    Args:
        at_work: who writes here now; then such files are as they should be.
    """
    if at_work:
        return Check("leftovers", f"not checked, because {at_work} is running")
    files = [Path(value.path) for value in vars(catalogue).values() if isinstance(value, Artifact)]
    files += map(Path, (catalogue.CHECKPOINT, catalogue.INVENTORY_MEMORY, catalogue.CHECKED_TRANSFORMS))
    patterns = [f"{file.parent}/.{file.name}" for file in files] + [f"{folder}/.*.arrow" for folder in SHARDS]
    ends = ("partial", "old")
    found = sorted({path for pattern in patterns for end in ends for path in _glob(f"{pattern}.{end}")})
    problems = [Problem(f"{path} was left by a run that was killed", "", partial(remove, path)) for path in found]
    return Check("leftovers", "searched for half-written files", problems)


def fault(shard: Shard) -> str | None:
    """What is wrong with a shard; None if it is whole."""
    if not shard.path.exists():
        return "is a link that leads nowhere"
    try:
        if shard.md5 not in (None, md5_of(shard.path)):
            return "is damaged: its MD5 is not that of dvc.lock"
        table = open_arrow(shard.path)
        keys, images = table["key"].to_pylist(), table["image"]
    except (StorageError, DataError, KeyError):
        return "is damaged: it cannot be read as a shard"
    if digest(*keys) != shard.path.stem:
        return "is damaged: its name is not the digest of its rows' keys"
    return next((f"is damaged: the image of row {row} cannot be decoded" for row in _broken(images)), None)


def _broken(images: pa.ChunkedArray) -> Iterator[int]:
    """Numbers of the rows whose image does not decode; rows of refused files have none."""
    for row, image in enumerate(images):
        data = image.as_py()
        if data is not None:
            try:
                decode(data)
            except Exception:
                yield row


def _glob(pattern: str) -> list[Path]:
    return sorted(Path().glob(pattern.replace("{name}", "*")))
