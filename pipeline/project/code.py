"""The version of each stage's code, as a file that the stage depends on: DVC does not see the code itself."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import catalogue
from pipeline.errors import DataError, listing
from pipeline.models.networks import Factory
from pipeline.project.params_file import Params
from pipeline.stage import NAMES
from pipeline.store.refusals import refusals
from pipeline.store.writing import partial_path, put_in_place, remove, replacing
from pipeline.versions.own_code import own_modules, version_of_modules
from pipeline.versions.stages import installed_versions

LOCKS = ("dvc.lock", "data/dvc.lock", "final/dvc.lock")
COMMAND = "dvc repro data/dvc.yaml:code"
# What runs code of the project: stages that reach this module have that code in their version.
RUNS_OWN_CODE = "pipeline.models.own"
OLDER = (
    "an older version of the pipeline wrote dvc.lock, with source files as dependencies. Every stage runs once "
    "more, and every image is decoded once more. After that, a code change runs only the stages that it affects"
)


def write_versions(params: Params) -> str:
    """Write one file per stage, and return the line that says which stages run again because of their code."""
    known = _recalled(params)
    reached = {name: known.get(name) or _reached(name, params) for name in NAMES}
    new = {name: _text(reached[name], params) for name in NAMES}
    folder = Path(catalogue.CODE.path)
    before = {name: _read(name) for name in NAMES}
    with refusals(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    remove(partial_path(folder))
    catalogue.CODE.write({Path(_place(name)).name: text for name, text in new.items()}, partial_path(folder))
    put_in_place(partial_path(folder), folder)
    if reached != known:
        with replacing(Path(catalogue.CODE_MEMO.path)) as place:
            inputs = installed_versions().inputs(params.model_dump())
            catalogue.CODE_MEMO.write({"inputs": inputs, "reached": reached}, place)
    return f"code: {_summary(new, before)}"


def check_version(name: str, params: Params) -> str | None:
    """A warning if a stage starts while its version file does not match the code; None if it matches.

    Where no such file is, nobody asks: the stage was started without DVC.

    Raises:
        DataError: the same where DVC runs the stage, which would write down the older version beside the new results.
    """
    written = _read(name)
    if written is None:
        return None
    if written == _text(_recalled(params).get(name) or _reached(name, params), params):
        return None
    if "DVC_STAGE" in os.environ:
        raise DataError(
            f"{_place(name)} does not match the code of {name}: DVC would record its results under the older version. "
            f"Run `{COMMAND}` first; `dvc repro` without --single-item and --downstream does that for you"
        )
    return (
        f"note: {name} runs other code than at the last `dvc repro`, because the package changed, or params that "
        "choose code, such as a model; the next `dvc repro` runs this stage again"
    )


def _recalled(params: Params) -> Mapping[str, Any]:
    """What the stage `code` computed, if nothing that it depends on has changed since: else nothing.

    Every stage asks for its version when it starts, and reading the syntax trees of all modules takes a second.
    """
    memo = catalogue.CODE_MEMO.read(Path(catalogue.CODE_MEMO.path)) or {}
    found: Mapping[str, Any] = memo.get("reached", {})
    return found if memo.get("inputs") == installed_versions().inputs(params.model_dump()) else {}


def _reached(name: str, params: Params) -> list[Any]:
    """The version of a stage's code in the package, and a hash of each module that it reaches; as JSON has them."""
    reached = installed_versions().reached(name, params.model_dump())
    return [reached.version, reached.by_module()]


def _text(reached: Sequence[Any], params: Params) -> str:
    """The version, then what it is made of: a hash a module, of the project's own code as well where it is run.

    Raises:
        ParamsError: train.model names a function of the project that is not there.
    """
    version, modules = reached
    model = params.train.model
    if isinstance(model, Factory) and RUNS_OWN_CODE in modules:
        own = own_modules(model.factory, Path())
        version, modules = version_of_modules({"": version, **own}), {**modules, **own}
    return "".join(f"{line}\n" for line in [version, *(f"{hashed[:8]} {module}" for module, hashed in modules.items())])


def _place(name: str) -> str:
    return catalogue.CODE_FILE.format(name=name)


def _read(name: str) -> str | None:
    place = Path(_place(name))
    with refusals(place):
        return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else None


def _summary(new: Mapping[str, str], before: Mapping[str, str | None]) -> str:
    noted = dict(_noted())
    if None in noted.values():
        return OLDER
    if not any(Path(lock).is_file() for lock in LOCKS):
        return f"{len(new)} stages; none of them has run yet"
    changed = [name for name, text in new.items() if name in noted and noted[name] != _md5(text)]
    if not changed:
        return f"{len(new)} stages, no code changed since dvc.lock"
    modules = sorted({module for name in changed for module in _differing(new[name], before[name])})
    where = f", because of {listing(module.removeprefix('pipeline.') for module in modules)}" if modules else ""
    return f"changed since dvc.lock{where}; these stages run again: {listing(changed, len(changed))}"


def _differing(text: str, other: str | None) -> set[str]:
    """The modules of which two files have other hashes."""
    if other is None:
        return set()
    return {line.partition(" ")[2] for line in set(text.splitlines()[1:]) ^ set(other.splitlines()[1:])}


def _noted() -> Iterator[tuple[str, str | None]]:
    """Stage -> the MD5 of its version in DVC's lock files; None where they have none of a stage that ran."""
    for lock in map(Path, LOCKS):
        try:
            stages = YAML(typ="safe", pure=False).load(lock)["stages"] if lock.is_file() else {}
            for address, entry in stages.items():
                name = address.partition("@")[0]
                if name in NAMES:
                    found = [each.get("md5") for each in entry.get("deps", []) if each["path"] == _place(name)]
                    yield name, found[0] if found else None
        except (YAMLError, OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # DVC itself says what is wrong with it


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
