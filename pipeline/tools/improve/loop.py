"""The loop: diagnose, choose a move, try it, keep it if dev is better beyond noise and all limits hold, and again.

It knows nothing of DVC: who runs a move is handed in (a `Bench`), so that the benchmark runs the same loop in memory.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.diagnosis.param_changes import DROPPED
from pipeline.errors import PipelineError
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.tools.improve.bench import Bench, Budget, State
from pipeline.tools.improve.judging import Judgement, Tried
from pipeline.tools.improve.last_resorts import is_due
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.moves import SEARCH, Ask, Move, as_key, blocked_by, differences, moves_of
from pipeline.tools.improve.promise import Promise, promise_of


@dataclass
class Progress:
    """Where the loop has come to.

    basis: the run that later ones are measured beside: today's, or a repair that gave dev other images. incumbent: the
    best so far, with its number in `tried`. order: of each comparable run its number, and whether it holds all limits.
    targets: params that were tried.
    """

    today: State
    basis: State
    incumbent: State
    tried: Tried
    incumbent_number: int = 0
    kept_name: str = ""
    order: list[tuple[int, bool]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)
    flattered: float = 0.0


@dataclass(frozen=True)
class Planned:
    """A move, what it promises, and the params that it leads to."""

    move: Move
    promise: Promise
    target: Mapping[str, Any]


@dataclass(frozen=True)
class Ending:
    """Why the loop stopped: a word for programs, a sentence, and what people can do."""

    reason: str
    words: str
    asks: Sequence[Ask]


def begin(today: State, params: EvaluateParams) -> Progress:
    """Before the first move.

    Raises:
        DataError: dev is too small to tell models apart.
    """
    assert today.result.predictions is not None  # noqa: S101
    return Progress(today, today, today, Tried(today.result.predictions, params), targets={as_key(today.values)})


def plan(progress: Progress, bench: Bench) -> list[Planned]:
    """What can be tried now: what other numbers rest on first, then what promises most for its cost."""
    state = progress.incumbent
    moves, _ = moves_of(state.diagnosis, state.values)
    failures = [entry.finding for entry in progress.entries if not entry.kept]
    found, places = [], dict.fromkeys([move.finding for move in moves], 0)
    for move in moves:
        target = move.target(state.values)
        minutes = bench.minutes(state.values, target, state)
        promise = promise_of(move, places[move.finding], state.diagnosis, failures, minutes)
        places[move.finding] += 1
        if as_key(target) not in progress.targets:
            found.append(Planned(move, promise, target))
    return sorted(found, key=lambda one: (not one.move.repairs, -one.promise.worth))


def ensembles_due(progress: Progress, bench: Bench) -> list[Planned]:
    """The ensembles that were not tried yet, the cheapest first; none where they would hide a data problem."""
    state = progress.incumbent
    if not is_due(state.diagnosis):
        return []
    targets = [(move, move.target(state.values)) for move in bench.ensembles(state)]
    return [
        Planned(move, promise_of(move, 0, state.diagnosis, [], bench.minutes(state.values, target, state)), target)
        for move, target in targets
        if as_key(target) not in progress.targets
    ]


def improve(
    progress: Progress,
    bench: Bench,
    budget: Budget,
    session: str,
    keep: Callable[[Entry], None],
) -> Ending:
    """Go on until nothing helps, the budget is spent, or only people can help.

    Args:
        keep: called with each try, before the next one begins.
    """
    while True:
        planned = plan(progress, bench)
        if ending := _ending(progress, planned, budget):
            return ending
        fitting = [one for one in planned if (one.promise.minutes or 0.0) <= budget.left()]
        name = f"improve-{session}-{len(progress.entries) + 1}"
        if fitting:
            chosen, flattered = fitting[0], 0.0
        elif planned:
            return _too_long(progress)
        else:
            resort = _last_resort(progress, bench, name, budget)
            if isinstance(resort, Ending):
                return resort
            chosen, flattered = resort
        begun = time.monotonic()
        try:
            state: State | None = bench.run(name, chosen.target)
            note = ""
        except PipelineError as error:
            state, note = None, str(error)
        entry = Entry(
            session=session,
            name=name,
            finding=chosen.move.finding,
            why=chosen.move.words,
            command=bench.command(chosen.target, name),
            **_changes(progress, chosen.target),
            minutes=round((time.monotonic() - begun) / 60, 2),
            note=note,
            flattered=flattered,
        )
        keep(take(progress, entry, chosen.target, state))


def take(progress: Progress, entry: Entry, target: Mapping[str, Any], state: State | None) -> Entry:
    """Judge a try, and go on from it if it is better.

    Args:
        state: what the run brought; None where it failed.
    """
    progress.targets.add(as_key(target))
    if state is None:
        progress.entries.append(entry)
        return entry
    judged = _judge(progress, entry, state)
    if judged.kept:
        progress.incumbent, progress.kept_name = state, entry.name
        progress.flattered += entry.flattered
    progress.entries.append(judged)
    return judged


def asks_of(progress: Progress) -> list[Ask]:
    """What people can do about the best run so far."""
    return moves_of(progress.incumbent.diagnosis, progress.incumbent.values)[1]


def _changes(progress: Progress, target: Mapping[str, Any]) -> dict[str, Any]:
    found = differences(progress.today.values, target)
    gone = [place for place, value in found.items() if value is DROPPED]
    return {"changes": {place: value for place, value in found.items() if value is not DROPPED}, "gone": gone}


def _judge(progress: Progress, entry: Entry, state: State) -> Entry:
    predictions, tried = state.result.predictions, progress.tried
    if predictions is None:
        return replace(entry, note=state.result.missing)
    if not tried.is_comparable(predictions):
        return _repaired(progress, entry, state)
    try:
        number = tried.add(predictions)
    except PipelineError as error:
        return replace(entry, note=str(error))
    holds = bool(state.result.report.get("accepted", True))
    progress.order.append((number, holds))
    found = tried.judged(number, progress.incumbent_number)
    # A model that holds all limits replaces one that does not, unless it is surely worse.
    was_rejected = not progress.incumbent.result.report.get("accepted", True)
    kept = holds and (found.better or (was_rejected and not found.worse))
    if kept:
        progress.incumbent_number = number
    numbers = {name: getattr(found, name) for name in ("value", "difference", "low", "high")}
    rounded = {name: round(value, 6) for name, value in numbers.items()}
    return replace(entry, metric=tried.metric.key, **rounded, kept=kept, note=_why(found, state, kept))


def _why(found: Judgement, state: State, kept: bool) -> str:
    if kept:
        return "" if found.better else "the model before breaks a limit; this one holds all"
    broken = [name for name, limit in state.result.report.get("limits", {}).items() if not limit["held"]]
    if broken:
        return f"breaks {', '.join(sorted(broken))}"
    return "worse beyond noise" if found.worse else "within noise"


def _repaired(progress: Progress, entry: Entry, state: State) -> Entry:
    """A run whose dev has other images: kept if that was the purpose, and its diagnosis no longer names the finding."""
    before = set(progress.incumbent.diagnosis["named"])
    repairs = entry.finding in before and entry.finding in blocked_by(progress.incumbent.diagnosis)
    if not repairs or entry.finding in state.diagnosis["named"]:
        return replace(entry, note="its dev has other images, so it cannot be compared")
    assert state.result.predictions is not None  # noqa: S101
    try:
        progress.tried = Tried(state.result.predictions, progress.tried.params)
    except PipelineError as error:
        return replace(entry, note=str(error))
    progress.basis, progress.incumbent_number, progress.order = state, 0, []
    progress.flattered = 0.0
    words = f"{entry.finding.replace('_', ' ')} is fixed; dev has other images now, so numbers begin again"
    value = round(progress.tried.value(0), 6)
    return replace(entry, metric=progress.tried.metric.key, value=value, kept=True, basis=True, note=words)


def _ending(progress: Progress, planned: Sequence[Planned], budget: Budget) -> Ending | None:
    asks = asks_of(progress)
    if budget.spent(len(progress.entries)):
        return Ending("budget", "the budget is spent", asks)
    blocking = blocked_by(progress.incumbent.diagnosis)
    if blocking and not any(one.move.repairs for one in planned):
        names = " and ".join(name.replace("_", " ") for name in dict.fromkeys(blocking))
        words = f"only people can help now: the data have {names}, and no experiment fixes that"
        return Ending("people", words, asks)
    return None


def _nothing_left(progress: Progress) -> Ending:
    asks = asks_of(progress)
    if asks:
        return Ending("people", "no experiment is left to try, only work for people", asks)
    return Ending("done", "nothing is left to try", asks)


def _too_long(progress: Progress) -> Ending:
    return Ending("budget", "all that is left to try takes longer than the minutes left", asks_of(progress))


def _last_resort(progress: Progress, bench: Bench, name: str, budget: Budget) -> tuple[Planned, float] | Ending:
    """When no advice is left: an ensemble that is one training, a search, then an ensemble that is several trainings.

    With what it adds to dev by choosing.
    """
    due = ensembles_due(progress, bench)
    fitting = [one for one in due if (one.promise.minutes or 0.0) <= budget.left()]
    if fitting and not fitting[0].move.fits_several:
        return fitting[0], 0.0
    searched = _searched(progress, bench, name, budget)
    if searched is not None:
        return searched
    if fitting:
        return fitting[0], 0.0
    return _too_long(progress) if due else _nothing_left(progress)


def _searched(progress: Progress, bench: Bench, name: str, budget: Budget) -> tuple[Planned, float] | None:
    """A search around the best run so far, once; None where it finds nothing, or a data problem would be hidden."""
    state = progress.incumbent
    key = as_key(state.values)
    if key in progress.searched or not is_due(state.diagnosis):
        return None
    progress.searched.add(key)
    found = bench.search(state, name, None if budget.until is None else budget.left())
    if found is None or not found.changes:
        return None
    move = Move(SEARCH, found.words, found.changes)
    target = move.target(state.values)
    if as_key(target) in progress.targets:
        return None
    return Planned(move, Promise(0.5, 0.0, None), target), found.flattered
