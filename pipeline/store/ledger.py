"""The ledger of test evaluations: a JSON object per line, the first evaluation first.

Only the comparison with Git protects it: each entry of the last commit must still be there (`check_continues`). Whoever
rewrites Git's history, or never commits, can drop entries; nothing in the file itself could prove otherwise.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from pipeline.errors import FinalEvaluationError, PipelineError, listing
from pipeline.store.artifacts import Artifact, text
from pipeline.store.reading import read_bytes

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


def ledger(path: str, older: str) -> Artifact:
    """An artifact: the test evaluations, the first one first; none before the first.

    Args:
        older: where earlier versions kept the ledger; its entries still count.
    """

    def read(place: Path) -> list[LedgerEntry]:
        found: list[LedgerEntry] = []
        for file in (Path(older), place):
            written = _decoded(read_bytes(file), file) if file.exists() else ""
            entries = read_ledger(written, str(file))
            check_continues(entries, read_ledger(committed(file), str(file)), str(file))
            found += [entry for entry in entries if entry not in found]
        return found

    def write(entries: list[LedgerEntry], place: Path) -> None:
        text(path).write(ledger_text(entries), place)

    return Artifact(path, read, write)


def committed(path: Path) -> str:
    """A file as the last commit has it; empty if it has none of that name, or there is no commit at all.

    Raises:
        FinalEvaluationError: Git cannot be asked, or does not say what the last commit is.
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
    """What to tell about entries that are not committed; empty if there are none."""
    try:
        written = _decoded(read_bytes(path), path) if path.is_file() else ""
        count = len(written.splitlines()) - len(committed(path).splitlines()) if written else 0
    except PipelineError:
        return ""
    if count <= 0:
        return ""
    evaluations = "1 test evaluation is" if count == 1 else f"{count} test evaluations are"
    return f"{evaluations} in {path} and in no commit: run `git add {path}` and commit; `git checkout` could lose it"


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
        f"the test set stays closed: Git cannot say which test evaluations were committed in {path}: {reason}"
        f"{f' ({listing(told)})' if told else ''}. Run this inside the Git repository, with git installed"
    )


def _without_git() -> dict[str, str]:
    """The environment without what leads Git away from the repository around this folder."""
    return {name: value for name, value in os.environ.items() if name not in LEADS_AWAY}


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FinalEvaluationError(f"{path} was edited: it is not text; restore it from Git") from error


RESTORE = "restore it from Git (`git log` shows its versions); after a merge, keep the lines of both sides"


@dataclass(frozen=True)
class LedgerEntry:
    """One test evaluation: when (UTC), digests of the model's file, of the params and of the test rows, and the result.

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
        """Whether it evaluated the same model on the same rows by the same rules."""
        return (self.model, self.params, self.test) == (model, params, test)


ENTRY = TypeAdapter(LedgerEntry)


def read_ledger(text: str, name: str) -> list[LedgerEntry]:
    """The entries of a ledger's text, the first one first.

    Raises:
        FinalEvaluationError: a line is not an entry.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values = json.loads(line)
            values.pop("chain", None)  # of earlier versions: a hash that anybody could compute anew
            ENTRY.validate_json(json.dumps(values), strict=True)
            entries.append(LedgerEntry(**values))
        except (ValueError, TypeError, AttributeError) as error:
            raise FinalEvaluationError(f"{name}, line {number}, is not a test evaluation: {RESTORE}") from error
    return entries


def check_continues(entries: Sequence[LedgerEntry], committed: Sequence[LedgerEntry], name: str) -> None:
    """Raise FinalEvaluationError if an entry that Git has is missing."""
    missing = [entry for entry in committed if entry not in entries]
    if missing:
        raise FinalEvaluationError(
            f"{name} was edited: {len(missing)} of the {len(committed)} test evaluations in the last commit are "
            f"missing; {RESTORE}. For a new test set, first commit the removal of the ledger"
        )


def ledger_text(entries: Sequence[LedgerEntry]) -> str:
    """The file of these entries."""
    return "".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in entries)
