"""Run one stage: read its inputs, call its function, and put all of its outputs in place, or none."""

import functools
import inspect
import operator
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.errors import ParamsError, StorageError
from pipeline.project.dvc_files import all_outs
from pipeline.project.params_file import Params
from pipeline.stage import Group, Outputs, Stage, load_stage
from pipeline.store.checked import CHECKSUMS
from pipeline.store.manifests import TableSlice, TableStream
from pipeline.store.refusals import refusals
from pipeline.store.shards import ShardStore
from pipeline.store.timing import Timing, key_of_files, note
from pipeline.store.verified import checksums_beside, checksums_of
from pipeline.store.writing import alone, partial_path, put_in_place, remove
from pipeline.training.checkpoint import Checkpoint
from pipeline.workers.engine import Engine

# What stages call the table that has a row per image.
TABLES = ("manifest", "predictions")


def run_stage(name: str, params: Params, engine: Engine, key: str | None = None) -> str:
    """Run a stage in the current folder and return its summary line.

    Args:
        key: for a stage that runs once a source, the source's name.

    Raises:
        ParamsError: there is no such key.
        StorageError: another process runs the same stage here.
        PipelineError: what the stage itself raises; then no output was touched.
    """
    begun = time.perf_counter()
    stage = load_stage(name)
    arguments: dict[str, Any] = {}
    if stage.each is not None and key is not None:
        known = getattr(params, stage.each)
        if key not in known:
            raise ParamsError(f"{stage.each} has no entry {key!r}: params.yaml names {', '.join(known)}")
        arguments["name"] = key
        stage = stage.named(key)
    label = f"{name} {key}" if key else name
    with alone(_folder(stage), f"pipeline {label}"):
        outputs = _run(stage, params, engine, arguments)
        _note(stage, f"{name}@{key}" if key else name, outputs, time.perf_counter() - begun)
    first, *rest = outputs.summary.split("\n")
    return "\n".join([f"{label}: {first} ({time.perf_counter() - begun:.1f} s)", *rest])


def _run(stage: Stage, params: Params, engine: Engine, arguments: dict[str, Any]) -> Outputs:
    """Read, call, write."""
    arguments |= {argument: _argument(params, place) for argument, place in stage.params.items()}
    arguments |= {argument: value_at(params, place) for argument, place in stage.asks.items()}
    arguments |= {argument: Path(folder) for argument, folder in stage.caches.items()}
    arguments |= {argument: artifact.read(Path(artifact.path)) for argument, artifact in stage.reads.items()}
    arguments |= {argument: artifact.read(Path(artifact.path)) for argument, artifact in stage.keeps.items()}
    stores = {argument: ShardStore(Path(folder)) for argument, folder in stage.builds.items()}
    if "engine" in inspect.signature(stage.function).parameters:
        arguments["engine"] = engine
    checkpoints = {argument: Checkpoint(Path(file)) for argument, file in stage.resumes.items()}
    outputs = stage.function(**stage.join({**arguments, **stores, **checkpoints}))
    write_all(stage, outputs)
    for checkpoint in checkpoints.values():
        checkpoint.drop()
    for store in stores.values():
        store.drop_stale()
    return outputs


def _note(stage: Stage, name: str, outputs: Outputs, seconds: float) -> None:
    """Note what the run took; of a stage that fits a model, its epochs as well."""
    curves = getattr(outputs, "curves", None)
    timing = Timing(
        stage=name,
        key=key_of_files(Path(path) for path in all_outs(stage)),
        seconds=round(seconds, 2),
        images=getattr(outputs, "images", None) or max(_rows(getattr(outputs, name, None)) for name in TABLES),
        epochs=None if curves is None else len(curves.epochs),
        fit_seconds=None if curves is None else round(getattr(outputs, "seconds", seconds), 2),
    )
    note(Path(catalogue.TIMING), timing)


def _rows(value: Any) -> int:
    """Rows of a table of any kind; 0 of anything else."""
    if isinstance(value, TableSlice):
        return len(value.rows)
    return len(value) if isinstance(value, TableStream | pd.DataFrame) else 0


def _folder(stage: Stage) -> Path:
    """Where a stage has its outs, or the first of them."""
    return Path(next(iter({**stage.writes, **stage.keeps}.values())).path).parent


def value_at(params: Params, place: str) -> Any:
    """The value at a dotted place such as `evaluate.optimizing` or `sources.web`."""
    return functools.reduce(_step, place.split("."), params)


def _argument(params: Params, place: str | Group) -> Any:
    if isinstance(place, Group):
        return place.make(**{field: value_at(params, one) for field, one in place.places.items()})
    return value_at(params, place)


def write_all(stage: Stage, outputs: Outputs) -> None:
    """Write every output next to its target, then move all of them into place; on an error, move none.

    Raises:
        StorageError: the file system refused; half-written files are removed.
    """
    # What is kept comes first: a look at test is noted before anybody can read what it showed.
    files = {**stage.keeps, **stage.writes}
    left = {field for field in stage.may_leave if getattr(outputs, field) is None}
    files = {field: artifact for field, artifact in files.items() if field not in left}
    targets = {field: Path(artifact.path) for field, artifact in files.items()}
    partials = {field: partial_path(path) for field, path in targets.items()}
    try:
        for field, artifact in files.items():
            with refusals(targets[field]):
                targets[field].parent.mkdir(parents=True, exist_ok=True)
            remove(partials[field])
            artifact.write(getattr(outputs, field), partials[field])
        if checksums := checksums_beside(files.values()):
            # Moved first: what a kill leaves of two runs does not match then.
            targets = {CHECKSUMS: Path(checksums.path), **targets}
            partials[CHECKSUMS] = partial_path(targets[CHECKSUMS])
            with refusals(targets[CHECKSUMS]):
                targets[CHECKSUMS].parent.mkdir(parents=True, exist_ok=True)
            listed = {artifact.path: partials[field] for field, artifact in files.items() if artifact.verified}
            checksums.write(checksums_of(listed), partials[CHECKSUMS])
        for field, path in targets.items():
            put_in_place(partials[field], path)
    except BaseException:
        for path in partials.values():
            # A folder that cannot be written holds nothing to remove; the first error is the one to show.
            with suppress(StorageError):
                remove(path)
        raise


def _step(value: Any, part: str) -> Any:
    return operator.getitem(value, part) if isinstance(value, dict) else getattr(value, part)
