"""Check shards and other outs by their checksums, and find half-written files of killed runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.images.pixels import decode
from pipeline.store.arrow import open_arrow
from pipeline.store.artifacts import Artifact
from pipeline.store.reading import maker
from pipeline.store.shard_plan import digest
from pipeline.store.vectors import vectors_of
from pipeline.store.verified import checksums_beside
from pipeline.store.writing import remove
from pipeline.tools.doctor.cache import md5_of
from pipeline.tools.doctor.findings import Check, Problem
from pipeline.workers.engine import Engine

SHARDS = (catalogue.INGEST_SHARDS, catalogue.EMBED_SHARDS, catalogue.AUGMENT_SHARDS)
# Tables that a stage or a command reads again. The others are for people, who may have written into them.
READ_AGAIN = (catalogue.INGEST_REJECTED, catalogue.SPLIT_MATCHING, catalogue.BALANCE_COUNTS, catalogue.SLICES)


@dataclass(frozen=True)
class Shard:
    """A shard, and the MD5 that dvc.lock has for it, if it has one."""

    path: Path
    md5: str | None


def examine_shards(recorded: Mapping[Path, str], engine: Engine, at_work: str) -> Check:
    """Hash every shard, and decode every image or read every vector in it.

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
    return Check("shards", f"{len(shards)} shards hashed, their images and vectors read", problems)


def examine_checked(at_work: str) -> Check:
    """Verify the checksum of every manifest and every other file that has one, in itself or beside it.

    Args:
        at_work: who writes here now; then such files come and go.
    """
    if at_work:
        return Check("checksums", f"not checked, because {at_work} is running")
    lists = _faults(_lists())
    damaged = {path for path, _, said in lists if said}
    # A file says nothing against itself where the list with its checksum is what is damaged.
    files = [file for file in _faults(_checked()) if not damaged & {*_beside(*file[:2])}]
    problems = [_problem(path, artifact, said) for path, artifact, said in [*lists, *files] if said]
    count = len(lists) + len(files)
    return Check("checksums", f"{count} manifests, models, tables, reports and sheets verified", problems)


def _checked() -> list[Artifact]:
    """What carries a checksum, or has one beside it: of two ways to read a file, one."""
    artifacts = [value for value in vars(catalogue).values() if isinstance(value, Artifact)]
    kept = {artifact.path: artifact for artifact in artifacts if artifact.path.endswith((".arrow", ".png"))}
    verified = [artifact for artifact in artifacts if artifact.verified]
    return [*kept.values(), *verified, catalogue.CURVES, catalogue.ENSEMBLE, catalogue.VERDICT, catalogue.MODEL]


def _lists() -> list[Artifact]:
    """The files with the checksums of other files."""
    found = [checksums_beside([artifact]) for artifact in _checked()]
    return [*{artifact.path: artifact for artifact in found if artifact}.values()]


def _beside(path: Path, artifact: Artifact) -> list[Path]:
    """The file with the checksum of this one, if it carries none in itself."""
    found = checksums_beside([replace(artifact, path=path.as_posix())])
    return [Path(found.path)] if found else []


def _faults(artifacts: Sequence[Artifact]) -> list[tuple[Path, Artifact, str | None]]:
    """Each file that there is, how it is read, and what is wrong with it."""
    return [(path, artifact, _error_of(path, artifact)) for artifact in artifacts for path in _glob(artifact.path)]


def _problem(path: Path, artifact: Artifact, said: str) -> Problem:
    if path.suffix == ".csv" and artifact not in READ_AGAIN:
        return Problem(
            said, f"if you wrote into it, keep a copy elsewhere; remove it, and `{maker(path)}` makes it again"
        )
    if artifact is catalogue.CURATE_GROUPS:
        then = f"`dvc checkout {path}` takes it from DVC's cache; a run without it could move images to another split"
        return Problem(said, then, partial(remove, path))
    return Problem(said, f"`{maker(path)}` makes it again", partial(remove, path))


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
        return "is a broken link"
    try:
        if shard.md5 not in (None, md5_of(shard.path)):
            return "is damaged: its MD5 is not that of dvc.lock"
        table = open_arrow(shard.path)
        keys = table["key"].to_pylist()
        holds_vectors = "vector" in table.schema.names
        column = table["vector" if holds_vectors else "image"]
    except (StorageError, DataError, KeyError):
        return "is damaged: it cannot be read as a shard"
    if digest(*keys) != shard.path.stem:
        return "is damaged: its name is not the digest of its rows' keys"
    if holds_vectors:
        infinite = np.flatnonzero(~np.isfinite(vectors_of(table)).all(axis=1))
        return f"is damaged: the vector of row {infinite[0]} has values that are no numbers" if len(infinite) else None
    return next((f"is damaged: the image of row {row} cannot be decoded" for row in _broken(column)), None)


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
