"""Read DVC's lock files and cache: what earlier runs made."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import StorageError
from pipeline.store.reading import read_bytes
from pipeline.store.refusals import refusals

LOCK, PARAMS_FILE = "dvc.lock", "params.yaml"

Stages = Mapping[str, Mapping[str, Any]]


def stages_in(locked: str) -> Stages:
    """The stages of a dvc.lock by its text: each with lists `deps` and `outs`, and a mapping `params`.

    Raises:
        ValueError: it has none that can be read.
    """
    try:
        stages = YAML(typ="safe", pure=True).load(locked)["stages"]
        return {str(name): _entry(values) for name, values in stages.items()}
    except (YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError("it names no stages") from error


def locked_stages(path: Path) -> Stages:
    """The same of a file; none where it is missing or cannot be read."""
    try:
        return stages_in(read_bytes(path).decode()) if path.is_file() else {}
    except ValueError:
        return {}


def hash_in(stages: Stages, path: str) -> str | None:
    """The hash of a stage's out, by a dvc.lock; None where it names no such out."""
    found = {str(out.get("path")): str(out.get("md5")) for entry in stages.values() for out in entry["outs"]}
    return found.get(path)


@contextmanager
def dvc_repository() -> Iterator[Any]:
    """DVC's repository around the current folder; importing DVC takes a second.

    Raises:
        DvcException: there is none.
        StorageError: DVC's database, in which it remembers hashes, cannot be used: it is damaged, or the disk is full.
    """
    from dvc.repo import Repo

    try:
        with refusals(".dvc"):
            repository = Repo()
        with repository:
            yield repository
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"DVC cannot open its database: {error}. Check that the site cache that `dvc doctor` names "
            "exists, has free space and is writable. If it is damaged, remove it: it only saves time"
        ) from error


def cached_folder(md5: str) -> dict[str, bytes] | None:
    """{path: content} of a folder of small files that DVC's cache has; None if it lacks any of it.

    Args:
        md5: of the folder, as dvc.lock has it, with `.dir` at its end.
    """
    from dvc.exceptions import DvcException

    try:
        with dvc_repository() as repository:
            listed = _cached(repository.cache.local, md5)
            files = {one["relpath"]: one["md5"] for one in json.loads(listed)} if listed is not None else {}
            found = {path: _cached(repository.cache.local, of_file) for path, of_file in files.items()}
    except (DvcException, ValueError, KeyError, TypeError):
        return None
    whole = {path: content for path, content in found.items() if content is not None}
    return whole if listed is not None and len(whole) == len(found) else None


def _cached(cache: Any, md5: str) -> bytes | None:
    """The content of an object, if it is there and whole."""
    place = Path(cache.oid_to_path(md5))
    content = read_bytes(place) if place.is_file() else None
    if content is None or hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
        return None
    return content


def _entry(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a lock says of a stage, without what has not the form of it."""
    found: dict[str, Any] = {}
    for kind in ("deps", "outs"):
        listed = values.get(kind)
        found[kind] = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    files = values.get("params")
    params = files.get(PARAMS_FILE) if isinstance(files, dict) else None
    return {**found, "params": params if isinstance(params, dict) else {}}
