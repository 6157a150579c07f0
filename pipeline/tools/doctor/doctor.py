"""`pipeline doctor`: examine every part of the workspace, in order.

Not covered: whether files in a remote are complete, and readable images of bad quality.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException

from pipeline.errors import StorageError, listing
from pipeline.project.params_file import Params
from pipeline.sources.urls import is_url
from pipeline.store.dvc_lock import dvc_repository
from pipeline.tools.doctor.cache import examine_cache, uses_of
from pipeline.tools.doctor.findings import Check, Problem, fix_all
from pipeline.tools.doctor.folders import examine_folders
from pipeline.tools.doctor.head import examine_head
from pipeline.tools.doctor.locks import examine_locks, guarded, running
from pipeline.tools.doctor.outs import examine_checked, examine_leftovers, examine_shards
from pipeline.tools.doctor.records import records
from pipeline.tools.doctor.surroundings import examine_surroundings
from pipeline.workers.engine import Engine


def examine(fix: bool, engine: Engine) -> list[Check]:
    """Check every part of the workspace in the current folder.

    Args:
        fix: fix what needs no decision of the user, unless DVC or a stage is running here.
    """
    at_work = listing(running(Path.cwd().resolve()))
    with ExitStack() as stack:
        try:
            repository = stack.enter_context(dvc_repository())
        except DvcException as error:
            problem = Problem(f"DVC cannot work here: {error}", "`dvc init`, or fix what it names")
        else:
            return _examine(repository, fix, engine, at_work)
    checks = _checks_without_dvc(problem, engine, at_work)
    return fix_all(checks, at_work) if fix else checks


def _examine(repository: Any, fix: bool, engine: Engine, at_work: str) -> list[Check]:
    locks = examine_locks(Path(repository.tmp_dir), _hardlink(repository), at_work)
    if fix:
        # First, because what else is fixed is done under a lock.
        (locks,) = fix_all([locks], at_work)
    checks = _checks(repository, engine, at_work)
    return [locks, *(_fixed(checks, repository, at_work) if fix else checks)]


def _checks(repository: Any, engine: Engine, at_work: str) -> list[Check]:
    folder, cache = Path(repository.tmp_dir), Path(repository.cache.local.path)
    surroundings, params = examine_surroundings([Path(), cache])
    outs, unread = records(repository)
    uses = uses_of(cache, outs)
    recorded = {place: md5 for md5, used in uses.items() for place, _ in used}
    return [
        examine_head(at_work),
        surroundings,
        _sources(params, Path(repository.root_dir), repository.dvcignore.is_ignored_file),
        Check("dvc files", f"{len(outs)} outs are recorded", unread),
        examine_cache(cache, None if unread else uses, folder / "damaged", engine),
        examine_shards(recorded, engine, at_work),
        examine_checked(at_work),
        examine_leftovers(at_work),
    ]


def _checks_without_dvc(problem: Problem, engine: Engine, at_work: str) -> list[Check]:
    surroundings, params = examine_surroundings([Path()])
    dvc = Check("dvc", "its locks and cache were not checked", [problem])
    outs = [examine_shards({}, engine, at_work), examine_checked(at_work), examine_leftovers(at_work)]
    return [examine_head(at_work), surroundings, dvc, _sources(params), *outs]


def _sources(params: Params | None, root: Path | None = None, ignored: Any = lambda _: False) -> Check:
    if params is None:
        return Check("sources", "not checked, because params.yaml does not name them")
    return examine_folders(
        [Path(source.path) for source in params.sources.values() if not is_url(source.path)], root, ignored
    )


def _fixed(checks: list[Check], repository: Any, at_work: str) -> list[Check]:
    """What can be fixed is, while no DVC command can begin."""
    if at_work:
        return fix_all(checks, at_work)
    try:
        with guarded(Path(repository.tmp_dir) / "lock", _hardlink(repository)):
            return fix_all(checks, "")
    except StorageError as error:
        return fix_all(checks, str(error))


def _hardlink(repository: Any) -> bool:
    return bool(repository.config["core"].get("hardlink_lock", False))
