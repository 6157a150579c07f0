"""The ledger of looks at test: a line a look, each bound to the line before it by a hash.

Nobody can change, drop or insert a line without breaking the chain behind it. The last lines have
nothing behind them: that these are still there is seen by what Git has (`check_continues`).
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.errors import FinalEvaluationError, PipelineError, listing
from pipeline.store.artifacts import Artifact, read_bytes, text

# By `git rev-parse --local-env-vars`, and what stops the search for a repository.
LEADS_AWAY = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}
MAX_SAID = 200


def ledger(path: str) -> Artifact:
    """An artifact: the looks at test, the first one first; none before the first."""

    def read(place: Path) -> list[LedgerEntry]:
        written = _decoded(read_bytes(place), place) if place.exists() else ""
        check_continues(written, committed(place), str(place))
        return read_ledger(written, str(place))

    def write(evaluations: list[LedgerEntry], place: Path) -> None:
        text(path).write(ledger_text(evaluations), place)

    return Artifact(path, read, write)


def committed(path: Path) -> str:
    """A file as the last commit has it; empty if it has none of that name, or there is no commit at all.

    Raises:
        VaultError: Git cannot be asked, or does not say what the last commit is.
    """
    _asked(path, "rev-parse", "--git-dir")
    # Variables such as GIT_DIR may point at another repository than the one around this folder, which DVC uses.
    alone = not _ask("rev-parse", "--git-dir", environment=_without_git()).returncode
    environment = _without_git() if alone else dict(os.environ)
    if _ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", environment=environment).returncode:
        if _asked(path, "for-each-ref", "--count=1", environment=environment):
            raise _refusal(path, "HEAD names no commit, although the repository has some: check out a branch")
        return ""
    place = f"./{path.as_posix()}"
    if not _asked(path, "ls-tree", "HEAD", "--", place, environment=environment):
        return ""
    return _decoded(_asked(path, "cat-file", "blob", f"HEAD:{place}", environment=environment), path)


def uncommitted(path: Path) -> str:
    """What to say of looks that the file has and the last commit has not; empty if there are none."""
    try:
        written = _decoded(read_bytes(path), path) if path.is_file() else ""
        count = len(written.splitlines()) - len(committed(path).splitlines()) if written else 0
    except PipelineError:
        return ""
    if count <= 0:
        return ""
    evaluations = "1 look at test is" if count == 1 else f"{count} looks at test are"
    return (
        f"{evaluations} noted in {path} alone: `git add {path}` and commit, or `git checkout`, `git stash` may drop it"
    )


def _asked(path: Path, *words: str, environment: Mapping[str, str] | None = None) -> bytes:
    """What Git answers."""
    found = _ask(*words, environment=environment, path=path)
    if found.returncode:
        said = found.stderr.decode(errors="backslashreplace").strip().splitlines() or [
            f"it ended with {found.returncode}"
        ]
        raise _refusal(path, said[0][:MAX_SAID])
    return found.stdout


def _ask(
    *words: str, environment: Mapping[str, str] | None = None, path: Path = Path()
) -> "subprocess.CompletedProcess[bytes]":
    settings = {**(os.environ if environment is None else environment), "LC_ALL": "C"}
    try:
        return subprocess.run(["git", *words], capture_output=True, check=False, env=settings)  # noqa: S603, S607
    except OSError as error:
        raise _refusal(path, f"the command `git` cannot be run ({error.strerror})") from error


def _refusal(path: Path, reason: str) -> FinalEvaluationError:
    told = [f"{name}={os.environ[name][:MAX_SAID]}" for name in ("GIT_DIR", "GIT_WORK_TREE") if name in os.environ]
    return FinalEvaluationError(
        f"test stays closed: Git cannot be asked for the looks that were committed in {path}: {reason}"
        f"{f' ({listing(told)})' if told else ''}. Run this in the repository, with git installed: who drops its "
        "history drops the looks"
    )


def _without_git() -> dict[str, str]:
    """The environment without what leads Git away from the repository around this folder."""
    return {name: value for name, value in os.environ.items() if name not in LEADS_AWAY}


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FinalEvaluationError(f"{path} was edited: it is no text; restore it from Git") from error


START = "0" * 64
RESTORE = (
    "restore it from Git (`git log` shows its versions); after a merge, keep the lines of one side, and look again"
)


@dataclass(frozen=True)
class LedgerEntry:
    """One look: when (UTC), digests of the model's file, of the params and of the test rows, and the result.

    low, high: None where too few independent groups tell about the metric.
    told: the rules of params.yaml that were set to allow it, comma-separated.
    """

    when: str
    model: str
    params: str
    test: str
    metric: str
    value: float
    low: float | None
    high: float | None
    accepted: bool
    told: str

    def is_of(self, model: str, params: str, test: str) -> bool:
        """Whether it looked at the same by the same rules."""
        return (self.model, self.params, self.test) == (model, params, test)


def read_ledger(text: str, name: str) -> list[LedgerEntry]:
    """The looks in a ledger, the first one first.

    Raises:
        VaultError: a line is no look, or was edited, or others were dropped or put in before it.
    """
    evaluations, chain = [], START
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values = json.loads(line)
            written = values.pop("chain")
            evaluation = LedgerEntry(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FinalEvaluationError(f"{name}, line {number}, is no look at test: {RESTORE}") from error
        chain = _chained(chain, evaluation)
        if written != chain:
            raise FinalEvaluationError(
                f"{name} was edited: line {number} or one before it is not as it was written, or lines before it are "
                f"gone; {RESTORE}"
            )
        evaluations.append(evaluation)
    return evaluations


def check_continues(text: str, committed: str, name: str) -> None:
    """Nothing, if a ledger begins with all that Git has of it.

    Raises:
        VaultError: looks that were committed are gone.
    """
    if not text.startswith(committed):
        missing = len(committed.splitlines()) - len(text.splitlines())
        what = f"{missing} looks that Git has are gone" if missing > 0 else "its lines are not those that Git has"
        raise FinalEvaluationError(
            f"{name} was edited: {what}; {RESTORE}. For a new test set, commit its removal first"
        )


def ledger_text(evaluations: Sequence[LedgerEntry]) -> str:
    """The file of these looks."""
    lines, chain = [], START
    for evaluation in evaluations:
        chain = _chained(chain, evaluation)
        lines.append(json.dumps({**asdict(evaluation), "chain": chain}, sort_keys=True) + "\n")
    return "".join(lines)


def _chained(chain: str, evaluation: LedgerEntry) -> str:
    ordered = [getattr(evaluation, field.name) for field in fields(evaluation)]
    return hashlib.sha256(f"{chain}\n{json.dumps(ordered)}".encode()).hexdigest()
