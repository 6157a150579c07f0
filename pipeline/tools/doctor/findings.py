"""What an examination found, in words: parts of the workspace, their problems, and what fixes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import DamageError, PipelineError

# Problems of a part that are shown one by one.
MAX_LISTED = 20


@dataclass(frozen=True)
class Problem:
    """Something wrong: what, where and why it matters; and what a person does about it, after `fix` if there is one.

    `fix` does what needs no person; it raises a PipelineError if it cannot.
    """

    what: str
    then: str
    fix: Callable[[], None] | None = None
    fixed: bool = False
    kept: str = ""
    """Why it could not be fixed."""


@dataclass(frozen=True)
class Part:
    """A part of the workspace: its name, what was looked at, and what is wrong."""

    name: str
    seen: str
    problems: Sequence[Problem] = ()


def near(path: Path) -> Path:
    """The path as seen from the current folder, if it lies there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def fix_all(parts: Sequence[Part], hindrance: str) -> list[Part]:
    """The same after what can be fixed was fixed; nothing is touched if there is a hindrance, a text that says it."""
    return [replace(part, problems=[_fixed(problem, hindrance) for problem in part.problems]) for part in parts]


def in_words(parts: Sequence[Part]) -> str:
    """A line a part, then each of its problems with what was done and what is to do."""
    lines: list[str] = []
    width = max(len(part.name) for part in parts)
    for part in parts:
        state = f"{len(part.problems)} wrong" if part.problems else "well"
        lines.append(f"{part.name:<{width}}  {state}: {part.seen}")
        for problem in part.problems[:MAX_LISTED]:
            lines += [f"  - {problem.what}", f"    {_next_step(problem)}"]
        if len(part.problems) > MAX_LISTED:
            lines.append(f"  - and {len(part.problems) - MAX_LISTED} more")
    return "\n".join(lines)


def outcome(parts: Sequence[Part]) -> None:
    """Nothing, if all is well or fixed.

    Raises:
        DamageError: something is still wrong.
    """
    left = [problem for part in parts for problem in part.problems if not problem.fixed]
    fixable = sum(problem.fix is not None and not problem.kept for problem in left)
    hint = f": `pipeline doctor --fix` fixes {fixable}" if fixable else ""
    if left:
        raise DamageError(f"{len(left)} problem{'s' if len(left) > 1 else ''} found{hint}")


def _fixed(problem: Problem, hindrance: str) -> Problem:
    if problem.fix is None:
        return problem
    if hindrance:
        return replace(problem, kept=hindrance)
    try:
        problem.fix()
    except PipelineError as error:
        return replace(problem, kept=str(error))
    return replace(problem, fixed=True)


def _next_step(problem: Problem) -> str:
    then = f"; then: {problem.then}" if problem.then else ""
    if problem.fixed:
        return f"fixed{then}"
    if problem.kept:
        return f"not fixed: {problem.kept}"
    return f"`pipeline doctor --fix` fixes it{then}" if problem.fix else problem.then
