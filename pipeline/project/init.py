"""Makes a project: what `pipeline init` writes, all of it or nothing."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import DataError, MissingInputError, ParamsError, StorageError, listing
from pipeline.names import clean, shown
from pipeline.project.choices import Overrides, choose
from pipeline.project.dvc_files import DEMONSTRATION
from pipeline.project.files import PARAMS, RECORD, demonstration_params, project_files, record_of
from pipeline.project.git import NOT_INSTALLED, git
from pipeline.project.inspect_sources import SourceSeen, Wanted, inspect, name_of
from pipeline.project.params_file import check_params
from pipeline.project.params_template import template_text, with_choices, without
from pipeline.project.seen import Seen, check
from pipeline.sources.places import place_of
from pipeline.store.refusals import refusals
from pipeline.yaml_values import yaml_values


@dataclass(frozen=True)
class Plan:
    """A project that is not written yet: its files, and what was seen. No source: the demonstration."""

    folder: Path
    files: Mapping[str, str]
    seen: Seen | None


@dataclass(frozen=True)
class Made:
    """What became of it.

    committed: whether the files are a commit in a new repository. above: the repository that the project lies in, if
    there was one: then none was made.
    """

    folder: Path
    committed: bool
    above: Path | None


def plan(folder: Path, raw: Sequence[str], production: Sequence[str], wanted: Wanted, overrides: Overrides) -> Plan:
    """A project for some sources, from a look at them; nothing is written.

    Without any source, and with the preset digits, it is the demonstration.

    Raises:
        PipelineError: the folder is taken, a source cannot be used, or an option breaks a rule.
    """
    demonstration = not raw and not production and overrides.preset == "digits"
    if not production and not demonstration:
        raise ParamsError(
            "--production is missing: name a folder of images like those that the model will see in use. The "
            "model is measured on these only. --raw images are optional, and used for training only"
        )
    if shutil.which("git") is None:
        raise MissingInputError(NOT_INSTALLED)
    root = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they are written
    title = root.name or "Images"
    if demonstration:
        files = {**project_files(title, demonstration=True), PARAMS: demonstration_params()}
        _check_free(root, files)
        return Plan(root, _with_record(files), None)
    files = project_files(title, demonstration=False)
    _check_free(root, {**files, PARAMS: ""})
    seen = Seen(_sources(root, raw, production, wanted))
    _check_classes(seen, wanted.classes)
    if small := _too_small(seen, wanted.min_images):
        seen = Seen(_sources(root, raw, production, replace(wanted, without=small)), small)
    check(seen)
    text = with_choices(without(template_text(), DEMONSTRATION), choose(seen, overrides))
    check_params(yaml_values(text), PARAMS)
    return Plan(root, _with_record({**files, PARAMS: text}), seen)


def write(planned: Plan) -> Made:
    """Put a project in place, in a Git repository: all of its files, or none.

    Raises:
        StorageError: the file system refused, or Git did; nothing is left behind.
    """
    folder = planned.folder
    parent = next(above for above in (folder.parent, *folder.parent.parents) if above.is_dir())
    above = _repository_of(folder if folder.is_dir() else parent)
    with refusals(parent):
        made = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".part", dir=folder if folder.is_dir() else parent)
        )
    try:
        for name, text in planned.files.items():
            with refusals(folder / name):
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(text.encode())
        committed = above is None and _make_repository(made, planned.files)
        _put_in_place(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Made(folder, committed, above)


def _with_record(files: Mapping[str, str]) -> dict[str, str]:
    return {**files, RECORD: record_of(files)}


def _sources(root: Path, raw: Sequence[str], production: Sequence[str], wanted: Wanted) -> list[SourceSeen]:
    found: list[SourceSeen] = []
    for role, folders in (("raw", raw), ("production", production)):
        for folder in folders:
            place = place_of(folder)
            shown = folder
            if isinstance(place, Path):
                place = Path(os.path.abspath(place.expanduser()))  # noqa: PTH100
                inside = place.is_relative_to(root) and place != root
                shown = place.relative_to(root).as_posix() if inside else str(place)
            found.append(inspect(place, role, name_of(place, role, [one.name for one in found]), shown, wanted))
    used = {one.source["labels"]["file"] for one in found if "file" in one.source.get("labels", {})}
    unused = [name for name in wanted.labels if not any(name == file or name.endswith(f"/{file}") for file in used)]
    if unused:
        raise MissingInputError(
            f"--labels {listing(unused)}: there is no such file in {listing(one.source['path'] for one in found)}. Put "
            "the file into the folder of its images, and name it by its path from there, or from the current folder"
        )
    return found


def _too_small(seen: Seen, min_images: int | None) -> list[str]:
    """The classes with fewer production images than asked for."""
    if min_images is None:
        return []
    production = seen.counts("production")
    small = [label for label in seen.classes if production[label] < min_images]
    if len(small) == len(seen.classes):
        largest = max(production.values(), default=0)
        raise ParamsError(
            f"--min-images {min_images} leaves out every class: the largest has {largest:,} production images. Choose "
            "a smaller number"
        )
    return small


def _check_classes(seen: Seen, wanted: Sequence[str]) -> None:
    """Raise ParamsError if a class was asked for that no source has: without it there would be a class too few."""
    lacking = [name for name in wanted if clean(name) not in seen.classes]
    if lacking:
        raise ParamsError(
            f"--classes names {listing(map(shown, lacking))}, which no source has; chosen from the sources were "
            f"{listing(seen.classes, 20)}"
        )


def _check_free(root: Path, files: Mapping[str, str]) -> None:
    if root.exists() and not root.is_dir():
        raise StorageError(f"{root} is a file: name a folder for the project")
    # An own repository may have these already.
    taken = [name for name in (*files, "dvc.lock", RECORD) if os.path.lexists(root / name)]
    if PARAMS in taken or "dvc.yaml" in taken or RECORD in taken:
        raise DataError(
            f"{root} is a project already (it has {listing(taken, 3)}), so nothing was changed: name another "
            "folder, or run `pipeline upgrade` there to update its files"
        )
    if taken:
        raise DataError(
            f"{root} already has files that the project needs to write: {listing(taken, 10)}. Nothing was "
            "changed: name an empty folder, or move these files away"
        )


def _repository_of(folder: Path) -> Path | None:
    ended = git(folder, "rev-parse", "--show-toplevel")
    return Path(ended.stdout.strip()) if ended.returncode == 0 else None


def _make_repository(made: Path, files: Mapping[str, str]) -> bool:
    """A repository with one commit, if Git knows whose it is."""
    if (ended := git(made, "init", "--quiet")).returncode:
        raise StorageError(f"git init failed: {ended.stderr.strip()}")
    # In any folder above, a .gitignore may name these.
    git(made, "add", "--force", "--", *files)
    return git(made, "commit", "--quiet", "--message", "Begin with pipeline init").returncode == 0


def _put_in_place(made: Path, folder: Path) -> None:
    """Move all that lies in one folder into another one, which may be there; on an error, take it out again."""
    moved: list[Path] = []
    try:
        with refusals(folder):
            for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
                missing.mkdir()
                moved.append(missing)
            for source in sorted(made.rglob("*")):
                target = folder / source.relative_to(made)
                # A folder goes as a whole, unless there is one; what lies in it is then no longer here.
                if source.exists() and not (source.is_dir() and target.is_dir()):
                    source.rename(target)
                    moved.append(target)
    except BaseException:
        for path in reversed(moved):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
