"""Lists the files of all sources, so that DVC need not look into their folders.

DVC waits for ever on a pipe, fails on a dangling link or an odd name without naming it, and takes in what a
link leads out to. It reads these lists instead, and ingest@SOURCE depends on its own.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from heapq import merge
from io import StringIO
from pathlib import Path

import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import MissingInputError, listing
from pipeline.sources.dvc_hazards import added_root, shown
from pipeline.sources.hash_cache import NOT_HASHED, file_hashes
from pipeline.sources.params import SourceParams
from pipeline.sources.scan import Scan, scan
from pipeline.stage import Stage
from pipeline.store.tables import MAX_BYTES, READERS
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class InventoryOutputs:
    """`SOURCE.jsonl` -> its text: a line a file, with its path and its SHA-256 or why it is not read."""

    files: dict[str, str]
    unread: list[str]

    @property
    def summary(self) -> str:
        count = sum(text.count("\n") for text in self.files.values())
        unread = f"; {len(self.unread)} not read: {listing(self.unread)}" if self.unread else ""
        return f"{count} files in {len(self.files)} sources{unread}"


def inventory(sources: Mapping[str, SourceParams], max_bytes: int, engine: Engine) -> InventoryOutputs:
    """Path and content of every file that ingest may read; nothing but files inside a source is opened.

    Images of more than `max_bytes` are not read. A source that is missing has an empty list: ingest says what is wrong.

    Raises:
        MissingInputError: a missing source is one that `dvc add` tracks.
    """
    files: dict[str, str] = {}
    unread: list[str] = []
    for name, source in sources.items():
        root = Path(source.path)
        added = None if root.exists() else added_root(root)
        if added is not None:
            raise MissingInputError(
                f"the source {root} is missing, and `dvc add` tracks {added}: "
                f"`dvc checkout {added}.dvc` brings it back, or `dvc pull {added}.dvc`. An experiment of --temp or "
                f"--queue that has targets needs this one, too: `dvc exp run --temp {added}.dvc TARGET`"
            )
        found = _scanned(root)
        memory = Path(catalogue.INVENTORY_MEMORY.format(name=name))
        most = partial(_most_bytes, max_bytes)
        hashes = file_hashes(root, found.files, most, memory, time.time_ns(), engine, f"inventory {name}")
        files[f"{name}.jsonl"], not_hashed = _listed(found, hashes)
        unread += [f"{shown(root / path)}: {reason}" for path, reason in [*found.refused, *not_hashed]]
    return InventoryOutputs(files, unread)


def _scanned(root: Path) -> Scan:
    """What lies in a source that is a folder, or is the one file itself."""
    if root.is_dir():
        return scan(root)
    return Scan(("",) if root.is_file() else (), ())


def _listed(found: Scan, hashes: pa.StringArray) -> tuple[str, list[tuple[str, str]]]:
    """A line a file, by path, also of those that are ignored; and what could not be hashed, with the reason."""
    lines, not_hashed = StringIO(newline=""), []
    hashed = zip(found.files, map(pa.StringScalar.as_py, hashes), strict=True)
    for path, content in merge(hashed, found.refused, found.ignored):
        lines.write(f"{json.dumps((path, content))}\n")
        if content.startswith(NOT_HASHED):
            not_hashed.append((path, content))
    return lines.getvalue(), not_hashed


def _most_bytes(of_images: int, path: str) -> float:
    """What may be read of a source's file, by its name; of the one file that is the source, an archive, any number."""
    if not path:
        return math.inf
    # These may hold the labels.
    return MAX_BYTES if path.lower().endswith((*READERS, ".json")) else of_images


STAGE = Stage(
    name="inventory",
    function=inventory,
    params={"sources": "sources", "max_bytes": "ingest.max_bytes"},
    writes={"files": catalogue.INVENTORY},
)
