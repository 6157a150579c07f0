"""What is wrong in a workspace before a run trips over it, said in words, and what can be fixed without a person.

What it does not cover: whether files in a remote are whole, and images that can be read but are no good.
"""

import sqlite3
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from pipeline.errors import StorageError, listing
from pipeline.project.params_file import Params
from pipeline.store.artifacts import refusals
from pipeline.tools.doctor.cache import examine_cache, uses_of
from pipeline.tools.doctor.findings import Part, Problem, fix_all, in_words, outcome
from pipeline.tools.doctor.folders import examine_folders
from pipeline.tools.doctor.locks import examine_locks, guarded, running
from pipeline.tools.doctor.outs import examine_checked, examine_leftovers, examine_shards
from pipeline.tools.doctor.records import records
from pipeline.tools.doctor.state import culprit, state_problem, state_problems
from pipeline.tools.doctor.surroundings import examine_surroundings
from pipeline.workers.engine import Engine

__all__ = ["examine", "in_words", "outcome"]


def examine(fix: bool, engine: Engine) -> list[Part]:
    """Every part of the workspace in the current folder, with its problems.

    Args:
        fix: fix what can be fixed, unless DVC or a stage is at work here.
    """
    at_work = listing(running(Path.cwd().resolve()))
    with ExitStack() as stack:
        try:
            with refusals(Path(".dvc")):
                repository = stack.enter_context(Repo())
        except DvcException as error:
            problem = Problem(f"DVC cannot work here: {error}", "`dvc init`, or fix what it names")
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"DVC cannot open its database: {error}. Look whether the site cache that `dvc doctor` names is "
                "there, has space and may be written"
            ) from error
        except sqlite3.DatabaseError as error:
            problem = replace(state_problem(culprit(error)), then="run the command again, for the rest")
        else:
            return _examine(repository, fix, engine, at_work)
    parts = _parts_without_dvc(problem, engine, at_work)
    return fix_all(parts, at_work) if fix else parts


def _examine(repository: Any, fix: bool, engine: Engine, at_work: str) -> list[Part]:
    locks = examine_locks(Path(repository.tmp_dir), _hardlink(repository), at_work)
    if fix:
        # First, because what else is fixed is done under a lock.
        (locks,) = fix_all([locks], at_work)
    parts = _parts(repository, engine, at_work)
    return [locks, *(_fixed(parts, repository, at_work) if fix else parts)]


def _parts(repository: Any, engine: Engine, at_work: str) -> list[Part]:
    folder, cache = Path(repository.tmp_dir), Path(repository.cache.local.path)
    surroundings, params = examine_surroundings([Path(), cache])
    outs, unread = records(repository)
    unsound = state_problems(Path(repository.site_cache_dir))
    uses = uses_of(cache, outs)
    recorded = {place: md5 for md5, used in uses.items() for place, _ in used}
    return [
        surroundings,
        _sources(params, Path(repository.root_dir), repository.dvcignore.is_ignored_file),
        Part("dvc files", f"{len(outs)} outs are recorded", [*unread, *unsound]),
        examine_cache(cache, None if unread else uses, folder / "damaged", engine),
        examine_shards(recorded, engine, at_work),
        examine_checked(at_work),
        examine_leftovers(at_work),
    ]


def _parts_without_dvc(problem: Problem, engine: Engine, at_work: str) -> list[Part]:
    surroundings, params = examine_surroundings([Path()])
    dvc = Part("dvc", "its locks and cache were not looked at", [problem])
    outs = [examine_shards({}, engine, at_work), examine_checked(at_work), examine_leftovers(at_work)]
    return [surroundings, dvc, _sources(params), *outs]


def _sources(params: Params | None, root: Path | None = None, ignored: Any = lambda _: False) -> Part:
    if params is None:
        return Part("sources", "not looked at, because params.yaml does not say which there are")
    return examine_folders([Path(source.path) for source in params.sources.values()], root, ignored)


def _fixed(parts: list[Part], repository: Any, at_work: str) -> list[Part]:
    """What can be fixed is, while no DVC command can begin."""
    if at_work:
        return fix_all(parts, at_work)
    try:
        with guarded(Path(repository.tmp_dir) / "lock", _hardlink(repository)):
            return fix_all(parts, "")
    except StorageError as error:
        return fix_all(parts, str(error))


def _hardlink(repository: Any) -> bool:
    return bool(repository.config["core"].get("hardlink_lock", False))
