"""Check what a killed DVC or Git leaves in Git itself: a detached HEAD, and locks of its files."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.errors import MissingInputError
from pipeline.project.git import git
from pipeline.tools.doctor.findings import Check, Problem
from pipeline.tools.git_head import Detached, attach, left_detached

LOCKS = ("index.lock", "HEAD.lock")
FILES = (
    "Files are as that run left them; `git diff` shows its changes. If your own are not among them, they are in Git's "
    "stash: `git stash show --patch`"
)


def examine_head(at_work: str) -> Check:
    """Look at HEAD and at Git's locks, unless somebody works here.

    Args:
        at_work: who works here now. While DVC makes an experiment, HEAD is detached.
    """
    if at_work:
        return Check("git", f"not checked, because {at_work} is running")
    try:
        problems = [*_locks(), *_head()]
    except MissingInputError:
        return Check("git", "not checked, because it is not installed")
    return Check("git", "HEAD and locks", problems)


def _locks() -> Iterator[Problem]:
    for name in LOCKS:
        asked = git(Path(), "rev-parse", "--git-path", name)
        lock = Path(asked.stdout.strip())
        if asked.returncode == 0 and lock.is_file():
            what = f"{lock} is there: a killed Git or DVC left it, or Git is at work. As long as it is there, Git fails"
            yield Problem(what, f"if no Git command is running: `rm {lock}`")


def _head() -> Iterator[Problem]:
    found = left_detached()
    if found is None:
        return
    branch = found.branch
    if found.has_commits:
        what = (
            f"a killed `dvc exp run` or `pipeline improve` left HEAD detached, and commits were made since, which the "
            f"branch {branch} does not have"
        )
        yield Problem(what, f"`git switch -C {branch}` gives them to {branch}")
    elif found.sure:
        what = (
            "a killed `dvc exp run`, `dvc exp apply` or `pipeline improve` left HEAD detached: commits made now would "
            "be on no branch, and the next `dvc exp run` may fail"
        )
        yield Problem(what, f"HEAD is on {branch} again. {FILES}", partial(attach, branch, True))
    else:
        yield Problem(
            f"HEAD is detached at the last commit of {branch}, as a `dvc exp run` leaves it that is killed while it "
            "begins: commits made now would be on no branch",
            f"`git switch {branch}`{_stash(found)}",
        )


def _stash(found: Detached) -> str:
    if not found.stashed:
        return ""
    return (
        ". DVC may have put your changes into Git's stash: `git stash show --patch` shows them. If your files lack "
        "them, `git stash pop` brings them back"
    )
