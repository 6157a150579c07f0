"""Brings a project's files up to those of the installed package: what `pipeline upgrade` does."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError, MissingInputError, ParamsError, StorageError, listing
from pipeline.project.files import (
    OWN,
    PARAMS,
    RECORD,
    digest,
    package_version,
    project_files,
    read_record,
    record_of,
)
from pipeline.project.git import git
from pipeline.project.params_file import check_params
from pipeline.project.params_template import template_text
from pipeline.project.params_upgrade import upgraded
from pipeline.store.refusals import refusals
from pipeline.store.writing import partial_path, put_in_place
from pipeline.yaml_values import yaml_values

# Beside a file that a person changed: what the package would have written.
BESIDE = ".new"


def upgrade_project(folder: Path) -> list[str]:
    """What was changed, and what a person must decide, a line each.

    Files that nobody changed since the package wrote them are replaced; beside the others lies the new one. All of it
    is one commit.

    Raises:
        MissingInputError: the folder is no such project, or lies in no Git repository.
        DataError: Git knows of changes that are not committed in the files concerned, or a file cannot be read.
    """
    record = read_record(folder)
    demonstration = _demonstration(folder)
    # The name of a folder is no reason for a change.
    newest = project_files(folder.resolve().name, demonstration)
    writes: dict[str, str] = {}
    said: list[str] = []
    decide: list[str] = []
    for path, text in newest.items():
        _take_over(folder, path, text, record["files"].get(path), writes, said, decide)
    params = _read(folder / PARAMS) or ""
    _check_yaml(params)
    text, changes = upgraded(params, template_text())
    if text != params:
        writes[PARAMS] = text
        said += [f"{PARAMS}: {change}" for change in changes]
    decide += _broken_rules(text)
    if writes:
        # Of a file that a person changed, what the new one is like: it is not said again.
        writes[RECORD] = record_of(newest)
    elif record["version"] == package_version() and not decide:
        return [f"nothing to do: all files are of version {package_version()} already"]
    if writes:
        _write(folder, writes, record["version"])
        said.append("all changes are in one commit: `git revert HEAD` undoes them")
    return [*said, *(f"you decide: {one}" for one in decide)]


def _demonstration(folder: Path) -> bool:
    text = _read(folder / "data/dvc.yaml") or ""
    return "\n  sample:\n" in text


def _check_yaml(text: str) -> None:
    try:
        values = yaml_values(text)
    except ValueError as error:
        raise DataError(f"{PARAMS} {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{PARAMS} must hold sections, got {type(values).__name__}: `git checkout {PARAMS}`")


def _take_over(
    folder: Path,
    path: str,
    text: str,
    known: str | None,
    writes: dict[str, str],
    said: list[str],
    decide: list[str],
) -> None:
    """Replace a file that nobody changed, lay the new one beside one that somebody did."""
    now = _read(folder / path)
    if now == text or (path in OWN and now is not None):
        return
    new = digest(text.encode())
    if now is None:
        writes[path] = text
        said.append(f"{path}: written, because it was missing")
    elif known is not None and digest(now.encode()) == known:
        writes[path] = text
        said.append(f"{path}: replaced, because you had not changed it")
    elif known != new:
        # Its newest version is not the one that it was made from.
        writes[path + BESIDE] = text
        decide.append(
            f"{path} was kept, because you changed it. The new version is {path}{BESIDE}: merge it into "
            "yours, then remove it"
        )


def _broken_rules(text: str) -> list[str]:
    try:
        check_params(yaml_values(text), PARAMS)
    except (ParamsError, ValueError) as error:
        return str(error).splitlines()
    return []


def _write(folder: Path, writes: Mapping[str, str], before: str) -> None:
    """Put the files in place, and commit them alone; on an error, all is as it was."""
    changed = git(folder, "status", "--porcelain", "--", *writes)
    if changed.returncode:
        raise MissingInputError(
            f"{folder.resolve()} is not in a Git repository ({changed.stderr.strip()}), so you could not undo "
            "an upgrade. Run git init, git add -A and git commit there"
        )
    if changed.stdout:
        lines = [line[3:] for line in changed.stdout.splitlines()]
        raise DataError(
            f"not committed yet: {listing(lines, 10)}. Commit these files first, so that you can undo the "
            "upgrade separately"
        )
    old = {path: _bytes(folder / path) for path in writes}
    try:
        for path, text in writes.items():
            place = folder / path
            with refusals(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                partial_path(place).write_bytes(text.encode())
                put_in_place(partial_path(place), place)
        _commit(folder, writes, before)
    except BaseException:
        git(folder, "reset", "--quiet", "--", *writes)
        for path, data in old.items():
            if data is None:
                (folder / path).unlink(missing_ok=True)
            else:
                (folder / path).write_bytes(data)
        raise


def _commit(folder: Path, writes: Mapping[str, str], before: str) -> None:
    message = f"Upgrade from pipeline {before} to {package_version()}"
    for arguments in (("add", "--force", "--", *writes), ("commit", "--quiet", "-m", message, "--", *writes)):
        ended = git(folder, *arguments)
        if ended.returncode:
            raise StorageError(f"git {arguments[0]} failed, and nothing was changed: {ended.stderr.strip()}")


def _read(path: Path) -> str | None:
    data = _bytes(path)
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error


def _bytes(path: Path) -> bytes | None:
    with refusals(path):
        return path.read_bytes() if path.is_file() else None
