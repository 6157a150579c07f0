"""List the files of all sources, so that DVC does not read their folders.

DVC waits for ever on a pipe, fails on a dangling link or an odd name without naming it, and takes in what a
link leads out to. It reads these lists instead, and ingest@SOURCE depends on its own.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from heapq import merge
from io import StringIO
from pathlib import Path

import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import MissingInputError, PipelineError, listing
from pipeline.sources.dvc_hazards import added_root, shown
from pipeline.sources.hash_cache import NOT_HASHED, file_hashes
from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.objects import Objects, words_of
from pipeline.sources.params import SourceParams
from pipeline.sources.scan import Scan, scan
from pipeline.sources.urls import is_url
from pipeline.stage import Stage
from pipeline.store.dvc_lock import LOCK, cached_folder, locked_stages
from pipeline.store.reading import OTHER_FOLDERS, sha256_of
from pipeline.store.tables import MAX_BYTES, READERS
from pipeline.workers.engine import Engine

# Beside the lists: which version of what `dvc add` tracks they are of.
ADDED = "added.json"
FETCH = "dvc fetch data/dvc.yaml:inventory"


@dataclass(frozen=True)
class InventoryOutputs:
    """`SOURCE.jsonl` -> its text: a line per file, with its path and its SHA-256 or why it is not read.

    files: also ADDED, if `dvc add` tracks a source; None where DVC alone knows the lists: what is not there then is
        missing data, which `dvc repro --allow-missing` allows.
    kept: sources that are not here, whose lists are those of the last run.
    unreachable: why sources in object stores are not, a message each.
    """

    files: dict[str, str] | None
    unread: list[str]
    kept: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        absent = f"not here: {listing(self.kept)}; the results of the last run are used for them" if self.kept else ""
        absent = "\n  ".join([absent, *self.unreachable])
        if self.files is None:
            return f"{absent}. Their lists are not in DVC's cache either: `{FETCH}`, or `dvc repro --allow-missing`"
        lists = {name: text for name, text in self.files.items() if name != ADDED}
        count = sum(text.count("\n") for text in lists.values())
        unread = f"; {len(self.unread)} not read: {listing(self.unread)}" if self.unread else ""
        files, sources = (f"{n} {what}{'s' * (n != 1)}" for n, what in ((count, "file"), (len(lists), "source")))
        return f"{files} in {sources}{unread}{'; ' if absent else ''}{absent}"


@dataclass(frozen=True)
class _LastRun:
    """What data/dvc.lock says of the last run: the path of each source; its lists, None where the cache lacks them."""

    paths: Mapping[str, str]
    files: Mapping[str, bytes] | None


def inventory(sources: Mapping[str, SourceParams], max_bytes: int, engine: Engine) -> InventoryOutputs:
    """Path and content of every file that ingest may read; nothing but files inside a source is opened.

    Images of more than `max_bytes` are not read. A source that is not here keeps the list of the last run, if that knew
    it by the same path. Of one that nothing is known of the list is empty: ingest says what is wrong.

    Raises:
        MissingInputError: a missing source is one that `dvc add` tracks, and another version of it than the last run's
            or nobody knows; or the lists of some missing ones are not in DVC's cache, and other sources are here.
    """
    here = {name: Path(source.path) for name, source in sources.items() if not is_url(source.path)}
    away = {name: _listed_objects(source) for name, source in sources.items() if name not in here}
    unreachable = {name: str(found) for name, found in away.items() if isinstance(found, PipelineError)}
    absent = [name for name in sources if name in unreachable or (name in here and not here[name].exists())]
    last = _last_run() if absent else _LastRun({}, None)
    kept = [name for name in absent if last.paths.get(name) == str(sources[name].path)]
    added = {name: record for name, path in here.items() if (record := added_root(path))}
    records = {str(record): _content(record) for record in added.values()}
    for name in [name for name in absent if name in added]:
        _check_added(here[name], added[name], last if name in kept else _LastRun({}, None))
    if kept and last.files is None:
        if len(kept) == len(sources):
            return InventoryOutputs(None, [], kept, [*unreachable.values()])
        raise MissingInputError(
            f"the sources {listing(kept)} are missing, and their lists of the last run are not in DVC's "
            + "\n  ".join([f"cache: run `{FETCH}` to download them", *unreachable.values()])
        )
    files: dict[str, str] = {}
    unread: list[str] = []
    for name in sources:
        if name in kept and last.files is not None:
            files[f"{name}.jsonl"] = last.files.get(f"{name}.jsonl", b"").decode()
            continue
        if name in away:
            files[f"{name}.jsonl"] = "" if name in unreachable else str(away[name])
            continue
        root = here[name]
        found = _scanned(root)
        memory = Path(catalogue.INVENTORY_MEMORY.format(name=name))
        most = partial(_most_bytes, max_bytes)
        hashes = file_hashes(root, found.files, most, memory, time.time_ns(), engine, f"inventory {name}")
        files[f"{name}.jsonl"], not_hashed = _listed(found, hashes)
        unread += [f"{shown(root / path)}: {reason}" for path, reason in [*found.refused, *not_hashed]]
    if records:
        files[ADDED] = f"{json.dumps(records, indent=2, sort_keys=True)}\n"
    return InventoryOutputs(files, unread, kept, [*unreachable.values()])


def _last_run() -> _LastRun:
    entry = locked_stages(Path(OTHER_FOLDERS["inventory"]) / LOCK).get("inventory", {"outs": [], "params": {}})
    sources = entry["params"].get("sources")
    named = sources if isinstance(sources, dict) else {}
    paths = {name: str(source.get("path")) for name, source in named.items() if isinstance(source, dict)}
    md5 = next((str(out.get("md5")) for out in entry["outs"] if out.get("path") == catalogue.INVENTORY.path), None)
    return _LastRun(paths, cached_folder(md5)) if md5 is not None else _LastRun({}, None)


def _content(added: Path) -> str:
    """SHA-256 of the .dvc file, which names the content of what it tracks."""
    return sha256_of(added.with_name(f"{added.name}.dvc"))


def _check_added(root: Path, added: Path, last: _LastRun) -> None:
    """Raise MissingInputError unless the last run's list is of the version that the .dvc file names."""
    try:
        known = json.loads((last.files or {}).get(ADDED, b"{}")).get(str(added))
    except (ValueError, AttributeError):
        known = None
    if known == _content(added):
        return
    raise MissingInputError(
        f"the source {root} is missing, and `dvc add` tracks {added}: restore it with `dvc checkout "
        f"{added}.dvc` or `dvc pull {added}.dvc`. If it has not changed since the last run, its list is "
        f"enough: run `{FETCH}`. An experiment of --temp or --queue with targets also needs this one: `dvc "
        f"exp run --temp {added}.dvc TARGET`"
    )


def _scanned(root: Path) -> Scan:
    """What lies in a source that is a folder, or is the one file itself."""
    if root.is_dir():
        return scan(root)
    return Scan(("",) if root.is_file() else (), ())


def _listed_objects(source: SourceParams) -> str | PipelineError:
    """The list of a source in an object store, of which nothing is read: a line per object, with its size and its time.

    Or why there is none: ingest says the same, if no earlier list can stand for it.
    """
    try:
        place = ObjectPlace.parse(source.path)
        if place.is_file():
            return f"{json.dumps(('', words_of(place.stat())))}\n"
        objects = Objects(place)
        found = objects.scan()
    except PipelineError as error:
        return error
    said = ((path, objects.said_of(path)) for path in found.files)
    lines = merge(said, found.refused, found.ignored)
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _listed(found: Scan, hashes: pa.StringArray) -> tuple[str, list[tuple[str, str]]]:
    """A line per file, by path, also of those that are ignored; and what could not be hashed, with the reason."""
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
    may_leave=("files",),
)
