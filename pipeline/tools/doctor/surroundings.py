"""Check the environment: installed packages, the `python` that DVC starts, params.yaml and disk space."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from pipeline.errors import MissingInputError, ParamsError
from pipeline.project.files import PACKAGE
from pipeline.project.params_file import Params, load_params
from pipeline.tools.doctor.findings import Check, Problem

INSTALL = "pip install -c constraints.txt -e ."
# Below this, even a small run may fail half-way.
MIN_FREE = 1 << 30


def examine_surroundings(places: Sequence[Path]) -> tuple[Check, Params | None]:
    """Check the environment, and return the params if they are valid.

    Args:
        places: folders that a run writes to.
    """
    problems = [*_packages(), *_python(), *_shallow()]
    params: Params | None = None
    try:
        params = load_params()
    except (ParamsError, MissingInputError) as error:
        problems.append(Problem(str(error), "correct params.yaml"))
    problems += _disk(places)
    return Check("surroundings", "packages, python, params.yaml, free space", problems), params


def _packages() -> Iterator[Problem]:
    """Packages that are missing or of a version that this one does not work with."""
    for text in importlib.metadata.requires(PACKAGE) or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            yield Problem(f"the package {needed.name} is missing", f"`{INSTALL}`")
        else:
            if not needed.specifier.contains(version, prereleases=True):
                yield Problem(f"{needed.name} {version} is installed, but {needed.specifier} is needed", f"`{INSTALL}`")


def _python() -> Iterator[Problem]:
    """DVC runs stages as `python -m pipeline`: whatever the search path calls python."""
    place = shutil.which("python")
    if place is not None:
        asked = [place, "-c", "import sys; print(sys.prefix)"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        if Path(answer.stdout.strip()).resolve() == Path(sys.prefix).resolve():
            return
    state = f"`python` is {place}, which belongs to another environment" if place else "there is no command `python`"
    then = f"activate the environment first: . {Path(sys.prefix) / 'bin/activate'}"
    yield Problem(f"{state}: stages run as `python -m pipeline` and would not find this package", then)


def _shallow() -> Iterator[Problem]:
    """DVC runs `dvc exp run --temp` and the queue in a clone of the repository, and loses what they made."""
    try:
        asked = ["git", "rev-parse", "--is-shallow-repository"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    except OSError:
        return
    if answer.stdout.strip() == "true":
        yield Problem(
            "this is a shallow clone: `dvc exp run --temp` and `--queue` run here, but DVC saves no experiment and "
            "does not say so",
            "`git fetch --unshallow`",
        )


def _disk(places: Sequence[Path]) -> Iterator[Problem]:
    """Too little space; one problem a file system."""
    for place in {place.stat().st_dev: place for place in places if place.is_dir()}.values():
        free = shutil.disk_usage(place).free
        if free < MIN_FREE:
            yield Problem(f"{free / 1e6:.0f} MB are free at {place}: a run may fail before it ends", "free space")
