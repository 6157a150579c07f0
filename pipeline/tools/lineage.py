"""Check by dvc.lock whether a result belongs to the model, split and params of its workspace or commit.

An experiment that stops before `evaluate`, because it named another target, keeps the predictions of the run
that it started from: without a look at its lock they would pass for its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import catalogue
from pipeline.errors import DataError, listing
from pipeline.project.params_file import PARAMS_FILE
from pipeline.store.dvc_lock import LOCK, Stages, stages_in
from pipeline.store.reading import digest_of, read_bytes
from pipeline.yaml_values import yaml_values

# Their names in dvc.yaml; whatever lies between them is found by its files.
TRAIN, SPLIT, EVALUATE = "train", "split", "evaluate"
# A change of code is the commit's matter: what a result is of are data and params.
CODE = "pipeline/"
# What evaluate itself is told shapes no prediction; all results are measured anew by what is wanted now.
OWN = "evaluate"
UNKNOWN = "its dvc.lock does not name the model of its predictions"
MISSING = object()


def other_run(stages: Stages, params: Any) -> str:
    """Why the predictions are not of the run that they stand beside, as a clause; empty if they are.

    Args:
        params: the values of params.yaml beside that lock.
    """
    return next(_reasons(stages, params), "")


def of_workspace() -> str:
    """The same of the current folder's evaluation; also where stages ran without DVC, which its lock does not know."""
    lock = Path(LOCK)
    try:
        params = yaml_values(PARAMS_FILE.read_text(encoding="utf-8")) if PARAMS_FILE.is_file() else None
        reason = other_run(stages_in(read_bytes(lock).decode()), params) if lock.is_file() else ""
    except ValueError:
        reason = UNKNOWN
    return reason or ("its predictions are of another model" if is_of_another_model() else "")


def model_digest() -> str | None:
    """SHA-256 of the model's file, if there is one."""
    path = Path(catalogue.MODEL.path)
    return digest_of(read_bytes(path)) if path.is_file() else None


def is_of_another_model() -> bool:
    """Whether the evaluation says that its model was another one than lies there now."""
    digest, path = model_digest(), Path(catalogue.VERDICT.path)
    try:
        evaluated = catalogue.VERDICT.read(path)["model"] if path.exists() else None
    except DataError:
        evaluated = None
    return digest is not None and evaluated is not None and evaluated != digest


def check_is_of_model() -> None:
    """Raise DataError if the predictions that lie here are of another model than the one beside them."""
    if is_of_another_model():
        raise DataError(
            f"{catalogue.PREDICTIONS.path} is of another model than {catalogue.MODEL.path}, so its errors are not this "
            "model's: run `dvc repro evaluate`"
        )


def _reasons(stages: Stages, params: Any) -> Iterator[str]:
    makers = {path: name for name, entry in stages.items() for path in _hashes(entry, "outs")}
    if TRAIN not in {makers.get(path) for path in _hashes(stages.get(EVALUATE, {}), "deps")}:
        yield UNKNOWN
        return
    chain = _chain(stages, makers)
    overtaken = {maker: name for name in chain for maker in _overtook(stages, makers, name)}
    if overtaken.get(TRAIN) == EVALUATE:
        yield "its predictions are of another model: `evaluate` did not run after `train`"
    if SPLIT in overtaken:
        yield f"its predictions are of another split: `{overtaken[SPLIT]}` did not run after `split`"
    for maker, name in overtaken.items():
        yield f"its predictions are of other data: `{name}` did not run after `{maker}`"
    for first, second, path in _read_apart(stages, makers, chain):
        yield f"its predictions are of other data: `{first}` and `{second}` read different content of {path}"
    changed = sorted({key for name in chain for key in changed_params(stages[name], params) if not _is_own(name, key)})
    if changed:
        yield f"its predictions are of other params: params.yaml has changed since ({listing(changed, 3)})"


def changed_params(entry: Mapping[str, Any], params: Any) -> list[str]:
    """The params of a stage whose values are no longer those that it ran with."""
    return [key for key, value in entry["params"].items() if _at(params, str(key)) != value]


def _chain(stages: Stages, makers: Mapping[str, str]) -> list[str]:
    """evaluate and all stages whose files it is made from, directly or not; the nearest first."""
    chain, at = [EVALUATE], 0
    while at < len(chain):
        for path in _hashes(stages[chain[at]], "deps"):
            # A stage may depend on the folder above another's outs.
            found = [name for out, name in makers.items() if out == path or out.startswith(f"{path}/")]
            chain += [name for name in dict.fromkeys(found) if name not in chain]
        at += 1
    return chain


def _overtook(stages: Stages, makers: Mapping[str, str], name: str) -> Iterator[str]:
    """The stages that made files anew which this one has read before."""
    for path, md5 in _hashes(stages[name], "deps").items():
        maker = makers.get(path)
        if maker is not None and _hashes(stages[maker], "outs")[path] != md5:
            yield maker


def _read_apart(stages: Stages, makers: Mapping[str, str], chain: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Two stages that read different content of one path, such as a folder above many outs; and the path."""
    seen: dict[str, tuple[str, Any]] = {}
    for name in chain:
        for path, md5 in _hashes(stages[name], "deps").items():
            first, before = seen.setdefault(path, (name, md5))
            if path not in makers and not path.startswith(CODE) and before != md5:
                yield first, name, path


def _hashes(entry: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Path -> hash of a stage's deps or outs."""
    return {str(one.get("path")): one.get("md5") for one in entry.get(kind, [])}


def _is_own(name: str, key: str) -> bool:
    return name == EVALUATE and key.partition(".")[0] == OWN


def _at(params: Any, key: str) -> Any:
    # A source's name may have no dot in it.
    for part in key.split("."):
        if not isinstance(params, dict) or part not in params:
            return MISSING
        params = params[part]
    return params
