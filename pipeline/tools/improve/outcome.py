"""The results of `pipeline improve`, as lines and tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.diagnosis.next_steps import in_words
from pipeline.metrics.measures import METRICS
from pipeline.tools.improve.judging import Judgement
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.loop import Ending, Planned, Progress
from pipeline.tools.improve.moves import Ask

POINTS = 100.0


@dataclass(frozen=True)
class Outcome:
    """What came of all tries.

    kept: the experiment that has all that was kept; empty if nothing was. gain: of the kept model over the first one on
    the same dev, in the metric's units, above 0 is better; choosing: what of it is the choice, about. models: that were
    compared on this dev. repaired: of a repair that gave dev other images, what the gain begins at.
    """

    metric: str
    is_share: bool
    before: float
    after: float
    gain: Judgement | None
    choosing: float
    kept: str
    models: int
    repaired: str
    entries: Sequence[Entry]
    ending: Ending


def outcome_of(progress: Progress, ending: Ending) -> Outcome:
    """What came of all tries so far."""
    tried, kept = progress.tried, progress.incumbent_number
    basis = next((entry for entry in reversed(progress.entries) if entry.basis), None)
    gain, choosing = None, 0.0
    if kept:
        gain = tried.judged(kept, 0)
        choosing = gain.difference - tried.gain_without_choice(progress.order, kept) + progress.flattered
        choosing = max(0.0, min(choosing, gain.difference))
    return Outcome(
        metric=tried.metric.key,
        is_share=METRICS.of(tried.params.optimizing).is_share,
        before=tried.value(0),
        after=tried.value(kept),
        gain=gain,
        choosing=choosing,
        kept=progress.kept_name,
        models=len(tried),
        repaired="" if basis is None else basis.finding,
        entries=progress.entries,
        ending=ending,
    )


def try_line(entry: Entry) -> str:
    """A try in a line."""
    end = "kept" if entry.kept else "not kept"
    value = "" if entry.value is None else f"{entry.metric} {entry.value:.4f}"
    ends = "" if entry.low is None else f" ({_signed(entry.difference)}, {_signed(entry.low)} to {_signed(entry.high)})"
    note = f": {entry.note}" if entry.note else ""
    return (
        f"{entry.name}: {entry.why}, for {in_words(entry.finding)}. {value}{ends} {end}{note} ({entry.minutes:.1f} min)"
    )


def outcome_lines(found: Outcome, applied: bool) -> Iterator[str]:
    """What came of it, why it ended, and what to do; a sentence each."""
    if found.repaired:
        yield (
            f"{in_words(found.repaired).capitalize()} was fixed first. This changed the images of dev, so earlier "
            "metrics cannot be compared with these"
        )
    if found.gain is None:
        yield f"No experiment was better beyond noise: {found.metric} on dev stays {found.before:.4f}"
    else:
        unit = "points" if found.is_share else "in the metric's units"
        scale = POINTS if found.is_share else 1.0
        low, high = scale * found.gain.low, scale * found.gain.high
        yield f"{found.metric} on dev: {found.before:.4f} before, {found.after:.4f} now"
        difference, choosing = scale * found.gain.difference, scale * found.choosing
        yield (
            f"The gain on dev is {difference:+.1f} {unit} (95 % interval {low:+.1f} to {high:+.1f}, valid for all "
            f"{found.models} models together). About {choosing:.1f} of it is the luck of the best. Test was not read"
        )
    yield f"It ended because {found.ending.words}"
    if found.kept and not applied:
        yield f"To use the kept model: `dvc exp apply {found.kept}`, then commit"
    if found.kept and applied:
        yield f"Applied: the workspace now has the results of {found.kept}. Read `pipeline summary`, then commit"


def ask_lines(asks: Sequence[Ask]) -> Iterator[str]:
    """What people can do."""
    for ask in asks:
        cost = f" ({ask.cost})" if ask.cost else ""
        yield f"- {ask.words}, for {in_words(ask.finding)}{cost}" + (f": `{ask.command}`" if ask.command else "")


def print_outcome(found: Outcome, applied: bool, console: Console) -> None:
    """Print the tries, what they brought, and what is left to people."""
    if found.entries:
        table = Table(title=escape(f"{found.metric} on dev"), title_justify="left")
        for column in ("try", "why", "value", "beside the one before", "kept", "minutes"):
            is_text = column in {"try", "why", "kept"}
            table.add_column(column, justify="left" if is_text else "right", overflow="fold")
        for entry in found.entries:
            table.add_row(*map(escape, _cells(entry)))
        console.print(table)
    for line in outcome_lines(found, applied):
        console.print(escape(line), soft_wrap=True)
    _print_asks(found.ending.asks, console)


def print_plan(
    moves: Sequence[Planned], asks: Sequence[Ask], blocking: Sequence[str], searches: bool, console: Console
) -> None:
    """Print what would be tried, and what is left to people.

    Args:
        searches: whether params would be searched as well.
    """
    tried = [one for one in moves if one.move.repairs] if blocking else moves
    if blocking:
        names = " and ".join(map(in_words, dict.fromkeys(blocking)))
        console.print(
            escape(
                f"The data have {names}, so the metrics are not reliable: nothing else is tried before this is fixed"
            )
        )
    if tried:
        table = Table(title="what would be tried, in this order; each result may change the rest", title_justify="left")
        for column in ("try", "for", "points if it helps", "chance", "minutes"):
            table.add_column(column, justify="left" if column in {"try", "for"} else "right", overflow="fold")
        for one in tried:
            minutes = "unknown" if one.promise.minutes is None else f"{one.promise.minutes:.1f}"
            cells = [f"{one.promise.points:.1f}", f"{one.promise.chance:.0%}", minutes]
            table.add_row(escape(one.move.words), in_words(one.move.finding), *cells)
        console.print(table)
    if searches:
        console.print("No advice is left: it would also search for better params (section tune)")
    elif not tried:
        console.print("No experiment is left to try")
    _print_asks(asks, console)


def _print_asks(asks: Sequence[Ask], console: Console) -> None:
    lines = list(ask_lines(asks))
    if lines:
        console.print("These are left to you:")
        for line in lines:
            console.print(escape(line), soft_wrap=True)


def _cells(entry: Entry) -> list[str]:
    value = "" if entry.value is None else f"{entry.value:.4f}"
    ends = "" if entry.low is None else f"{_signed(entry.difference)} ({_signed(entry.low)} to {_signed(entry.high)})"
    kept = "yes" if entry.kept else f"no: {entry.note}"
    return [entry.name, entry.why, value, ends, kept, f"{entry.minutes:.1f}"]


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"
