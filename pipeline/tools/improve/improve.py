"""`pipeline improve`: the loop on a project, its plan, and what it goes on from."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import ParamsError, PipelineError
from pipeline.project.params_file import Params
from pipeline.store.writing import alone
from pipeline.tools.improve import log
from pipeline.tools.improve.bench import Budget
from pipeline.tools.improve.experiments import FOLDER, Experiments
from pipeline.tools.improve.last_resorts import is_due
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.loop import Planned, Progress, asks_of, begin, ensembles_due, improve, plan, take
from pipeline.tools.improve.moves import Ask, blocked_by
from pipeline.tools.improve.outcome import Outcome, outcome_of, try_line

SHORT = 7


@dataclass(frozen=True)
class Plan:
    """What would be tried first, in order, and what is left to people.

    blocking: findings that make numbers lie. searches: whether params would be searched, since no advice is left.
    """

    moves: Sequence[Planned]
    asks: Sequence[Ask]
    blocking: Sequence[str]
    searches: bool


def run(params: Params, runs: int | None, minutes: float | None, apply: bool, show: Callable[[str], None]) -> Outcome:
    """Improve the project of the current folder.

    Args:
        runs: tries in all from this commit, those of an earlier call that was stopped among them; None: no limit.
        minutes: when to begin no more; None: no limit. apply: whether what was kept is put into the workspace.
        show: takes a line for each try.

    Raises:
        ParamsError: there is no limit, or one of 0.
        DataError, MissingInputError: as `Experiments`; dev is too small to tell models apart.
    """
    check_budget(runs, minutes)
    until = None if minutes is None else time.monotonic() + 60 * minutes
    with alone(FOLDER, "pipeline improve"):
        bench, progress = _begun(params, show)

        def keep(entry: Entry) -> None:
            log.append(entry)
            show(try_line(entry))

        ending = improve(progress, bench, Budget(runs, until), bench.head[:SHORT], keep)
        found = outcome_of(progress, ending)
        if apply and found.kept:
            bench.apply(found.kept)
    return found


def dry_run(params: Params, show: Callable[[str], None]) -> Plan:
    """What `run` would try first; nothing is run."""
    with alone(FOLDER, "pipeline improve"):
        bench, progress = _begun(params, show)
        moves, diagnosis = plan(progress, bench), progress.incumbent.diagnosis
        searches = not moves and bool(params.tune.space) and is_due(diagnosis)
        return Plan(
            moves or ensembles_due(progress, bench), asks_of(progress), blocked_by(diagnosis), searches=searches
        )


def check_budget(runs: int | None, minutes: float | None) -> None:
    """Raise ParamsError unless there is a budget."""
    if runs is None and minutes is None:
        raise ParamsError("`pipeline improve` needs a budget: give --runs, --minutes or both; or use --dry-run")
    for name, value in (("--runs", runs), ("--minutes", minutes)):
        if value is not None and not value > 0:
            raise ParamsError(f"{name} is {value:g}: it must be above 0; to run nothing, use --dry-run")


def _begun(params: Params, show: Callable[[str], None]) -> tuple[Experiments, Progress]:
    """Where an earlier call from this commit had come to."""
    bench = Experiments(params, show)
    progress = begin(bench.today, params.evaluate)
    session = bench.head[:SHORT]
    entries = log.entries()
    _know(progress, bench, [entry for entry in entries if entry.session != session])
    earlier = [entry for entry in entries if entry.session == session]
    if earlier:
        show(f"resuming after {len(earlier)} earlier tries, which improve/log.jsonl lists")
    for entry in earlier:
        # A try without a value failed, or was of another dev: it counts, and is not tried again.
        state = bench.load(entry.name) if entry.value is not None else None
        take(progress, entry, bench.target(entry), state)
    return bench, progress


def _know(progress: Progress, bench: Experiments, entries: Sequence[Entry]) -> None:
    """Models that were tried from other commits on the same dev count among those that were tried."""
    for entry in entries:
        state = bench.load(entry.name) if entry.value is not None else None
        if state is None or state.result.predictions is None:
            continue
        if progress.tried.is_comparable(state.result.predictions):
            try:
                progress.tried.add(state.result.predictions)
            except PipelineError:
                continue
