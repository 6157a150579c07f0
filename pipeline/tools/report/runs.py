"""Find the stages whose outs are not of the same run as the others, by dvc.lock."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import catalogue
from pipeline.errors import listing
from pipeline.project.params_file import PARAMS_FILE
from pipeline.stage import NAMES
from pipeline.store.dvc_lock import LOCK, stages_in
from pipeline.store.reading import read_bytes
from pipeline.tools.lineage import changed_params, is_of_another_model
from pipeline.yaml_values import yaml_values

# Larger files are not hashed: a page is made in seconds.
MAX_BYTES = 50_000_000


def of_other_runs() -> list[str]:
    """What is not of one run, in words."""
    other = [f"evaluate measured another model than {catalogue.MODEL.path}"] if is_of_another_model() else []
    return [*other, *_by_lock()]


def _by_lock() -> Iterator[str]:
    path = Path(LOCK)
    if not path.is_file():
        yield f"there is no {LOCK}, so it is unknown whether all results are of one run"
        return
    try:
        # DVC keeps what it knows of stages that are no more, of an older version, say.
        stages = {
            name: entry
            for name, entry in stages_in(read_bytes(path).decode()).items()
            if name.partition("@")[0] in NAMES
        }
    except ValueError:
        yield f"{path} cannot be read, so it is unknown whether all results are of one run"
        return
    makers = {out.get("path"): (name, out.get("md5")) for name, entry in stages.items() for out in entry["outs"]}
    params = yaml_values(read_bytes(PARAMS_FILE).decode())
    for name, entry in stages.items():
        reasons = [*_inputs(entry, makers), *_params(entry, params), *_outs(entry)]
        if reasons:
            yield f"{name}: {'; '.join(reasons)}"


def _inputs(entry: Mapping[str, Any], makers: Mapping[Any, tuple[str, Any]]) -> Iterator[str]:
    for dep in entry["deps"]:
        maker, md5 = makers.get(dep.get("path"), ("", None))
        if maker and md5 != dep.get("md5"):
            yield f"{maker} has run again since"


def _params(entry: Mapping[str, Any], params: Any) -> Iterator[str]:
    changed = changed_params(entry, params)
    if changed:
        yield f"params.yaml has changed since ({', '.join(changed)})"


def _outs(entry: Mapping[str, Any]) -> Iterator[str]:
    changed = []
    for out in entry["outs"]:
        path = Path(str(out.get("path")))
        if path.is_file() and path.stat().st_size <= MAX_BYTES and "md5" in out:
            found = hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest()
            changed += [str(path)] if found != out["md5"] else []
    if changed:
        yield f"{listing(changed, 2)} {'was' if len(changed) == 1 else 'were'} made without DVC since, or edited"
