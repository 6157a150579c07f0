"""The checks of a workspace: what was examined, the problems, and how to fix them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import DamageError, PipelineError

# Problems of a part that are shown one by one.
MAX_LISTED = 20


@dataclass(frozen=True)
class Problem:
    """A problem: what and where it is and why it matters; and what to do about it, after `fix` if there is one.

    `fix` does what needs no decision of the user; it raises a PipelineError if it cannot.
    """

    what: str
    then: str
    fix: Callable[[], None] | None = None
    fixed: bool = False
    not_fixed_because: str = ""
    """Why it could not be fixed."""


@dataclass(frozen=True)
class Check:
    """A check of a part of the workspace: its name, what was examined, and the problems."""

    name: str
    examined: str
    problems: Sequence[Problem] = ()


def near(path: Path) -> Path:
    """The path relative to the current folder, if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def fix_all(checks: Sequence[Check], obstacle: str) -> list[Check]:
    """Fix what can be fixed; nothing is touched if there is an obstacle, given as a text."""
    return [replace(check, problems=[_fixed(problem, obstacle) for problem in check.problems]) for check in checks]


def render(checks: Sequence[Check]) -> str:
    """One line per check, then each of its problems with what was done and what to do."""
    lines: list[str] = []
    width = max(len(check.name) for check in checks)
    for check in checks:
        state = f"{len(check.problems)} wrong" if check.problems else "ok"
        lines.append(f"{check.name:<{width}}  {state}: {check.examined}")
        for problem in check.problems[:MAX_LISTED]:
            lines += [f"  - {problem.what}", f"    {_next_step(problem)}"]
        if len(check.problems) > MAX_LISTED:
            lines.append(f"  - and {len(check.problems) - MAX_LISTED} more")
    return "\n".join(lines)


def outcome(checks: Sequence[Check]) -> None:
    """Raise DamageError unless all is well or fixed.

    Raises:
        DamageError: something is still wrong.
    """
    left = [problem for check in checks for problem in check.problems if not problem.fixed]
    fixable = sum(problem.fix is not None and not problem.not_fixed_because for problem in left)
    hint = f": `pipeline doctor --fix` fixes {fixable}" if fixable else ""
    if left:
        raise DamageError(f"{len(left)} problem{'s' if len(left) > 1 else ''} found{hint}")


def _fixed(problem: Problem, obstacle: str) -> Problem:
    if problem.fix is None:
        return problem
    if obstacle:
        return replace(problem, not_fixed_because=obstacle)
    try:
        problem.fix()
    except PipelineError as error:
        return replace(problem, not_fixed_because=str(error))
    return replace(problem, fixed=True)


def _next_step(problem: Problem) -> str:
    then = f"; then: {problem.then}" if problem.then else ""
    if problem.fixed:
        return f"fixed{then}"
    if problem.not_fixed_because:
        return f"not fixed: {problem.not_fixed_because}"
    return f"`pipeline doctor --fix` fixes it{then}" if problem.fix else problem.then
