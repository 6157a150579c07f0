"""Which stages' outs are not of the run that the others are of, by what dvc.lock says of each."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import catalogue
from pipeline.errors import PipelineError, listing
from pipeline.project.params_file import PARAMS_FILE
from pipeline.store.artifacts import digest_of, read_bytes
from pipeline.tools.history import LOCK

# Larger files are not hashed: a page is made in seconds.
MAX_BYTES = 50_000_000
MISSING = object()


def of_other_runs() -> list[str]:
    """What is not of one run, in words."""
    return [*_of_another_model(), *_by_lock()]


def model_digest() -> str | None:
    """SHA-256 of the model's file, if there is one."""
    path = Path(catalogue.MODEL.path)
    return digest_of(read_bytes(path)) if path.is_file() else None


def _of_another_model() -> Iterator[str]:
    digest, path = model_digest(), Path(catalogue.VERDICT.path)
    try:
        checked_predictions = catalogue.VERDICT.read(path).get("model") if path.exists() else None
    except (PipelineError, AttributeError):
        checked_predictions = None
    if digest is not None and checked_predictions is not None and checked_predictions != digest:
        yield f"evaluate measured another model than {catalogue.MODEL.path}"


def _by_lock() -> Iterator[str]:
    path = Path(LOCK)
    if not path.is_file():
        yield f"there is no {LOCK}, so nothing says whether all of this is of one run"
        return
    try:
        stages = dict(_loaded(path)["stages"])
    except (YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        yield f"{path} cannot be read, so nothing says whether all of this is of one run"
        return
    makers = {
        out.get("path"): (name, out.get("md5")) for name, entry in stages.items() for out in entry.get("outs", [])
    }
    params = _loaded(PARAMS_FILE)
    for name, entry in stages.items():
        reasons = [*_inputs(entry, makers), *_params(entry, params), *_outs(entry)]
        if reasons:
            yield f"{name}: {'; '.join(reasons)}"


def _inputs(entry: Mapping[str, Any], makers: Mapping[Any, tuple[str, Any]]) -> Iterator[str]:
    for dep in entry.get("deps", []):
        maker, md5 = makers.get(dep.get("path"), ("", None))
        if maker and md5 != dep.get("md5"):
            yield f"{maker} has run again since"


def _params(entry: Mapping[str, Any], params: Any) -> Iterator[str]:
    recorded = entry.get("params", {}).get(PARAMS_FILE.name, {})
    changed = [key for key, value in recorded.items() if _at(params, key) != value]
    if changed:
        yield f"params.yaml has changed since ({', '.join(changed)})"


def _outs(entry: Mapping[str, Any]) -> Iterator[str]:
    changed = []
    for out in entry.get("outs", []):
        path = Path(str(out.get("path")))
        if path.is_file() and path.stat().st_size <= MAX_BYTES and "md5" in out:
            found = hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest()
            changed += [str(path)] if found != out["md5"] else []
    if changed:
        yield f"{listing(changed, 2)} {'was' if len(changed) == 1 else 'were'} made without DVC since, or edited"


def _at(params: Any, key: str) -> Any:
    # A source's name may have no dot in it.
    for part in key.split("."):
        if not isinstance(params, dict) or part not in params:
            return MISSING
        params = params[part]
    return params


def _loaded(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(read_bytes(path).decode())
