"""HEAD of Git: DVC detaches it while it makes or applies an experiment, and a kill leaves it detached."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.project.git import git

BRANCHES = "refs/heads/"
# DVC has these while an experiment runs in the workspace, and removes them at its end.
HELD = ("refs/exps/exec/EXEC_BASELINE", "refs/exps/exec/EXEC_MERGE")
STASHED = "what a killed experiment of DVC began with"
# Of experiments that DVC keeps: refs/exps/<the first two digits of its baseline>/<the others>/<name>.
KEPT = re.compile(r"^refs/exps/[0-9a-f]{2}/", re.MULTILINE)
MOVED = re.compile(r"checkout: moving from (?P<branch>.+) to [0-9a-f]{40,64}")
# Entries of HEAD's log that are read: commits that somebody made since, and the move before them.
MAX_ENTRIES = 100


@dataclass(frozen=True)
class Detached:
    """HEAD as a killed DVC left it.

    branch: what HEAD named before.
    sure: DVC's references say that it was DVC. Otherwise somebody may have detached HEAD on the same commit by hand.
    has_commits: commits were made since. The branch does not have them.
    stashed: Git's stash has changes of this commit. DVC puts them there in the first seconds of an experiment.
    """

    branch: str
    sure: bool
    has_commits: bool
    stashed: bool


def branch_of_head() -> str:
    """The branch that HEAD names; empty if HEAD is detached, or Git knows no repository here."""
    return _asked("symbolic-ref", "--quiet", "HEAD").removeprefix(BRANCHES)


def left_detached() -> Detached | None:
    """How a killed DVC left HEAD; None if HEAD names a branch, or is detached for another reason."""
    if branch_of_head() or not (head := _commit("HEAD")):
        return None
    branch, has_commits = _before()
    tip = _commit(BRANCHES + branch) if branch else ""
    if not tip:
        return None
    held = any(map(_commit, HELD))
    if has_commits:
        # Then only what DVC holds tells this from a HEAD that somebody detached by hand.
        is_left = held and git(Path(), "merge-base", "--is-ancestor", tip, head).returncode == 0
        return Detached(branch, True, True, False) if is_left else None
    is_applied = bool(KEPT.search(_asked("for-each-ref", "--format=%(refname)", "--points-at", head, "refs/exps")))
    if head != tip and not is_applied:
        return None
    return Detached(branch, held or head != tip, False, _commit("refs/stash^1") == head)


def attach(branch: str, keep: bool) -> None:
    """Do what DVC does at the end of an experiment: HEAD names the branch again, and nothing is staged. Files stay.

    Args:
        keep: put what the experiment began with, changes of the user among it, into Git's stash. A kill at the wrong
            moment leaves it in no file.

    Raises:
        DataError: Git cannot do it.
    """
    begun = _commit(HELD[-1]) if keep else ""
    steps = [["stash", "store", "--message", f"{branch}: {STASHED}", begun]] if begun else []
    steps += [["symbolic-ref", "HEAD", BRANCHES + branch], ["reset", "--quiet"]]
    for words in [*steps, *(["update-ref", "-d", name] for name in HELD)]:
        ended = git(Path(), *words)
        if ended.returncode:
            raise DataError(f"`git {words[0]}` failed: {ended.stderr.strip()[:300]}")


def _asked(*words: str) -> str:
    """What Git answers; empty if it cannot."""
    ended = git(Path(), *words)
    return "" if ended.returncode else ended.stdout.strip()


def _commit(name: str) -> str:
    """The hash of a commit; empty if there is none of this name."""
    return _asked("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


def _before() -> tuple[str, bool]:
    """The branch that HEAD named before it was detached, and whether commits were made since; no branch if unknown."""
    entries = _asked("log", "--walk-reflogs", f"--max-count={MAX_ENTRIES}", "--format=%gs", "HEAD", "--").splitlines()
    commits = 0
    while commits < len(entries) and entries[commits].startswith("commit"):
        commits += 1
    moved = MOVED.fullmatch(entries[commits]) if commits < len(entries) else None
    return (moved["branch"], commits > 0) if moved else ("", False)
