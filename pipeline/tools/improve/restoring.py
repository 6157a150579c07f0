"""The workspace as the last commit has it, whatever state a run that was stopped left it in."""

import subprocess
import sys
import time
from pathlib import Path

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.project.params_file import PARAMS_FILE
from pipeline.tools.git_head import attach, left_detached
from pipeline.workers.progress import say

# What a run changes of the files that Git keeps. The ledger of test evaluations is none of them.
CHANGED = (PARAMS_FILE.as_posix(), "*dvc.lock", "reports")
LEDGER = Path(catalogue.LEDGER.path).parent.as_posix()
# How often Git is asked to restore files: a lock of an ended process may be there for a moment.
TRIES = 10


def put_back(branch: str) -> None:
    """The files that a run changes, as the last commit has them.

    Args:
        branch: what HEAD named before the run; DVC, killed, leaves HEAD detached. Empty: it was detached before.

    Raises:
        DataError: Git cannot restore them, also after some tries.
    """
    for _ in range(TRIES):
        try:
            _mend_index()
            attach_head(branch)
            _restore()
            break
        except DataError as error:
            failed = error
            time.sleep(0.5)
    else:
        say(f"the workspace could not be restored: {failed}\nRun `git restore {PARAMS_FILE} dvc.lock reports`")
        raise failed
    _checkout()


def attach_head(branch: str) -> None:
    """Let HEAD name a branch again, if a killed DVC left it detached.

    Raises:
        DataError: Git cannot do it.
    """
    left = left_detached() if branch else None
    # Commits that somebody made since are theirs to place.
    if left is not None and left.branch == branch and not left.has_commits:
        # The workspace was clean when the run began.
        attach(branch, keep=False)


def git(*words: str, given: str = "") -> str:
    """What Git prints.

    Args:
        given: for its standard input.

    Raises:
        DataError: Git failed.
    """
    # Names of files are bytes, and need not be UTF-8.
    found = subprocess.run(  # noqa: S603
        ["git", *words],  # noqa: S607
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if found.returncode:
        raise DataError(f"`git {' '.join(words[:1])}` failed: {found.stderr.strip()[:300]}")
    return found.stdout


def git_code(*words: str) -> int:
    """The exit code of Git.

    Raises:
        DataError: there is no Git.
    """
    try:
        return subprocess.run(["git", *words], capture_output=True, check=False).returncode  # noqa: S603, S607
    except FileNotFoundError as error:
        raise DataError("Git is not installed, and the experiments of DVC need it: install Git") from error


def _mend_index() -> None:
    """Give entries of the index that name no content what the last commit has.

    DVC, stopped while it writes the index, leaves such entries, and as long as there is one of any file, Git writes no
    index. All others stay: somebody may have staged them.
    """
    listed = git("ls-files", "--stage", "--full-name", "-z", "--", ":/").split("\0")
    entries = [(*about.split(" "), path) for about, _, path in (entry.partition("\t") for entry in listed if entry)]
    broken = {path for _, content, _, path in entries if not content.strip("0")}
    if not broken:
        return
    # Mode 0 takes an entry away, at whatever stage.
    lines = [f"0 {'0' * len(entries[0][1])}\t{path}" for path in sorted(broken)]
    for entry in git("ls-tree", "-r", "--full-tree", "-z", "HEAD").split("\0"):
        if entry.partition("\t")[2] in broken:
            lines.append(entry)
    git("update-index", "-z", "--index-info", given="".join(f"{line}\0" for line in lines))


def _restore() -> None:
    changed = git("diff", "HEAD", "--name-only", "--relative", "-z", "--", *CHANGED, f":!{LEDGER}").split("\0")
    if paths := [f":(literal){path}" for path in changed if path]:
        git("restore", "--source=HEAD", "--staged", "--worktree", "--", *paths)


def _checkout() -> None:
    """DVC's outs, as dvc.lock has them."""
    # What DVC's cache lacks, of a stage that never ran, it says itself.
    subprocess.run(
        [sys.executable, "-m", "dvc", "checkout", "--quiet"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
