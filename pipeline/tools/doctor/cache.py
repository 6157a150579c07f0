"""Check DVC's cache for objects whose content does not match their name.

An object is named by the MD5 of its content. DVC believes the name of one that is read-only, as all
are, so that damage spreads: `dvc checkout` and `dvc push` copy it, `dvc status` finds nothing.
All objects are hashed, also those that only other commits or experiments name: `dvc checkout` of these needs them.
"""

import hashlib
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError, listing
from pipeline.store.reading import check_regular
from pipeline.store.refusals import refusals
from pipeline.store.writing import remove
from pipeline.tools.doctor.findings import Check, Problem, near
from pipeline.tools.doctor.records import Out
from pipeline.workers.engine import Engine

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
FOLDER = re.compile(r"[0-9a-f]{2}")
# Objects that a worker hashes in one go.
CHUNK = 16

Uses = Mapping[str, Sequence[tuple[Path, Out]]]
"""MD5 -> each file or folder of the workspace that should have this content, and the out that it belongs to."""


@dataclass(frozen=True)
class Damage:
    """An object whose content has another MD5, or cannot be read (None)."""

    path: Path
    md5: str
    actual: str | None


def md5_of(path: Path) -> str:
    """MD5 of a file's content, 32 hex digits, as DVC names it."""
    check_regular(path)
    with refusals(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def members(cache: Path, folder: str) -> dict[str, str]:
    """Path inside a folder -> MD5, by the folder's object; empty if that is missing or damaged."""
    path = object_path(cache, folder)
    if not path.is_file():
        return {}
    try:
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != folder.removesuffix(".dir"):
            return {}
        return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def object_path(cache: Path, md5: str) -> Path:
    """Where the cache has an object."""
    return cache / md5[:2] / md5[2:]


def uses_of(cache: Path, outs: Iterable[Out]) -> Uses:
    """Which files of the workspace should have which content."""
    uses: dict[str, list[tuple[Path, Out]]] = defaultdict(list)
    for out in outs:
        uses[out.md5].append((out.path, out))
        if out.md5.endswith(".dir"):
            for name, md5 in members(cache, out.md5).items():
                uses[md5].append((out.path / name, out))
    return uses


def examine_cache(cache: Path, uses: Uses | None, aside: Path, engine: Engine) -> Check:
    """Hash every object.

    Args:
        uses: None if DVC's files do not say; then nothing is fixed.
        aside: folder for damaged objects that no stage of this workspace makes.
    """
    objects = list(_objects(cache))
    chunks = [objects[begin : begin + CHUNK] for begin in range(0, len(objects), CHUNK)]
    damaged = [one for found in engine.map(_damaged, chunks, "doctor: hashing the cache", size=len) for one in found]
    problems = [_problem(one, None if uses is None else uses.get(one.md5, []), aside) for one in damaged]
    return Check("cache", f"{len(objects)} objects in {near(cache)} hashed", problems)


def _objects(cache: Path) -> Iterable[Path]:
    """All objects; what a killed DVC left half-written has another kind of name, and `dvc gc` removes it."""
    folders = sorted(entry for entry in cache.iterdir() if FOLDER.fullmatch(entry.name)) if cache.is_dir() else []
    for folder in folders:
        yield from sorted(entry for entry in folder.iterdir() if OBJECT.fullmatch(entry.name) and entry.is_file())


def _damaged(objects: Sequence[Path]) -> list[Damage]:
    found = []
    for path in objects:
        md5 = path.parent.name + path.name
        try:
            actual = md5_of(path)
        except PipelineError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                continue  # removed since the folder was listed
            actual = None
        if actual != md5.removesuffix(".dir"):
            found.append(Damage(path, md5, actual))
    return found


def _problem(damage: Damage, used: Sequence[tuple[Path, Out]] | None, aside: Path) -> Problem:
    if used is None:
        return Problem(f"{near(damage.path)} is damaged", "first fix DVC's files, which say what it belongs to")
    names = listing(f"{place} ({out.owner})" for place, out in used)
    meant = f"It belongs to {names or 'nothing that dvc.lock or a .dvc file names now'}"
    if damage.actual is None:
        return Problem(f"{near(damage.path)} cannot be read. {meant}", "fix its permissions, or the disk")
    what = f"{near(damage.path)} is damaged: its content has the MD5 {damage.actual}. {meant}"
    added = [(place, out) for place, out in used if out.added]
    if used and not added:
        return Problem(what, _commands(out.maker for _, out in used), partial(_fix, damage, used, None))
    if any(_md5_or_none(place) == damage.md5 for place, _ in added):
        then = f"{_commands(out.keeper for _, out in added)}, as the workspace's copy is whole"
    elif added:
        then = f"{_commands(out.maker for _, out in added)} brings it from the remote"
    else:
        then = "`dvc pull` or `dvc repro` where a commit or an experiment needs it"
    return Problem(what, f"{then}; what is damaged goes to {near(aside)}", partial(_fix, damage, used, aside))


def _fix(damage: Damage, used: Sequence[tuple[Path, Out]], aside: Path | None) -> None:
    """Move the object aside, or remove it where a stage makes it again, and see to its copies in the workspace.

    DVC remembers of a copy that it is whole, by its time and size: a stage's is removed, so that it
    is made anew; one that no stage makes gets a new time, so that DVC hashes it.
    """
    for place, out in used:
        if _md5_or_none(place) == damage.actual:
            if out.added:
                with refusals(place):
                    os.utime(place)
            else:
                remove(place)
    if aside is None:
        remove(damage.path)
        return
    with refusals(aside):
        aside.mkdir(parents=True, exist_ok=True)
        shutil.move(damage.path, aside / damage.md5)


def _md5_or_none(path: Path) -> str | None:
    try:
        return md5_of(path) if path.is_file() else None
    except PipelineError:
        return None


def _commands(commands: Iterable[str]) -> str:
    return ", ".join(f"`{command}`" for command in dict.fromkeys(commands))
