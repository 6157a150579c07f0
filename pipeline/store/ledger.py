"""The ledger of looks at test: a line a look, each bound to the line before it by a hash.

Nobody can change, drop or insert a line without breaking the chain behind it. The last lines have
nothing behind them: that these are still there is seen by what Git has (`check_continues`).
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.errors import FinalEvaluationError
from pipeline.store.artifacts import Artifact, read_bytes, text


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
    """A file as the last commit has it; empty if it has none, or there is no Git."""
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "show", f"HEAD:./{path.as_posix()}"],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return _decoded(found.stdout, path) if found.returncode == 0 else ""


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

    told: the rules of params.yaml that were set to allow it, comma-separated.
    """

    when: str
    model: str
    params: str
    test: str
    metric: str
    value: float
    low: float
    high: float
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
