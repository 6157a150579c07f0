"""Packages of a few lines, and copies of the real one with a change."""

import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pipeline.project.params_file import load_params
from pipeline.stage import NAMES
from pipeline.versions.stages import Versions
from tests.examples import REPOSITORY

ERRORS = "class PipelineError(Exception):\n    exit_code = 1\n\n\nclass DataError(PipelineError):\n    exit_code = 5\n"


def version(folder: Path, files: Mapping[str, str], *places: str, without: tuple[str, ...] = ()) -> str:
    """The version of `module:name`, the package's name left out, in a package with these files and errors.py."""
    return toy(folder, files).of_code([f"pipeline.{place}" for place in places or ("a:f",)], without)


def toy(folder: Path, files: Mapping[str, str]) -> Versions:
    """The versions of a package of that name with these files."""
    package = folder / "pipeline"
    shutil.rmtree(package, ignore_errors=True)
    for name, text in {"__init__.py": "", "errors.py": ERRORS, **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        for above in (package / name).parents:
            if above.is_relative_to(package) and not (above / "__init__.py").exists():
                (above / "__init__.py").write_text("")
        (package / name).write_text(text, encoding="utf-8")
    return Versions(package)


@cache
def params() -> dict[str, object]:
    """The repository's params.yaml."""
    return load_params(REPOSITORY / "params.yaml").model_dump()


@cache
def real_versions() -> dict[str, str]:
    """Stage -> version of the package as it is."""
    return versions_in(REPOSITORY / "pipeline")


def versions_in(package: Path) -> dict[str, str]:
    """Stage -> version."""
    versions = Versions(package)
    return {name: versions.reached(name, params()).version for name in NAMES}


def copied_package(folder: Path) -> Path:
    """A copy of the package's sources."""
    return Path(
        shutil.copytree(REPOSITORY / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    )


def replace_in(file: Path, old: str, new: str) -> None:
    """Change a file that has the old text once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new), encoding="utf-8")


def changed_stages(folder: Path, changes: Mapping[str, tuple[str, str]]) -> set[str]:
    """The stages of another version once texts in files of the package are others; `("", text)` adds at the end."""
    package = copied_package(folder)
    for file, (old, new) in changes.items():
        if old:
            replace_in(package / file, old, new)
        else:
            (package / file).write_text((package / file).read_text(encoding="utf-8") + new, encoding="utf-8")
    after = versions_in(package)
    return {name for name, version in real_versions().items() if after[name] != version}
