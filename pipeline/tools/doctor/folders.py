"""Check source folders for entries on which DVC would hang or fail, or that lead outside."""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipeline.sources.dvc_hazards import Hazard, added_root, hazards, shown
from pipeline.store.reading import check_regular
from pipeline.store.refusals import refusals
from pipeline.store.writing import replacing
from pipeline.tools.doctor.findings import Check, Problem

IGNORE_FILE = ".dvcignore"
# What means more than itself in a pattern of .dvcignore, whose syntax is that of .gitignore.
SPECIAL = re.compile(r"([\\\[\]!*#? ])")

Ignored = Callable[[Path], bool]


def examine_folders(sources: Sequence[Path], root: Path | None, ignored: Ignored) -> Check:
    """Walk all source folders, and those around them that `dvc add` tracks; nothing is opened.

    Args:
        root: the folder that .dvcignore stands in; None without DVC.
        ignored: whether .dvcignore leaves a path out already.
    """
    roots = sorted({added_root(path) or path for path in sources})
    found = [hazard for path in roots for hazard in hazards(path) if not ignored(hazard.path)]
    names = ", ".join(map(str, roots))
    return Check("sources", f"{names} listed, no file opened", [_problem(hazard, root) for hazard in found])


def ignore_pattern(path: str) -> str:
    """The line of .dvcignore that stands for one path, relative to its folder, and no other."""
    return "/" + SPECIAL.sub(r"\\\1", path)


def _problem(hazard: Hazard, root: Path | None) -> Problem:
    path = Path(os.path.normpath(hazard.path.absolute()))
    can_be_listed = shown(path) == str(path) and root is not None and path.is_relative_to(root)
    if root is None or not can_be_listed:
        return Problem(str(hazard), f"remove it or give it another name: {shown(hazard.path)}")
    then = f"{IGNORE_FILE} has a line for it, so that DVC skips it; commit that file"
    return Problem(str(hazard), then, partial(_ignore, path.relative_to(root).as_posix(), root / IGNORE_FILE))


def _ignore(path: str, file: Path) -> None:
    check_regular(file)
    with refusals(file):
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        ended = before if before.endswith("\n") or not before else f"{before}\n"
    with replacing(file) as half, refusals(file):
        half.write_text(f"{ended}{ignore_pattern(path)}\n", encoding="utf-8")
